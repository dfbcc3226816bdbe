"""Syllables, pauses, loudness and pitch of a stretch, on made and on real speech."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.listener.prosody import ProsodyTrack, measure, pause_mask, share_below
from services.voice_worker.listener.vad import SileroVad
from shared.audio.pitch import HOP_MS, Hop, PitchTracker

CLIPS = Path(__file__).parents[3] / "fixtures" / "audio" / "en_human"

# Syllables of each clip, counted by hand from its text.
SYLLABLES = {"0870": 30, "0880": 9, "0890": 20, "0920": 26, "0930": 13}


def track_of(levels: list[float], f0_hz: list[float], speech: list[bool]) -> ProsodyTrack:
    track = ProsodyTrack(0)
    for level, hz, is_speech in zip(levels, f0_hz, speech, strict=True):
        track.add((Hop(level, hz),), is_speech)
    return track


def syllables_at(rate_hz: float, seconds: float, depth_db: float) -> ProsodyTrack:
    """Return a voice whose loudness rises and falls `rate_hz` times a second."""
    at = np.arange(int(seconds * 1000 / HOP_MS)) * HOP_MS / 1000
    levels = -25 - depth_db / 2 * (1 + np.cos(2 * np.pi * rate_hz * at))
    return track_of(list(levels), [120.0] * len(at), [True] * len(at))


@pytest.mark.parametrize("rate_hz", [2.0, 4.0, 6.0, 8.0])
def test_made_syllables_are_counted(rate_hz: float) -> None:
    track = syllables_at(rate_hz, 5.0, 10.0)
    found = measure(track.between(0, 10_000))
    assert found.syllables == pytest.approx(5 * rate_hz, abs=1)
    assert found.syllables_per_s == pytest.approx(rate_hz, abs=0.3)


def test_a_ripple_is_no_syllable_and_a_voiceless_peak_neither() -> None:
    assert measure(syllables_at(5.0, 4.0, 1.5).between(0, 10_000)).syllables <= 1
    track = syllables_at(5.0, 4.0, 10.0)
    hissing = track_of(list(track.between(0, 4_000).loudness_db), [0.0] * 250, [True] * 250)
    assert measure(hissing.between(0, 10_000)).syllables == 0


@pytest.mark.parametrize("about", json.loads((CLIPS / "manifest.json").read_text()), ids=lambda a: a["file"][-8:-4])
def test_real_syllables_are_counted(about: dict[str, str]) -> None:
    sound, _ = sf.read(CLIPS / about["file"], dtype="float32")
    vad, pitch, track = SileroVad(), PitchTracker(), ProsodyTrack(0)
    for at in range(0, len(sound) - 511, 512):
        window = sound[at : at + 512]
        chance = vad.probability(window)
        track.add(pitch.push(window, chance > 0.3), chance >= 0.35)
    found = measure(track.between(0, 60_000, 60_000))
    truth = SYLLABLES[about["file"][-8:-4]]
    assert found.syllables == pytest.approx(truth, abs=max(1, 0.1 * truth))
    assert found.loudness_db == pytest.approx(-26, abs=4)


def test_a_pause_is_a_silence_of_a_quarter_of_a_second() -> None:
    speech = np.array([True] * 10 + [False] * 15 + [True] * 10 + [False] * 16 + [True] * 10)
    mask = pause_mask(speech)
    assert np.flatnonzero(mask).tolist() == list(range(35, 51))


@given(st.lists(st.booleans(), max_size=200))
def test_pauses_are_silent_and_speech_is_none(speech: list[bool]) -> None:
    mask = pause_mask(np.array(speech, dtype=np.bool_))
    assert len(mask) == len(speech)
    assert not any(pause and spoken for pause, spoken in zip(mask, speech, strict=True))


def test_the_measures_of_a_stretch() -> None:
    n = 125  # two seconds: 1 s of speech, 0.496 s of pause, 0.504 s of speech
    speech = [i < 63 or i >= 94 for i in range(n)]
    semitones = np.linspace(-2, 2, n)
    track = track_of(
        [-20.0 if spoken else -70.0 for spoken in speech],
        [100 * 2 ** (st / 12) if spoken else 0.0 for st, spoken in zip(semitones, speech, strict=True)],
        speech,
    )
    found = measure(track.between(0, 2_000))
    assert (found.start_ms, found.end_ms) == (0, 2_000)
    assert found.speech_s == pytest.approx(94 * 0.016)
    assert found.voiced_s == pytest.approx(94 * 0.016)
    assert found.pause_share == pytest.approx(31 / 125)
    assert found.loudness_db == pytest.approx(-20)
    assert found.loudness_sd_db == pytest.approx(0)
    spoken_st = semitones[np.array(speech)]
    low, mid, high = np.percentile(spoken_st, [10, 50, 90])
    assert found.f0_median_hz == pytest.approx(100 * 2 ** (mid / 12))
    assert found.f0_range_st == pytest.approx(high - low)
    assert found.f0_sd_st == pytest.approx(np.std(spoken_st))


def test_nothing_is_said_of_too_little() -> None:
    found = measure(track_of([-80.0] * 20, [0.0] * 20, [False] * 20).between(0, 320))
    assert (found.f0_median_hz, found.loudness_db, found.syllables_per_s) == (None, None, None)
    assert found.syllables == 0
    empty = measure(ProsodyTrack(500).between(500, 900))
    assert (empty.start_ms, empty.end_ms, empty.pause_share) == (500, 500, None)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=50), st.floats(0, 1))
def test_shares_are_numpys_percentiles(values: list[float], share: float) -> None:
    ordered = np.sort(np.array(values))
    assert share_below(ordered, share) == pytest.approx(float(np.percentile(ordered, 100 * share)), abs=1e-6)
