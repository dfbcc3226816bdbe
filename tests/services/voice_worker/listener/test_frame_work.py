"""The job of the media thread: windows with their places in media time, over losses and after a takeover."""

from __future__ import annotations

import numpy as np
import pytest

from services.voice_worker.listener.frame_work import FrameWork, Heard
from services.voice_worker.listener.vad import WINDOW_MS, Pcm
from shared.audio import FRAME_SAMPLES
from shared.audio.opus import OpusDecoder, OpusEncoder
from shared.wire import AudioFrame


class Loud:
    """Takes sound that is loud for speech; counts the streams it was told to begin."""

    def __init__(self) -> None:
        self.resets = 0

    def probability(self, window: Pcm) -> float:
        assert window.shape == (512,)
        return float(np.sqrt(np.mean(window**2)) > 0.05)

    def reset(self) -> None:
        self.resets += 1


def stream(sound: Pcm) -> list[AudioFrame]:
    with OpusEncoder() as encoder:
        return [
            AudioFrame(seq, FRAME_SAMPLES, encoder.encode(frame))
            for seq, frame in enumerate(sound.reshape(-1, FRAME_SAMPLES))
        ]


def tone_from(start_ms: int, until_ms: int, total_ms: int) -> Pcm:
    at = np.arange(24 * total_ms)
    loud = (at >= 24 * start_ms) & (at < 24 * until_ms)
    return (0.4 * np.sin(2 * np.pi * 150 * at / 24_000) * loud).astype(np.float32)


def windows_of(heard: list[Heard]) -> list[tuple[int, float]]:
    return [(window.start_ms, window.probability) for one in heard for window in one.windows]


@pytest.mark.parametrize("start_ms", [0, 160_000])
def test_windows_follow_each_other_and_stand_where_their_sound_is(start_ms: int) -> None:
    with OpusDecoder() as decoder:
        work = FrameWork(decoder, Loud(), start_ms)
        heard = [work.process(entry) for entry in stream(tone_from(800, 1_600, 2_400))]
    found = windows_of(heard)
    assert [at for at, _ in found] == list(range(start_ms, start_ms + 32 * len(found), WINDOW_MS))
    assert len(found) == 2_400 // 32
    loud = [at - start_ms for at, probability in found if probability]
    assert loud[0] == pytest.approx(800, abs=40)
    assert loud[-1] + WINDOW_MS == pytest.approx(1_600, abs=48)
    assert [one.media_ms - start_ms for one in heard] == list(range(80, 2_480, 80))


def test_pitch_comes_with_speech_only() -> None:
    with OpusDecoder() as decoder:
        work = FrameWork(decoder, Loud(), 0)
        heard = [work.process(entry) for entry in stream(tone_from(800, 1_600, 2_400))]
    for one in heard:
        for window in one.windows:
            assert len(window.hops) == 2
            if not window.probability:
                assert all(hop.f0_hz == 0 for hop in window.hops)
    pitches = [hop.f0_hz for one in heard for window in one.windows for hop in window.hops if hop.f0_hz]
    assert np.median(pitches) == pytest.approx(150, rel=0.01)


def test_a_short_loss_keeps_the_time_and_the_stream() -> None:
    activity = Loud()
    with OpusDecoder() as decoder:
        work = FrameWork(decoder, activity, 0)
        entries = stream(tone_from(0, 2_400, 2_400))
        heard = [work.process(entry) for entry in entries if not 10 <= entry.seq < 13]
    found = windows_of(heard)
    assert [at for at, _ in found] == list(range(0, 32 * len(found), WINDOW_MS))
    assert heard[-1].media_ms == 2_400
    assert not any(one.jumped for one in heard)
    assert work.counts.lost_frames == 3


def test_a_loss_too_long_to_fill_is_a_new_stream_later() -> None:
    activity = Loud()
    with OpusDecoder() as decoder:
        work = FrameWork(decoder, activity, 0)
        one, *_, last = stream(tone_from(0, 800, 800))
        work.process(one)
        heard = work.process(AudioFrame(1_000, last.n_samples, last.packets))
    assert heard.jumped
    assert heard.media_ms == 1_001 * 80
    assert heard.windows[0].start_ms == 1_000 * 80
    assert activity.resets == 1
