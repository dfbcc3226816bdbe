"""Opus in and out: what comes back is the sound that went in, whatever packets carried it."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import opuslib_next
import pytest

from shared.audio import FRAME_SAMPLES, SAMPLE_RATE
from shared.audio.opus import OpusDecoder, OpusEncoder, Pcm
from shared.audio.opus_toc import packet_samples
from shared.errors import AudioError


def tone(n_samples: int, hz: float = 440.0, rate: int = SAMPLE_RATE) -> Pcm:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(n_samples) / rate)).astype(np.float32)


def main_frequency(pcm: Pcm) -> float:
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
    return float(np.argmax(spectrum)) * SAMPLE_RATE / len(pcm)


@pytest.mark.parametrize(("packet_size", "count"), [(480, 4), (960, 2), (1920, 1)])
def test_a_frame_goes_out_in_packets_and_comes_back(packet_size: int, count: int) -> None:
    sound = tone(10 * FRAME_SAMPLES)
    with OpusEncoder(packet_samples=packet_size) as encoder, OpusDecoder() as decoder:
        late = encoder.lookahead_samples
        heard = []
        for start in range(0, len(sound), FRAME_SAMPLES):
            packets = encoder.encode(sound[start : start + FRAME_SAMPLES])
            assert [packet_samples(packet) for packet in packets] == [packet_size] * count
            heard += [decoder.decode(packet) for packet in packets]
    back = np.concatenate(heard)
    assert back.dtype == np.float32
    assert len(back) == len(sound)
    aligned = back[late + 960 :]
    error = aligned - sound[960 : 960 + len(aligned)]
    assert 10 * np.log10(np.mean(sound**2) / np.mean(error**2)) > 15  # dB of signal over coding noise


@pytest.mark.parametrize("rate", [8_000, 12_000, 16_000, 24_000, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_and_stereo_come_out_as_24_khz_mono(rate: int, channels: int) -> None:
    source = opuslib_next.Encoder(rate, channels, "audio")
    source.bitrate = 32_000 * channels
    n = rate // 50
    sound = np.repeat(tone(rate, 440.0, rate)[:, None], channels, axis=1)
    with OpusDecoder() as decoder:
        heard = [
            decoder.decode(source.encode_float(sound[start : start + n].tobytes(), n)) for start in range(0, rate, n)
        ]
    back = np.concatenate(heard)
    assert len(back) == SAMPLE_RATE
    assert main_frequency(back[4_800:]) == pytest.approx(440, abs=2)
    assert np.sqrt(np.mean(back[4_800:] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)


def test_left_and_right_are_mixed() -> None:
    source = opuslib_next.Encoder(48_000, 2, "audio")
    source.bitrate = 96_000
    left_only = np.zeros((48_000, 2), dtype=np.float32)
    left_only[:, 0] = tone(48_000, 440.0, 48_000)
    with OpusDecoder() as decoder:
        heard = [
            decoder.decode(source.encode_float(left_only[start : start + 960].tobytes(), 960))
            for start in range(0, 48_000, 960)
        ]
    level = np.sqrt(np.mean(np.concatenate(heard)[4_800:] ** 2))
    assert level == pytest.approx(0.15 / np.sqrt(2), rel=0.15)


def test_a_lost_packet_is_concealed_and_fades() -> None:
    sound = tone(5 * FRAME_SAMPLES, 200.0)
    with OpusEncoder() as encoder, OpusDecoder() as decoder:
        for start in range(0, len(sound), FRAME_SAMPLES):
            for packet in encoder.encode(sound[start : start + FRAME_SAMPLES]):
                decoder.decode(packet)
        filled = decoder.conceal(4 * FRAME_SAMPLES)
    first, last = filled[:480], filled[-480:]
    assert len(filled) == 4 * FRAME_SAMPLES
    assert np.sqrt(np.mean(first**2)) > 0.1
    assert np.sqrt(np.mean(last**2)) < 0.1 * np.sqrt(np.mean(first**2))


@pytest.mark.parametrize("n_samples", [0, 1, 59, 61, 2_880, 2_881, 10_001])
def test_any_length_can_be_concealed(n_samples: int) -> None:
    with OpusDecoder() as decoder:
        assert decoder.conceal(n_samples).shape == (n_samples,)


def test_garbage_is_refused_and_the_stream_goes_on() -> None:
    with OpusEncoder() as encoder, OpusDecoder() as decoder:
        good = encoder.encode(tone(FRAME_SAMPLES))
        for garbage in (b"", bytes([11, 0]), bytes([11]), bytes([10, 200, 1])):
            with pytest.raises(AudioError):
                decoder.decode(garbage)
        assert decoder.decode(good[0]).shape == (480,)


def test_results_are_not_overwritten_by_later_packets() -> None:
    with OpusEncoder() as encoder, OpusDecoder() as decoder:
        first = decoder.decode(encoder.encode(tone(FRAME_SAMPLES))[0])
        kept = first.copy()
        decoder.conceal(480)
    assert np.array_equal(first, kept)


def test_only_whole_frames_are_encoded() -> None:
    with OpusEncoder() as encoder, pytest.raises(AudioError, match="1920"):
        encoder.encode(tone(1_000))
    with pytest.raises(ValueError, match="do not fill"):
        OpusEncoder(packet_samples=700)


def test_values_that_are_no_numbers_do_not_reach_the_codec() -> None:
    frame = tone(FRAME_SAMPLES)
    frame[5], frame[6], frame[7] = np.nan, np.inf, -np.inf
    with OpusEncoder() as encoder, OpusDecoder() as decoder:
        for packet in encoder.encode(frame):
            assert np.isfinite(decoder.decode(packet)).all()


def test_closing_frees_the_codec_and_later_calls_say_so() -> None:
    decoder, encoder = OpusDecoder(), OpusEncoder()
    inner = [weakref.ref(decoder._decoder), weakref.ref(encoder._encoder)]
    for codec in (decoder, encoder):
        codec.close()
        codec.close()
    gc.collect()
    assert [ref() for ref in inner] == [None, None]
    with pytest.raises(AudioError, match="closed"):
        decoder.decode(b"\x08")
    with pytest.raises(AudioError, match="closed"):
        encoder.encode(tone(FRAME_SAMPLES))
