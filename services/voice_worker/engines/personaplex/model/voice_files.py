"""Files of voices: published ones (`*.pt`) and recordings (`*.wav`), checked before anything of them is used."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray

from services.voice_worker.engines.personaplex.loudness import SILENT_LUFS, integrated_loudness
from services.voice_worker.engines.personaplex.tokens import DELAYS, N_CODEBOOKS, N_STREAMS, UNKNOWN, Codes
from shared.audio import FRAME_SAMPLES, SAMPLE_RATE
from shared.errors import EngineError

MAX_FILE_BYTES: Final = 64 << 20
"""Larger files are not read; nor is an archive that unpacks to more."""

MAX_FRAMES: Final = 1_000
"""Frames (80 s) of a voice: each takes a position of the model's context away from the talk."""

MIN_WAV_S: Final = 1.0
MAX_WAV_S: Final = 30.0
TARGET_LUFS: Final = -24.0
"""Loudness of the recordings that the model was trained to speak after."""

RING: Final = 4
"""Columns of a voice file's delay ring: the value of position p stands in column p % 4."""

_MAX_DIM = 16_384
_RATES_HZ = (8_000, 192_000)
_WAV_FORMATS = ("WAV", "WAVEX", "RF64")
_DELAYED = np.array(DELAYS) == 1
_FLOATS = (torch.float32, torch.bfloat16, torch.float16)
_WHOLE = (torch.int64, torch.int32, torch.int16)


@dataclass(frozen=True, slots=True, eq=False)
class CodesVoice:
    """A voice as Mimi codes, int64 [M, 8]. `name` is its file's; sessions share the codes: nobody writes to them."""

    name: str
    codes: Codes

    @property
    def n_frames(self) -> int:
        """Prompt frames of the voice, M."""
        return len(self.codes)


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedVoice:
    """A voice as the model's own inputs. Sessions share it: nobody writes to it.

    `embeddings` [M - 1, D] are the finished inputs of positions 0 to M - 2, in the file's float type; `last` [17] is
    the row of position M - 1; `delayed` [17] is that of position M, UNKNOWN but for the delayed streams.
    """

    name: str
    embeddings: torch.Tensor
    last: Codes
    delayed: Codes

    @property
    def n_frames(self) -> int:
        """Prompt frames of the voice, M."""
        return len(self.embeddings) + 1


Voice = CodesVoice | EmbeddedVoice


@dataclass(frozen=True, slots=True)
class VoiceLimits:
    """What a model can take: the largest text token, the largest audio token, its width (None: not checked)."""

    text_card: int = 32_000
    audio_card: int = 2_048
    dim: int | None = None


PERSONAPLEX_LIMITS: Final = VoiceLimits()


def load_pt(path: Path, limits: VoiceLimits = PERSONAPLEX_LIMITS) -> Voice:
    """Return the voice of a file that `torch.save` wrote as a zip archive (torch 1.6 and later).

    It holds a dict: `embeddings` float [M - 1, 1, 1, D] and `cache` int [1, 17, 4] as published, or `codes`
    int [M, 8]; other keys are left alone. Nothing in it is executed. EngineError says what is wrong with it.
    """
    _refuse_large(path)
    data = _load_archive(path)
    if not isinstance(data, dict):
        raise _wrong(path.name, f"it holds a {type(data).__name__}, not a dict")
    if "embeddings" in data and "cache" in data:
        return embedded_voice(path.name, data["embeddings"], data["cache"], limits)
    if "codes" in data:
        return codes_voice(path.name, _tensor(path.name, "codes", data["codes"], _WHOLE).numpy(), limits)
    raise _wrong(path.name, "it has neither 'embeddings' and 'cache' nor 'codes'")


def embedded_voice(
    name: str, embeddings: object, cache: object, limits: VoiceLimits = PERSONAPLEX_LIMITS
) -> EmbeddedVoice:
    """Return the voice of a published file's two tensors, [M - 1, 1, 1, D] and [1, 17, 4], M from 2 to 1,000.

    The ring is read by position; entries older than position M - 1 are stale and not looked at. EngineError if a
    shape, a type or a number is not as it must be.
    """
    inputs = _inputs(name, _tensor(name, "embeddings", embeddings, _FLOATS), limits)
    ring = _tensor(name, "cache", cache, _WHOLE)
    if tuple(ring.shape) != (1, N_STREAMS, RING):
        raise _wrong(name, f"cache has shape {list(ring.shape)}, not [1, {N_STREAMS}, {RING}]")
    columns: Codes = ring[0].to(torch.int64).numpy()
    n_frames = len(inputs) + 1
    last = columns[:, (n_frames - 1) % RING].copy()
    next_row = columns[:, n_frames % RING]
    largest = np.full(N_STREAMS, limits.audio_card)
    largest[0] = limits.text_card
    for row, known in ((last, slice(None)), (next_row, _DELAYED)):
        if np.any((row[known] < 0) | (row[known] > largest[known])):
            raise _wrong(name, f"cache holds tokens beyond 0..{limits.text_card} (text) or 0..{limits.audio_card}")
    return EmbeddedVoice(name, inputs, last, np.where(_DELAYED, next_row, UNKNOWN))


def prepare_wav(path: Path) -> NDArray[np.float32]:
    """Return a recording as the model wants to hear a voice: float32 [n * 1920], 24 kHz mono, -24 LUFS.

    Channels are averaged, peaks beyond -1..1 are cut, the end is filled with silence to a whole frame. EngineError
    if it is no wav file, shorter than 1 s, longer than 30 s, or silent.
    """
    sound, rate = _read_wav(path)
    if rate != SAMPLE_RATE:
        sound = np.asarray(soxr.resample(sound, rate, SAMPLE_RATE), dtype=np.float64)
    loudness = integrated_loudness(sound, SAMPLE_RATE)
    if loudness == SILENT_LUFS:
        raise _wrong(path.name, "it is silent", "record it again, louder")
    sound = np.clip(sound * 10 ** ((TARGET_LUFS - loudness) / 20), -1.0, 1.0)
    return np.pad(sound, (0, -len(sound) % FRAME_SAMPLES)).astype(np.float32)


# --- files of torch


def _load_archive(path: Path) -> object:
    """Return what a torch archive holds. Deflated members are let in only if they do not grow beyond the limit."""
    try:
        with zipfile.ZipFile(path) as archive:
            n_bytes = sum(member.file_size for member in archive.infolist())
        if n_bytes > MAX_FILE_BYTES:
            raise _wrong(path.name, f"it unpacks to {n_bytes >> 20} MB; at most {MAX_FILE_BYTES >> 20} are read")
        return torch.load(path, map_location="cpu", weights_only=True)
    except EngineError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        reason = " ".join(str(error).split())[:200]
        raise _wrong(path.name, f"it is no archive of plain tensors ({type(error).__name__}: {reason})") from error


def _tensor(name: str, key: str, value: object, dtypes: tuple[torch.dtype, ...]) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        raise _wrong(name, f"{key} is a {type(value).__name__}, not a tensor")
    if value.dtype not in dtypes or value.layout is not torch.strided or value.device.type != "cpu":
        wanted = ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
        raise _wrong(name, f"{key} is {value.dtype}, {value.layout}, on {value.device}; it must be dense, of {wanted}")
    return value.detach()


def _inputs(name: str, embeddings: torch.Tensor, limits: VoiceLimits) -> torch.Tensor:
    shape = tuple(embeddings.shape)
    if len(shape) != 4 or shape[1:3] != (1, 1) or not 1 <= shape[3] <= _MAX_DIM:
        raise _wrong(name, f"embeddings have shape {list(shape)}, not [M - 1, 1, 1, D]")
    if limits.dim is not None and shape[3] != limits.dim:
        raise _wrong(name, f"embeddings are {shape[3]} wide, the model is {limits.dim}", "take a voice made for it")
    _check_length(name, shape[0] + 1, least=2)
    if not bool(torch.isfinite(embeddings).all()):
        raise _wrong(name, "embeddings hold what is no finite number")
    return embeddings.reshape(shape[0], shape[3]).contiguous()


def codes_voice(name: str, codes: NDArray[Any], limits: VoiceLimits) -> CodesVoice:
    """Check codes [M, 8]. The token `audio_card` itself means "nothing yet" and is no code."""
    if codes.ndim != 2 or codes.shape[1] != N_CODEBOOKS:
        raise _wrong(name, f"codes have shape {list(codes.shape)}, not [M, {N_CODEBOOKS}]")
    _check_length(name, len(codes), least=1)
    if codes.min() < 0 or codes.max() >= limits.audio_card:
        raise _wrong(name, f"codes must be from 0 to {limits.audio_card - 1}, not {codes.min()} to {codes.max()}")
    return CodesVoice(name, np.array(codes, dtype=np.int64, order="C"))


def _check_length(name: str, n_frames: int, least: int) -> None:
    if not least <= n_frames <= MAX_FRAMES:
        raise _wrong(name, f"it has {n_frames} frames; {least} to {MAX_FRAMES} are possible")


# --- recordings


def _read_wav(path: Path) -> tuple[NDArray[np.float64], int]:
    """Return a wav file's channels averaged, [n], and its rate in Hz."""
    _refuse_large(path)
    try:
        with soundfile.SoundFile(str(path)) as file:
            _check_header(path.name, file.format, file.samplerate, file.frames)
            sound: NDArray[np.float32] = file.read(dtype="float32", always_2d=True)
            rate = int(file.samplerate)
    except (soundfile.SoundFileError, OSError) as error:
        raise _wrong(path.name, f"it cannot be read as sound ({error})", "save it as a PCM wav file") from error
    if not np.all(np.isfinite(sound)):
        raise _wrong(path.name, "it holds samples that are no finite numbers", "save it as a PCM wav file")
    return sound.mean(axis=1, dtype=np.float64), rate


def _check_header(name: str, form: str, rate: int, n_samples: int) -> None:
    if form not in _WAV_FORMATS:
        raise _wrong(name, f"it is a {form} file, not wav", "save it as a PCM wav file")
    if not _RATES_HZ[0] <= rate <= _RATES_HZ[1]:
        raise _wrong(name, f"its rate is {rate} Hz", f"record it with {_RATES_HZ[0]} to {_RATES_HZ[1]} Hz")
    if not MIN_WAV_S * rate <= n_samples <= MAX_WAV_S * rate:
        raise _wrong(name, f"it lasts {n_samples / rate:.2f} s", f"cut it to {MIN_WAV_S:g} to {MAX_WAV_S:g} s")


def _refuse_large(path: Path) -> None:
    try:
        n_bytes = path.stat().st_size
    except OSError as error:
        raise _wrong(path.name, f"it cannot be read ({error})") from error
    if n_bytes > MAX_FILE_BYTES:
        raise _wrong(path.name, f"it has {n_bytes >> 20} MB; at most {MAX_FILE_BYTES >> 20} are read")


def _wrong(name: str, what: str, remedy: str = "download the voice again or make it anew") -> EngineError:
    return EngineError(f"the voice {name} is of no use: {what}; {remedy}")
