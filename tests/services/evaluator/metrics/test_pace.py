from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.evaluator.metrics.pace import weighted_median
from shared.events import Prosody, ProsodyMeasured, Transcript, TurnEnded

TEN = "wij plannen elke week alle ritten voor zestig groothandels daar"  # 10 words, 17 vowel groups


def measured(rate: float | None, start: int, end: int, quality: float = 1.0) -> ProsodyMeasured:
    return ProsodyMeasured("u1", start, end, Prosody(), syllables_per_s=rate, quality=quality)


def test_words_per_minute_counts_pauses_within_turns(scene: Any, measure: Any) -> None:
    scene.user(1, 0, TEN, word_ms=300, gap_ms=0, pauses={4: 1_000})  # 10 words in 4 s
    value = measure(scene, "pace_words")
    assert (value.value, value.band) == (150.0, "good")


@pytest.mark.parametrize(("locale", "band"), [("nl-BE", "warn"), ("nl-NL", "good")])
def test_bands_follow_the_variety(maker: Any, measure: Any, locale: str, band: str) -> None:
    scene = maker.Scene("nl", locale)
    scene.start()
    scene.user(1, 0, TEN, word_ms=330, gap_ms=0)  # 182 words a minute
    assert measure(scene, "pace_words").band == band


def test_too_little_speech_has_no_pace(scene: Any, measure: Any) -> None:
    scene.user(1, 0, "Goeiedag, hoe gaat het?")
    for name in ("pace_words", "pace_syllables"):
        assert measure(scene, name).value is None
        assert "fewer than 8 words" in measure(scene, name).note


def test_an_open_turn_is_left_out(scene: Any, measure: Any) -> None:
    scene.user(1, 0, TEN, final=False)
    assert measure(scene, "pace_words").value is None


def test_syllables_from_the_sound_come_first(scene: Any, measure: Any) -> None:
    scene.user(1, 0, TEN)
    for index, item in enumerate([measured(4.0, 0, 1_000), measured(6.0, 1_000, 4_000), measured(9.0, 4_000, 4_500)]):
        scene.add(item, f"p{index}", 5_000)
    value = measure(scene, "pace_syllables")
    assert (value.value, value.band, value.note) == (6.0, "warn", "from the sound")


def test_stretches_of_no_quality_are_not_heard(scene: Any, measure: Any) -> None:
    scene.user(1, 0, TEN, word_ms=400, gap_ms=0)
    scene.add(replace(measured(20.0, 0, 3_000), quality=0.0), "p", 5_000)
    value = measure(scene, "pace_syllables")
    assert (value.value, value.note) == (17 / 4.0, "estimated from the text")


def test_without_sound_or_word_times_there_is_no_articulation_rate(scene: Any, measure: Any) -> None:
    scene.user(1, 0, TEN, timed=False)
    assert measure(scene, "pace_syllables").value is None


def test_the_spread_is_over_turns(scene: Any, measure: Any) -> None:
    for number, word_ms in enumerate((300, 400, 600), 1):  # 200, 150, 100 words a minute
        scene.user(number, number * 20_000, TEN, word_ms=word_ms, gap_ms=0)
    assert measure(scene, "pace_spread").value == round(50 / 150, 4)


def test_the_weighted_median_is_at_half_the_weight() -> None:
    assert weighted_median([(1.0, 1.0), (2.0, 1.0), (9.0, 1.0)]) == 2.0
    assert weighted_median([(1.0, 5.0), (2.0, 1.0), (9.0, 1.0)]) == 1.0


def test_a_turn_whose_final_text_is_not_there_has_no_pace_yet(scene: Any, measure: Any) -> None:
    """Half the words over the whole turn would be half the pace."""
    scene.user(1, 0, f"{TEN} {TEN}", final=False)  # ten words are heard so far
    scene.add(TurnEnded("u1", "user", 0, 8_000), "end", 8_400)
    assert measure(scene, "pace_words").value is None
    scene.add(Transcript("u1", "user", f"{TEN} {TEN}", True, 0, 8_000, "nl"), "final", 8_400)
    assert measure(scene, "pace_words").value == 150.0  # 20 words in 8 s
