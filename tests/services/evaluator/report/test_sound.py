"""Curves of sound that is known, and tracks that come out as they went in."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from services.evaluator.intervals import Interval
from services.evaluator.recording.tracks import from_ogg
from services.evaluator.report.sound import (
    FLOOR_DB,
    LOUDNESS_STEP_MS,
    MAX_POINTS,
    loudness_curve,
    measure,
    pitch_curve,
    track_uri,
)
from shared.audio import SAMPLE_RATE
from tests.services.evaluator.recorded_talks import humming_view, role_play_view


def hum(hz: float, seconds: float) -> np.ndarray:
    at = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.1 * sum(np.sin(2 * np.pi * k * hz * at) / k for k in range(1, 8))).astype(np.float32)


def test_loudness_is_decibels_of_full_scale() -> None:
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)).astype(np.float32)
    curve = loudness_curve(np.concatenate([tone, np.zeros(SAMPLE_RATE, dtype=np.float32)]))
    assert len(curve.values) == 2_000 // LOUDNESS_STEP_MS
    assert curve.values[3] == pytest.approx(-9.0, abs=0.1)
    assert curve.values[-1] == FLOOR_DB


@pytest.mark.parametrize("hz", [90, 200, 310])
def test_a_known_pitch_is_drawn_where_it_is(hz: float) -> None:
    sound = np.concatenate([np.zeros(SAMPLE_RATE, dtype=np.float32), hum(hz, 1.0)])
    curve = pitch_curve(sound, [Interval(1_000, 2_000)])
    drawn = [value for value in curve.values if value is not None]
    assert np.median(drawn) == pytest.approx(hz, rel=0.01)
    assert all(value is None for value in curve.values[: 900 // curve.step_ms])


def test_pitch_is_looked_for_in_speech_only() -> None:
    assert set(pitch_curve(hum(150, 1.0), []).values) == {None}


def test_a_long_track_has_no_more_points() -> None:
    curve = loudness_curve(np.zeros(SAMPLE_RATE * 500, dtype=np.float32))
    assert len(curve.values) <= MAX_POINTS
    assert curve.step_ms % LOUDNESS_STEP_MS == 0


def test_nothing_has_no_curve() -> None:
    voice = measure(np.zeros(0, dtype=np.float32), [])
    assert (voice.loudness.values, voice.pitch.values) == ((), ())


def test_a_track_is_embedded_as_it_was_recorded() -> None:
    recording = humming_view().recording
    head, _, data = track_uri(recording, "input").partition(",")
    assert head == "data:audio/ogg;base64"
    assert tuple(from_ogg(base64.b64decode(data))) == recording.packets["input"]


def test_without_a_track_there_is_nothing_to_embed() -> None:
    assert track_uri(role_play_view().recording, "output") == ""
