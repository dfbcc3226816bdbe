"""Sound of an import: each voice on its track, at its sample; what is cut off, mixed or no sound is refused."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile as sf

from services.evaluator.recording import import_sound
from services.evaluator.recording.import_files import Source
from services.evaluator.recording.import_sound import encode_track, read_sound, two_voices
from services.evaluator.recording.manifest import RecordingError
from services.evaluator.recording.tracks import from_ogg, to_ogg
from shared.audio import FRAME_SAMPLES
from shared.audio.opus import OpusDecoder

SECONDS = 1.5


def tone(hz: float, rate: int, seconds: float = SECONDS) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def file(channels: np.ndarray, rate: int = 24_000, kind: str = "WAV", sub: str | None = None) -> Source:
    data = io.BytesIO()
    sf.write(data, channels, rate, format=kind, subtype=sub)
    return Source(f"call.{kind.lower()}", data.getvalue())


def pitch(voice: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(voice))) * 24_000 / len(voice))


@pytest.mark.parametrize(
    ("kind", "sub", "rate"), [("WAV", "PCM_16", 8_000), ("WAV", "FLOAT", 44_100), ("OGG", "OPUS", 48_000)]
)
def test_a_stereo_file_of_any_rate(kind: str, sub: str, rate: int) -> None:
    stereo = np.stack([tone(300, rate), tone(700, rate)], axis=1)
    left, right = two_voices([file(stereo, rate, kind, sub)])
    assert len(left) == len(right)
    assert len(left) % FRAME_SAMPLES == 0
    assert 0 <= len(left) - SECONDS * 24_000 < FRAME_SAMPLES
    assert (pitch(left), pitch(right)) == pytest.approx((300, 700), abs=2)
    seller, customer = two_voices([file(stereo, rate, kind, sub)], "right")
    assert (pitch(seller), pitch(customer)) == pytest.approx((700, 300), abs=2)


def test_a_pair_is_filled_to_the_same_length() -> None:
    seller, customer = two_voices([file(tone(300, 24_000, 0.5)), file(tone(700, 16_000, 1.0), 16_000)])
    assert len(seller) == len(customer) == 13 * FRAME_SAMPLES
    assert not seller[13_000:].any()


def test_one_channel_is_two_voices_mixed() -> None:
    with pytest.raises(RecordingError, match="both voices are mixed"):
        two_voices([file(tone(300, 24_000))])


def wav_size(data: bytes, size: int) -> bytes:
    at = data.index(b"data") + 4
    return data[:at] + struct.pack("<I", size) + data[at + 4 :]


WAV = file(tone(300, 24_000)).data
OGG = file(tone(300, 48_000), 48_000, "OGG", "OPUS").data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (WAV[:-100], "is cut off"),
        (WAV[:30], "is cut off: it has no sound"),
        (OGG[:-1], "is cut off"),
        (OGG[: OGG.rfind(b"OggS")], "is cut off"),
        (b"", "cannot be read as sound"),
        (b"RIFF", "cannot be read as sound"),
        (b"\x00" * 500, "cannot be read as sound"),
        (file(tone(300, 24_000), kind="FLAC").data, "is FLAC"),
        (file(np.zeros((100, 3), np.float32)).data, "has 3 channels"),
        (file(tone(300, 1_000), 1_000).data, "at 1000 Hz"),
        (file(np.zeros(0, np.float32)).data, "holds no sound"),
    ],
)
def test_what_is_no_whole_sound_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(RecordingError, match=why):
        read_sound(Source("call.wav", data))


def test_a_wav_that_was_written_into_a_pipe_is_read_to_its_end() -> None:
    sound, _ = read_sound(Source("call.wav", wav_size(WAV, 0xFFFFFFFF)))
    assert len(sound) == SECONDS * 24_000


def test_what_unpacks_to_too_much_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_sound, "MAX_HOURS", 1 / 3600)
    monkeypatch.setattr(import_sound, "BLOCK", 1_000)
    with pytest.raises(RecordingError, match="longer than"):
        read_sound(Source("call.ogg", OGG))


def test_a_track_sounds_where_the_voice_sounds() -> None:
    voice = np.zeros(10 * FRAME_SAMPLES, np.float32)
    voice[7_000:7_400] = np.random.default_rng(1).uniform(-0.8, 0.8, 400)
    track = encode_track(voice)
    assert track.n_samples == len(voice)
    with OpusDecoder() as decoder:
        heard = np.concatenate([decoder.decode(packet) for packet in from_ogg(to_ogg(track, 1))])
    assert len(heard) == len(voice)
    best = int(np.argmax(np.correlate(heard, voice[7_000:7_400], "valid")))
    assert abs(best - 7_000) <= 1
