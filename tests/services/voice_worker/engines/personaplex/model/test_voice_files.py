"""Files of voices: published ones and recordings, and what must be refused."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from services.voice_worker.engines.personaplex.loudness import integrated_loudness
from services.voice_worker.engines.personaplex.model.voice_files import (
    MAX_FRAMES,
    CodesVoice,
    EmbeddedVoice,
    VoiceLimits,
    load_pt,
    prepare_wav,
)
from services.voice_worker.engines.personaplex.tokens import (
    DELAYS,
    N_STREAMS,
    UNKNOWN,
    Codes,
    positions_of,
    prompt_frames,
)
from shared.errors import EngineError

torch.set_num_threads(1)

CLIPS = sorted((Path(__file__).parents[5] / "fixtures/audio/en_human").glob("*.wav"))
CLIP = CLIPS[0]
DIM = 12
LIMITS = VoiceLimits(text_card=500)
NOISE = np.random.default_rng(3)


def codes_of(n: int) -> Codes:
    return NOISE.integers(0, 2048, (n, 8))


def published(n_frames: int, dtype: torch.dtype = torch.float32) -> tuple[dict[str, torch.Tensor], Codes]:
    """Return what a published file of a voice holds, and the positions that it was made of."""
    rows = positions_of(prompt_frames(codes_of(n_frames), ()), 500, 2048)
    cache = np.full((1, N_STREAMS, 4), 10**12)  # stale entries may hold anything
    for position in range(max(0, n_frames - 2), n_frames):
        cache[0, :, position % 4] = rows[position]
    delayed = np.array(DELAYS) == 1
    cache[0, delayed, n_frames % 4] = rows[n_frames, delayed]
    embeddings = torch.from_numpy(NOISE.normal(size=(n_frames - 1, 1, 1, DIM))).to(dtype)
    return {"embeddings": embeddings, "cache": torch.from_numpy(cache)}, rows


def saved(path: Path, data: Any, **options: Any) -> Path:
    torch.save(data, path, **options)
    return path


def wav(path: Path, sound: NDArray[Any], rate: int = 24_000, **options: Any) -> Path:
    soundfile.write(path, sound, rate, **({"format": "WAV"} | options))
    return path


def tone(seconds: float, rate: int = 24_000, level: float = 0.1) -> NDArray[np.float64]:
    return level * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)


def no_codec(sound: NDArray[np.float32]) -> Codes:
    return np.zeros((len(sound) // 1920, 8), dtype=np.int64)


# --- published files


@pytest.mark.parametrize("n_frames", range(2, 10))
def test_published_voice_is_read_by_position(tmp_path: Path, n_frames: int) -> None:
    data, rows = published(n_frames)
    voice = load_pt(saved(tmp_path / "NATM1.pt", data), LIMITS)
    assert isinstance(voice, EmbeddedVoice)
    assert (voice.name, voice.n_frames) == ("NATM1.pt", n_frames)
    assert torch.equal(voice.embeddings, data["embeddings"].reshape(n_frames - 1, DIM))
    np.testing.assert_array_equal(voice.last, rows[n_frames - 1])
    expected = np.where(np.array(DELAYS) == 1, rows[n_frames], UNKNOWN)
    np.testing.assert_array_equal(voice.delayed, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_kept(tmp_path: Path, dtype: torch.dtype) -> None:
    data, _ = published(5, dtype)
    data["embeddings"].requires_grad_(True)
    voice = load_pt(saved(tmp_path / "a.pt", data | {"note": "x"}), VoiceLimits(text_card=500, dim=DIM))
    assert isinstance(voice, EmbeddedVoice)
    assert voice.embeddings.dtype == dtype
    assert not voice.embeddings.requires_grad


def test_codes_file(tmp_path: Path) -> None:
    codes = codes_of(7)
    voice = load_pt(saved(tmp_path / "own.pt", {"codes": torch.from_numpy(codes).to(torch.int16)}))
    assert isinstance(voice, CodesVoice)
    assert (voice.name, voice.n_frames, voice.codes.dtype) == ("own.pt", 7, np.int64)
    np.testing.assert_array_equal(voice.codes, codes)


def _damaged(key: str, value: Any) -> dict[str, Any]:
    return published(5)[0] | {key: value}


def _with(key: str, index: tuple[int, ...], value: float) -> dict[str, Any]:
    data, _ = published(5)
    data[key][index] = value
    return data


WRONG = {
    "a list": ([1, 2], "not a dict"),
    "other keys": ({"weights": torch.zeros(1)}, "neither"),
    "text instead of a tensor": (_damaged("embeddings", "x"), "embeddings is a str"),
    "flat embeddings": (_damaged("embeddings", torch.zeros(4, DIM)), r"shape \[4, 12\]"),
    "two in a batch": (_damaged("embeddings", torch.zeros(4, 1, 2, DIM)), "shape"),
    "no embeddings": (_damaged("embeddings", torch.zeros(0, 1, 1, DIM)), "1 frames"),
    "too many": (_damaged("embeddings", torch.zeros(1, 1, 1, 1).expand(10**9, 1, 1, DIM)), "frames"),
    "too wide": (_damaged("embeddings", torch.zeros(1, 1, 1, 1).expand(4, 1, 1, 10**9)), "shape"),
    "whole numbers": (_damaged("embeddings", torch.zeros(4, 1, 1, DIM, dtype=torch.int64)), "must be dense"),
    "sparse": (_damaged("embeddings", torch.zeros(4, 1, 1, DIM).to_sparse()), "must be dense"),
    "not there": (_damaged("embeddings", torch.zeros(4, 1, 1, DIM, device="meta")), "must be dense"),
    "NaN": (_with("embeddings", (1, 0, 0, 3), float("nan")), "finite"),
    "infinite": (_with("embeddings", (1, 0, 0, 3), float("inf")), "finite"),
    "ring of PyPI moshi": (_damaged("cache", torch.zeros(1, 17, 3, dtype=torch.int64)), r"\[1, 17, 3\]"),
    "ring of floats": (_damaged("cache", torch.zeros(1, 17, 4)), "must be dense"),
    "text token": (_with("cache", (0, 0, 0), 501), r"0\.\.500"),
    "audio token": (_with("cache", (0, 16, 0), 2049), r"0\.\.2048"),
    "token below zero": (_with("cache", (0, 9, 0), -1), "tokens beyond"),
    "delayed token": (_with("cache", (0, 2, 1), -2), "tokens beyond"),
    "codes the wrong way round": ({"codes": torch.zeros(8, 7, dtype=torch.int64)}, r"\[8, 7\], not \[M, 8\]"),
    "codes of floats": ({"codes": torch.zeros(7, 8)}, "must be dense"),
    "no codes": ({"codes": torch.zeros(0, 8, dtype=torch.int64)}, "0 frames"),
    "too many codes": ({"codes": torch.zeros(1, 1, dtype=torch.int16).expand(10**9, 8)}, str(MAX_FRAMES)),
    "initial token": ({"codes": torch.full((7, 8), 2048)}, "0 to 2047"),
    "code below zero": ({"codes": torch.full((7, 8), -1)}, "0 to 2047"),
}


@pytest.mark.parametrize(("data", "message"), WRONG.values(), ids=WRONG)
def test_wrong_content_is_refused(tmp_path: Path, data: Any, message: str) -> None:
    path = saved(tmp_path / "odd.pt", data)
    with pytest.raises(EngineError, match=message) as caught:
        load_pt(path, LIMITS)
    assert "odd.pt" in str(caught.value)


def test_width_of_another_model_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", published(5)[0])
    with pytest.raises(EngineError, match="12 wide, the model is 4096"):
        load_pt(path, VoiceLimits(text_card=500, dim=4096))


class Malice:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("form", ["archive", "legacy", "bare pickle"])
def test_code_in_a_file_is_never_run(tmp_path: Path, form: str) -> None:
    mark, path = tmp_path / "was here", tmp_path / "bad.pt"
    data: dict[str, Any] = published(5)[0] | {"extra": Malice(mark)}
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(Malice(mark)))
    else:
        saved(path, data, _use_new_zipfile_serialization=form == "archive")
    with pytest.raises(EngineError, match="no archive of plain tensors"):
        load_pt(path, LIMITS)
    assert not mark.exists()
    torch.load(saved(path, data), weights_only=False)
    assert mark.exists()  # it would have


def test_archive_that_unpacks_to_more_is_not_unpacked(tmp_path: Path) -> None:
    plain, bomb = saved(tmp_path / "plain.pt", {"codes": torch.zeros(9_000_000, dtype=torch.int64)}), tmp_path / "b.pt"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(EngineError, match="unpacks to 68 MB"):
        load_pt(bomb)
    with pytest.raises(EngineError, match=r"has 68 MB; at most 64"):
        load_pt(plain)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", os.urandom(5_000)], ids=["empty", "cut", "noise"])
def test_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=r"a\.pt"):
        load_pt(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        load_pt(tmp_path / "a.pt")


# --- recordings


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.stem[-4:])
def test_real_voice_is_resampled_and_levelled(clip: Path) -> None:
    sound = prepare_wav(clip)
    n_samples = soundfile.info(clip).duration * 24_000
    assert sound.dtype == np.float32
    assert sound.ndim == 1
    assert len(sound) % 1920 == 0
    assert 0 <= len(sound) - n_samples < 1921
    assert np.abs(sound).max() <= 1.0
    assert integrated_loudness(sound[: int(n_samples)], 24_000) == pytest.approx(-24.0, abs=0.05)


@pytest.mark.parametrize("rate", [8_000, 11_025, 24_000, 44_100, 96_000])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_any_rate_and_channels(tmp_path: Path, rate: int, subtype: str) -> None:
    left, silent = tone(1.5, rate), np.zeros(round(1.5 * rate))
    stereo = wav(tmp_path / "s.wav", np.stack((left, silent, left), axis=1), rate, subtype=subtype)
    sound = prepare_wav(stereo)
    assert len(sound) == 19 * 1920
    assert integrated_loudness(sound[:36_000], 24_000) == pytest.approx(-24.0, abs=0.05)
    assert not sound[36_002:].any()
    spectrum = np.abs(np.fft.rfft(sound[:24_000]))
    assert spectrum.argmax() == 300


def test_peaks_are_cut(tmp_path: Path) -> None:
    clicks = np.zeros(48_000)
    clicks[::12_000] = 0.5
    sound = prepare_wav(wav(tmp_path / "clicks.wav", clicks))
    assert sound.max() == 1.0


@pytest.mark.parametrize(
    ("sound", "options", "message"),
    [
        (tone(0.99), {}, r"lasts 0\.99 s; cut it to 1 to 30 s"),
        (tone(30.1), {}, r"lasts 30\.10 s"),
        (np.zeros(48_000), {}, "silent"),
        (tone(2, level=1e-4), {}, "silent"),
        (np.full(48_000, np.nan), {"subtype": "FLOAT"}, "no finite"),
        (np.full(48_000, np.inf), {"subtype": "FLOAT"}, "no finite"),
        (tone(2, 4_000), {"rate": 4_000}, "rate is 4000 Hz"),
        (tone(2), {"format": "FLAC"}, "is a FLAC file"),
    ],
    ids=["short", "long", "zeros", "faint", "NaN", "infinite", "slow", "flac"],
)
def test_unfit_recording_is_refused(tmp_path: Path, sound: NDArray[Any], options: dict[str, Any], message: str) -> None:
    path = wav(tmp_path / "me.wav", sound, **options)
    with pytest.raises(EngineError, match=message):
        prepare_wav(path)


def test_what_is_no_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "me.wav"
    path.write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(EngineError, match="cannot be read as sound"):
        prepare_wav(path)


def test_large_recording_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "me.wav"
    with path.open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(EngineError, match="at most 64"):
        prepare_wav(path)


def test_extremely_loud_samples_do_not_overflow(tmp_path: Path) -> None:
    sound = prepare_wav(wav(tmp_path / "loud.wav", tone(2, level=1e38), subtype="FLOAT"))
    assert integrated_loudness(sound, 24_000) == pytest.approx(-24.0, abs=0.05)
