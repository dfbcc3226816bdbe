"""A speaker against his own normal, energy, and pace in three places."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.listener.baseline import (
    Baseline,
    Deviation,
    Locale,
    Normal,
    PaceJudge,
    energy,
    locale_of,
    words_per_min,
)
from services.voice_worker.listener.prosody import Measures
from shared.events import Language

SECOND = Measures(
    start_ms=0,
    end_ms=1_000,
    speech_s=1.0,
    voiced_s=0.7,
    f0_median_hz=110.0,
    f0_range_st=4.0,
    f0_sd_st=1.5,
    loudness_db=-30.0,
    loudness_sd_db=5.0,
    syllables=4,
    syllables_per_s=4.0,
    pause_share=0.1,
)


def turn(rate: float, seconds: float = 10.0) -> Measures:
    return replace(SECOND, speech_s=seconds, syllables=round(rate * seconds), syllables_per_s=rate)


def test_until_15_s_of_voice_the_population_is_the_measure_and_quality_is_low() -> None:
    baseline = Baseline("nl-NL")
    for _ in range(21):  # 14.7 s
        baseline.learn(SECOND)
    assert not baseline.ready
    assert baseline.deviation(SECOND).loudness == pytest.approx((-30 + 26) / 6)
    assert baseline.quality(10.0) == pytest.approx(0.3)
    baseline.learn(SECOND)
    assert baseline.ready
    assert baseline.deviation(SECOND) == Deviation(0.0, 0.0, 0.0)
    assert baseline.quality(10.0) == 1.0
    assert baseline.quality(0.3) == pytest.approx(0.1)


def test_the_own_normal_is_median_and_scaled_mad() -> None:
    normal = Normal(0.0, 1.0, 0.01)
    for value in (1.0, 2.0, 3.0, 4.0, 100.0):
        normal.learn(value, 4.0)
    assert normal.centre == 3.0
    assert normal.z(3.0 + 1.4826) == pytest.approx(1.0)
    assert normal.z(100.0) == 3.0
    assert normal.z(-100.0) == -3.0


def test_after_a_minute_it_follows_slowly_and_only_what_is_near() -> None:
    normal = Normal(None, 1.0, 1.0)
    for value in [9.0, 10.0, 11.0] * 10:
        normal.learn(value, 2.0)
    assert normal.centre == 10.0
    normal.learn(100.0, 2.0)
    assert normal.centre == 10.0
    for _ in range(150):  # 300 s, the time constant
        normal.learn(11.0, 2.0)
    assert 10.5 < (normal.centre or 0) < 10.75


def test_without_a_prior_nothing_is_off_until_the_speaker_is_known() -> None:
    normal = Normal(None, 1.0, 1.0)
    assert normal.z(40.0) == 0.0
    normal.learn(None, 20.0)
    assert normal.centre is None


def test_energy_is_half_at_normal_and_rises_with_each_measure() -> None:
    assert energy(Deviation(0, 0, 0)) == 0.5
    assert energy(Deviation(1, 0, 0)) == pytest.approx(0.7109, abs=1e-4)  # logistic of 0.9
    assert energy(Deviation(0, 1, 0)) == pytest.approx(0.5987, abs=1e-4)
    assert energy(Deviation(0, 0, 1)) == pytest.approx(0.5744, abs=1e-4)


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3))
def test_energy_is_a_share(loudness: float, f0_range: float, rate: float) -> None:
    assert 0 < energy(Deviation(loudness, f0_range, rate)) < 1


@pytest.mark.parametrize(
    ("language", "locale", "bands"),
    [("nl", "nl-BE", "nl-BE"), ("nl", "nl_BE", "nl-BE"), ("nl", "nl-NL", "nl-NL"), ("nl", "", "nl-NL"),
     ("en", "en-GB", "en"), ("en", "nl-BE", "en")],
)  # fmt: skip
def test_whose_bands_hold(language: Language, locale: str, bands: Locale) -> None:
    assert locale_of(language, locale) == bands


@pytest.mark.parametrize(
    ("bands", "slow", "normal", "fast"),
    [("nl-NL", 3.8, 5.0, 6.0), ("nl-BE", 3.3, 4.9, 5.2), ("en", 3.2, 5.0, 5.3)],
)
def test_pace_by_the_bands_of_the_place(bands: Locale, slow: float, normal: float, fast: float) -> None:
    judge = PaceJudge(bands)
    assert [judge.judge(turn(rate)) for rate in (slow, normal, fast)] == ["slow", "normal", "fast"]


def test_after_a_minute_pace_is_relative_to_the_own_rate() -> None:
    judge = PaceJudge("en")
    for _ in range(6):
        judge.learn(turn(6.0))
    assert judge.judge(turn(6.0)) == "normal"
    assert judge.judge(turn(7.0)) == "fast"
    assert judge.judge(turn(5.0)) == "slow"


def test_too_little_speech_keeps_the_last_pace() -> None:
    judge = PaceJudge("nl-NL")
    assert judge.judge(turn(8.0, seconds=2.0)) == "normal"
    assert judge.judge(turn(8.0)) == "fast"
    assert judge.judge(turn(1.0, seconds=2.0)) == "fast"
    assert judge.judge(turn(1.0, seconds=2.0), n_words=8) == "slow"
    assert judge.judge(replace(SECOND, syllables_per_s=None), n_words=20) == "slow"


def test_words_per_minute() -> None:
    assert words_per_min(30, 1_000, 11_000) == 180
    assert words_per_min(1, 0, 1_000) is None
    assert words_per_min(5, 100, 100) is None
