from __future__ import annotations

from typing import Any

import pytest

from shared.events import Prosody, ProsodyMeasured

TEN = "wij plannen elke week alle ritten voor zestig groothandels daar"  # 17 vowel groups


def sound(scene: Any, number: int, rate: float, length_s: int, quality: float = 1.0) -> None:
    start = number * 100_000
    body = ProsodyMeasured(
        f"u{number}", start, start + length_s * 1_000, Prosody(), syllables_per_s=rate, quality=quality
    )
    scene.add(body, f"p{number}", start)


@pytest.mark.parametrize(("rate", "ratio", "band"), [(4.8, 1.2, "warn"), (4.4, 1.1, "good"), (3.2, 0.8, "warn")])
def test_later_speech_is_held_against_the_first_minute(
    scene: Any, measure: Any, rate: float, ratio: float, band: str
) -> None:
    # 30 s at 4.0, 20 s at 9.0, then 20 s at 4.0: the third turn reaches 60 s, so the baseline is these 70 s, and
    # their median by weight is 4.0 (50 of 70 s). What follows: 10 s at `rate`.
    for number, (pace, length_s) in enumerate([(4.0, 30), (9.0, 20), (4.0, 20), (rate, 10)], 1):
        sound(scene, number, pace, length_s)
    value = measure(scene, "pace_to_baseline")
    assert (value.value, value.band, value.note) == (ratio, band, "from the sound")


def test_without_sound_the_words_tell(scene: Any, measure: Any) -> None:
    # Fifteen turns of 10 words at 400 ms = 4 s each: 60 s. Then one of 10 words at 320 ms: 17 / 3.2 s against 17 / 4 s.
    for number in range(1, 16):
        scene.user(number, number * 10_000, TEN, word_ms=400, gap_ms=0)
    assert measure(scene, "pace_to_baseline").value is None
    scene.user(16, 200_000, TEN, word_ms=320, gap_ms=0)
    value = measure(scene, "pace_to_baseline")
    assert (value.value, value.band, value.note) == (1.25, "warn", "estimated from the text")


@pytest.mark.parametrize(("first_s", "later_s"), [(50, 9), (60, 2)])
def test_a_minute_and_three_seconds_are_needed(scene: Any, measure: Any, first_s: int, later_s: int) -> None:
    sound(scene, 1, 4.0, first_s)
    sound(scene, 2, 8.0, later_s)
    value = measure(scene, "pace_to_baseline")
    assert value.value is None
    assert "60 s" in value.note


def test_what_has_no_quality_is_no_baseline(scene: Any, measure: Any) -> None:
    sound(scene, 1, 4.0, 90, quality=0.0)
    sound(scene, 2, 4.0, 10)
    assert measure(scene, "pace_to_baseline").value is None
