"""Pitch against voices whose pitch is known: made ones, clean and in noise, and a real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from shared.audio.pitch import HOP_MS, PitchTracker

RATE = 16_000
CLIP = Path(__file__).parents[2] / "fixtures/audio/en_human/librivox_sense_and_sensibility_01_austen_64kb-0870.wav"
Floats = NDArray[np.float64]


def voice(f0_hz: Floats) -> NDArray[np.float32]:
    """Return a vowel with this pitch at each sample: harmonics under three formants."""
    phase = np.cumsum(f0_hz) / RATE
    out = np.zeros(len(f0_hz))
    for k in range(1, 60):
        hz = f0_hz * k
        gain = sum(
            1 / np.sqrt((1 - (hz / centre) ** 2) ** 2 + (hz * width / centre**2) ** 2)
            for centre, width in ((600.0, 80.0), (1_100.0, 100.0), (2_500.0, 150.0))
        )
        out += np.where(hz < 7_500, gain / k * np.sin(2 * np.pi * k * phase), 0.0)
    return (0.1 * out / np.std(out)).astype(np.float32)


def follow(sound: NDArray[np.float32], tracker: PitchTracker | None = None) -> Floats:
    tracker = tracker or PitchTracker()
    return np.array(
        [hop.f0_hz for at in range(0, len(sound) - 511, 512) for hop in tracker.push(sound[at : at + 512], True)]
    )


def truth_at_hops(f0_hz: Floats, n: int) -> Floats:
    """The measure of hop k is of the 48 ms that end with it: their middle is 24 ms earlier."""
    return f0_hz[np.clip(256 * (np.arange(n) + 1) - 384, 0, len(f0_hz) - 1)]


@pytest.mark.parametrize("hz", [65, 90, 120, 170, 240, 320, 390])
@pytest.mark.parametrize("noise_db", [None, 20, 5, 0])
def test_a_known_pitch_is_found(hz: float, noise_db: float | None) -> None:
    f0 = hz * (1 + 0.015 * np.sin(2 * np.pi * 5 * np.arange(RATE) / RATE))
    sound = voice(f0)
    if noise_db is not None:
        rng = np.random.default_rng(int(hz))
        sound = sound + (0.1 * 10 ** (-noise_db / 20) * rng.standard_normal(RATE)).astype(np.float32)
    found = follow(sound)[4:]
    truth = truth_at_hops(f0, len(found) + 4)[4:]
    voiced = found > 0
    cents = 1200 * np.abs(np.log2(found[voiced] / truth[voiced]))
    assert voiced.mean() > 0.95
    assert np.median(cents) < 5
    assert (cents > 240).mean() < 0.01


def test_a_glide_over_an_octave_is_followed() -> None:
    f0 = 110 * 2 ** np.linspace(0, 1, 2 * RATE)
    found = follow(voice(f0))
    truth = truth_at_hops(f0, len(found))
    cents = 1200 * np.abs(np.log2(found[4:] / truth[4:]))
    assert (found[4:] > 0).all()
    assert cents.max() < 100


def test_noise_and_silence_have_no_pitch() -> None:
    rng = np.random.default_rng(3)
    assert (follow((0.1 * rng.standard_normal(4 * RATE)).astype(np.float32)) > 0).mean() < 0.03
    assert (follow(np.zeros(RATE, dtype=np.float32)) == 0).all()


def test_a_lone_octave_error_is_dropped_and_a_real_move_is_taken() -> None:
    low, high = np.full(RATE // 2, 100.0), np.full(320, 200.0)
    glitch = follow(voice(np.concatenate((low, high, low))))
    assert (glitch[6:] < 150).all()
    moved = follow(voice(np.concatenate((low, np.full(RATE // 2, 300.0)))))
    assert np.median(moved[-10:]) == pytest.approx(300, rel=0.01)


def test_pitch_is_not_looked_for_where_nobody_speaks() -> None:
    sound = voice(np.full(512, 120.0))
    assert [hop.f0_hz for hop in PitchTracker().push(sound, False)] == [0.0, 0.0]


@pytest.mark.parametrize(("amplitude", "db"), [(1.0, -3.01), (0.1, -23.01), (0.0, -100.0)])
def test_loudness_is_in_db_of_full_scale(amplitude: float, db: float) -> None:
    sound = (amplitude * np.sin(2 * np.pi * 500 * np.arange(512) / RATE)).astype(np.float32)
    assert [hop.loudness_db for hop in PitchTracker().push(sound, False)] == pytest.approx([db, db], abs=0.05)


def test_a_mans_voice_stays_in_a_mans_range_without_leaps() -> None:
    sound, rate = sf.read(CLIP, dtype="float32")
    assert rate == RATE
    found = follow(sound)
    both = (found[1:] > 0) & (found[:-1] > 0)
    leaps = np.abs(12 * np.log2(found[1:][both] / found[:-1][both]))
    assert np.median(found[found > 0]) == pytest.approx(97, abs=8)
    assert (leaps > 8).mean() < 0.01
    assert 1000 / HOP_MS * len(sound) / RATE == pytest.approx(len(found), abs=2)
