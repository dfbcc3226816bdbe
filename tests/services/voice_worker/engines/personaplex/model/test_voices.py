"""The library of voices: names, paths, defaults, what is kept in memory."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from services.voice_worker.engines.personaplex.model import tiny
from services.voice_worker.engines.personaplex.model.codec import BatchCodec
from services.voice_worker.engines.personaplex.model.voice_files import (
    CodesVoice,
    EmbeddedVoice,
    VoiceLimits,
    prepare_wav,
)
from services.voice_worker.engines.personaplex.model.voices import VoiceLibrary
from services.voice_worker.engines.personaplex.tokens import Codes
from shared.errors import ConfigError, EngineError
from tests.services.voice_worker.engines.personaplex.model.test_voice_files import CLIP, no_codec, published, saved

torch.set_num_threads(1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of voices with a file outside beside it."""
    path = tmp_path / "voices"
    path.mkdir()
    for name in ("NATF0", "NATM1", "NATM1.supportive"):
        saved(path / f"{name}.pt", published(5)[0])
    (path / "me.wav").write_bytes(CLIP.read_bytes())
    (path / "NATM1.wav").write_bytes(CLIP.read_bytes())
    (path / "README.md").write_text("voices")
    (path / "odd name.pt").write_bytes(b"")
    (path / "twice.pt.pt").write_bytes(b"")
    (path / "a_folder.pt").mkdir()
    saved(tmp_path / "secret.pt", published(5)[0])
    (path / "leak.pt").symlink_to(tmp_path / "secret.pt")
    (path / "circle.pt").symlink_to(path / "circle.pt")
    (path / "broken.pt").symlink_to(path / "nothing.pt")
    (path / "alias.pt").symlink_to(path / "NATF0.pt")
    return path


def test_names(folder: Path) -> None:
    assert VoiceLibrary(folder, no_codec).names() == ("NATF0", "NATM1", "NATM1.supportive", "alias", "me")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("NATF0", "NATF0.pt"),
        ("NATF0.pt", "NATF0.pt"),
        ("NATM1", "NATM1.pt"),
        ("NATM1.wav", "NATM1.wav"),
        ("NATM1.supportive", "NATM1.supportive.pt"),
        ("alias", "alias.pt"),
        ("me", "me.wav"),
        ("", "NATM1.pt"),
    ],
)
def test_get(folder: Path, name: str, file: str) -> None:
    voice = VoiceLibrary(folder, no_codec).get(name)
    assert voice is not None
    assert voice.name == file
    assert isinstance(voice, CodesVoice if file.endswith(".wav") else EmbeddedVoice)


@pytest.mark.parametrize(
    "name",
    [
        "nobody",
        "NATF0.wav",
        "natf0",
        "NATF0.pt.pt",
        "twice.pt",
        "odd name",
        "a_folder",
        "README.md",
        "leak",
        "leak.pt",
        "circle",
        "broken",
        "../secret",
        "../secret.pt",
        "..",
        ".",
        "/etc/passwd",
        "x/../NATF0",
        "./NATF0",
        "..\\secret",
        "NATF0\x00",
        "NATF0.pt\x00.wav",
        "NATF0\n",
        " ",
        "a" * 5_000,
    ],
)
def test_what_is_not_in_the_folder_cannot_be_had(folder: Path, name: str) -> None:
    with pytest.raises(
        EngineError, match=r"there is no voice .*; known: NATF0, NATM1, NATM1\.supportive, alias, me$"
    ) as e:
        VoiceLibrary(folder, no_codec).get(name)
    assert len(str(e.value)) < 300
    assert "\x00" not in str(e.value)


def test_absolute_path_of_a_voice_is_not_a_name(folder: Path) -> None:
    with pytest.raises(EngineError, match="without a path"):
        VoiceLibrary(folder, no_codec).get(str(folder / "NATF0.pt"))


def test_message_lists_ten_names(tmp_path: Path) -> None:
    for number in range(13):
        (tmp_path / f"v{number:02}.pt").touch()
    with pytest.raises(EngineError, match=r"known: v00, .*, v09 and 3 more$"):
        VoiceLibrary(tmp_path, no_codec).get("x")


def test_default_is_the_preferred_then_the_first_then_none(tmp_path: Path) -> None:
    library = VoiceLibrary(tmp_path, no_codec, preferred=("NATM1", "VARF2"))
    assert (library.default(), library.get("")) == ("", None)
    for file, expected in (("b", "b"), ("a", "a"), ("VARF2", "VARF2"), ("NATM1", "NATM1")):
        saved(tmp_path / f"{file}.pt", published(5)[0])
        voice = library.get("")
        assert library.default() == expected
        assert voice is not None
        assert voice.name == f"{expected}.pt"


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder of voices"):
        VoiceLibrary(tmp_path / "none", no_codec)
    (tmp_path / "some").mkdir()
    library = VoiceLibrary(tmp_path / "some", no_codec)
    (tmp_path / "some").rmdir()
    with pytest.raises(EngineError, match="cannot be read"):
        library.get("x")


def test_linked_folder_is_fine(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert VoiceLibrary(link, no_codec).get("NATF0") is not None


def test_limits_reach_the_files(folder: Path) -> None:
    with pytest.raises(EngineError, match="the model is 4096"):
        VoiceLibrary(folder, no_codec, VoiceLimits(dim=4096)).get("NATF0")


def test_loaded_voices_are_kept_and_bounded(folder: Path) -> None:
    encoded = []

    def encode(sound: NDArray[np.float32]) -> Codes:
        encoded.append(len(sound))
        return no_codec(sound)

    library = VoiceLibrary(folder, encode, max_loaded=2)
    first = library.get("me")
    assert library.get("me.wav") is first
    library.get("NATF0")
    assert library.get("me") is first  # was used last: NATF0 gives way
    library.get("NATM1")
    assert library.get("me") is first
    library.get("NATF0")
    library.get("NATM1")
    assert library.get("me") is not first
    assert len(encoded) == 2


def test_many_threads_load_a_voice_once(folder: Path) -> None:
    encoded, found = [], []
    started = threading.Barrier(6)

    def encode(sound: NDArray[np.float32]) -> Codes:
        encoded.append(1)
        return no_codec(sound)

    library = VoiceLibrary(folder, encode)

    def ask() -> None:
        started.wait()
        found.append(library.get("me"))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(encoded) == 1
    assert {id(voice) for voice in found} == {id(found[0])}


def test_failed_voice_is_tried_again(folder: Path) -> None:
    library = VoiceLibrary(folder, no_codec)
    (folder / "new.pt").write_bytes(b"half")
    with pytest.raises(EngineError, match=r"new\.pt is of no use"):
        library.get("new")
    saved(folder / "new.pt", published(5)[0])
    assert library.get("new") is not None


@pytest.mark.parametrize("codes", [np.zeros((5, 9), dtype=np.int64), np.full((5, 8), 2048), np.zeros((0, 8), np.int64)])
def test_codecs_answer_is_checked(folder: Path, codes: Codes) -> None:
    with pytest.raises(EngineError, match=r"me\.wav is of no use"):
        VoiceLibrary(folder, lambda _: codes).get("me")


@pytest.mark.parametrize(
    ("base", "tone_name", "expected"),
    [
        ("NATM1", "supportive", "NATM1.supportive"),
        ("NATM1.pt", "supportive", "NATM1.supportive"),
        ("", "supportive", "NATM1.supportive"),
        ("NATM1", "challenging", "NATM1"),
        ("NATM1.pt", "neutral", "NATM1.pt"),
        ("NATF0", "supportive", "NATF0"),
        ("", "neutral", ""),
        ("../NATM1", "supportive", "../NATM1"),
    ],
)
def test_tone_chooses_another_file(folder: Path, base: str, tone_name: Any, expected: str) -> None:
    assert VoiceLibrary(folder, no_codec).for_tone(base, tone_name) == expected


def test_recording_goes_through_a_real_codec(folder: Path) -> None:
    codec = BatchCodec(tiny.codec(), slots=1)
    library = VoiceLibrary(folder, codec.encode_whole)
    voice = library.get("me")
    assert isinstance(voice, CodesVoice)
    assert voice.n_frames == len(prepare_wav(CLIP)) // 1920 == 89
    assert voice.codes.shape == (89, 8)
    assert len(np.unique(voice.codes, axis=0)) > 40  # speech, not one code
