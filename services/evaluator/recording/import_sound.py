"""Sound files of an import to two voices at 24 kHz, and these to tracks. Reads WAV and Ogg (Opus, Vorbis)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

from services.evaluator.recording.import_files import Source
from services.evaluator.recording.manifest import RecordingError
from services.evaluator.recording.tracks import Track, ends_whole
from shared.audio import FRAME_SAMPLES, SAMPLE_RATE
from shared.audio.opus import OpusEncoder

Pcm = NDArray[np.float32]
Channel = Literal["left", "right"]

MAX_HOURS = 4
BLOCK = 1 << 18
_FORMATS = ("WAV", "WAVEX", "RF64", "OGG")
_OPEN_ENDED = (0, 0xFFFFFFFF)
"""Sizes in the head of a WAV file that was written into a pipe: nobody knew its length."""


def two_voices(sounds: Sequence[Source], seller: Channel = "left") -> tuple[Pcm, Pcm]:
    """Return (seller, customer), equally long, float32 -1..1 at 24 kHz. Raises RecordingError.

    Of two files the first is the seller's, and their channels are averaged; of one file with two channels `seller`
    says which is the seller's.
    """
    if len(sounds) == 1:
        channels, rate = read_sound(sounds[0])
        if channels.shape[1] != 2:
            raise RecordingError(
                f"{sounds[0].name} has {channels.shape[1]} channel: both voices are mixed. "
                "Name a stereo file with a voice on each side, or two files"
            )
        first, second = (0, 1) if seller == "left" else (1, 0)
        voices = [(channels[:, first], rate), (channels[:, second], rate)]
    else:
        voices = [(channels.mean(axis=1), rate) for channels, rate in map(read_sound, sounds)]
    one, other = (_resampled(voice, rate) for voice, rate in voices)
    longest = max(len(one), len(other))
    return _filled(one, longest), _filled(other, longest)


def read_sound(source: Source) -> tuple[NDArray[np.float32], int]:
    """Return (samples [n, channels], rate). Raises RecordingError for what is cut off, too long or no sound."""
    _check_whole(source)
    try:
        with sf.SoundFile(io.BytesIO(source.data)) as file:
            if file.format not in _FORMATS:
                raise RecordingError(f"{source.name} is {file.format}; WAV and Ogg can be imported")
            if not 1 <= file.channels <= 2 or not 4_000 <= file.samplerate <= 192_000:
                raise RecordingError(f"{source.name} has {file.channels} channels at {file.samplerate} Hz")
            limit = MAX_HOURS * 3600 * file.samplerate
            blocks: list[NDArray[np.float32]] = []
            n_read = 0
            while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
                n_read += len(block)
                if n_read > limit:
                    raise RecordingError(f"{source.name} is longer than {MAX_HOURS} hours")
                blocks.append(block)
            rate = int(file.samplerate)
    except (sf.LibsndfileError, RuntimeError, ValueError) as error:
        raise RecordingError(f"{source.name} cannot be read as sound: {error}") from error
    if not n_read:
        raise RecordingError(f"{source.name} holds no sound")
    sound = np.concatenate(blocks)
    return np.clip(np.nan_to_num(sound, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0), rate


def _check_whole(source: Source) -> None:
    """Raise RecordingError if the file ends before its end: libsndfile reads on silently."""
    data = source.data
    if data.startswith(b"OggS"):
        if not ends_whole(data):
            raise RecordingError(f"{source.name} is cut off: its last Ogg page is not marked as the end")
    elif data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        at = 12
        while at + 8 <= len(data):
            size = int.from_bytes(data[at + 4 : at + 8], "little")
            if data[at : at + 4] == b"data":
                if size not in _OPEN_ENDED and at + 8 + size > len(data):
                    raise RecordingError(f"{source.name} is cut off: {len(data) - at - 8} of {size} bytes are there")
                return
            at += 8 + size + (size & 1)
        raise RecordingError(f"{source.name} is cut off: it has no sound")


def _resampled(voice: Pcm, rate: int) -> Pcm:
    if rate == SAMPLE_RATE:
        return np.ascontiguousarray(voice, dtype=np.float32)
    return np.clip(np.asarray(soxr.resample(voice, rate, SAMPLE_RATE), dtype=np.float32), -1.0, 1.0)


def _filled(voice: Pcm, n_samples: int) -> Pcm:
    """Return the voice with silence up to that length, and on to the end of its last frame."""
    whole = -(-n_samples // FRAME_SAMPLES) * FRAME_SAMPLES
    return np.pad(voice, (0, whole - len(voice)))


def encode_track(voice: Pcm) -> Track:
    """Return the track of a voice (a whole number of frames). Sample n of it sounds as sample n of the voice."""
    with OpusEncoder() as encoder:
        # The codec's sound is late by its look-ahead: so much is taken off the beginning, 6.5 ms.
        shifted = np.pad(voice[encoder.lookahead_samples :], (0, min(encoder.lookahead_samples, len(voice))))
        packets = [packet for frame in shifted.reshape(-1, FRAME_SAMPLES) for packet in encoder.encode(frame)]
    return Track(packets, len(voice))
