from __future__ import annotations

from typing import Any

import pytest

from shared.events import Backchannel, MetricValue, TurnEnded


def turn(scene: Any, name: str, speaker: str, start: int, end: int) -> None:
    scene.add(TurnEnded(name, speaker, start, end), f"end:{name}", end)


def test_share_of_speech(scene: Any, measure: Any) -> None:
    turn(scene, "u1", "user", 0, 4_300)
    turn(scene, "h1", "hugo", 5_000, 10_700)
    assert measure(scene, "talk_share") == MetricValue("talk_share", 0.43, "ratio", "good")


def test_acknowledging_counts_as_speech(scene: Any, measure: Any) -> None:
    turn(scene, "u1", "user", 0, 3_000)
    turn(scene, "h1", "hugo", 5_000, 10_000)
    scene.add(Backchannel("user", "ja", 7_000, 8_000), "b", 8_000)
    assert measure(scene, "talk_share").value == round(4 / 9, 4)


@pytest.mark.parametrize(
    ("user_s", "band"), [(66, "red"), (61, "warn"), (55, ""), (50, "good"), (35, "good"), (32, ""), (29, "warn")]
)
def test_bands(scene: Any, measure: Any, user_s: int, band: str) -> None:
    turn(scene, "u1", "user", 0, user_s * 1_000)
    turn(scene, "h1", "hugo", 100_000, 100_000 + (100 - user_s) * 1_000)
    assert measure(scene, "talk_share").band == band


def test_pauses_within_a_turn_are_not_speech(scene: Any, measure: Any) -> None:
    scene.user(1, 0, "een twee", word_ms=1_000, gap_ms=0, pauses={0: 3_000})
    turn(scene, "h1", "hugo", 10_000, 12_000)
    assert measure(scene, "talk_share").value == 0.5


def test_a_monologue_goes_over_short_gaps_and_acknowledgements(scene: Any, measure: Any) -> None:
    turn(scene, "u1", "user", 0, 60_000)
    scene.add(Backchannel("hugo", "hm", 60_200, 60_500), "b", 60_500)
    turn(scene, "u2", "user", 60_900, 125_000)
    turn(scene, "u3", "user", 126_000, 127_000)  # a full second later: another stretch
    assert measure(scene, "longest_monologue") == MetricValue("longest_monologue", 125.0, "s", "warn")


def test_a_turn_of_the_other_breaks_a_monologue(scene: Any, measure: Any) -> None:
    turn(scene, "u1", "user", 0, 60_000)
    turn(scene, "h1", "hugo", 60_100, 60_600)
    turn(scene, "u2", "user", 60_800, 125_000)
    assert measure(scene, "longest_monologue").value == 64.2
    assert measure(scene, "longest_customer_story") == MetricValue("longest_customer_story", 0.5, "s")


def test_very_long_monologues_and_stories(scene: Any, measure: Any) -> None:
    turn(scene, "u1", "user", 0, 151_000)
    turn(scene, "h1", "hugo", 160_000, 221_000)
    assert measure(scene, "longest_monologue").band == "red"
    assert measure(scene, "longest_customer_story").band == "good"
