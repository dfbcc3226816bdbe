from __future__ import annotations

from typing import Any

import pytest

from services.evaluator.metrics.takeover import Offer, offers
from shared.events import Backchannel, EngineState, Transcript, TurnEnded

SAID = {"user": "Hoe loopt de planning bij u?", "hugo": "Elke maandag is een ramp bij ons."}


def turn(scene: Any, name: str, start: int, end: int, reason: str = "complete", text: str | None = None) -> None:
    speaker = "user" if name[0] == "u" else "hugo"
    said = SAID[speaker] if text is None else text
    scene.add(Transcript(name, speaker, said, True, start, end, "nl"), f"text:{name}", end)
    scene.add(TurnEnded(name, speaker, start, end, reason), f"end:{name}", end)


def heard_until(scene: Any, at_ms: int) -> None:
    scene.add(EngineState("ready", "cascade"), f"heard:{at_ms}", at_ms)


def test_a_hand_made_talk(scene: Any, measure: Any, timeline_of: Any) -> None:
    turn(scene, "u1", 0, 2_000)
    turn(scene, "h1", 2_700, 5_000)  # taken after 0.7 s
    turn(scene, "u2", 6_000, 8_000)
    turn(scene, "h2", 7_900, 10_000)  # taken, 0.1 s early: counts as 0
    turn(scene, "u3", 11_000, 12_000)
    turn(scene, "h3", 15_001, 16_000)  # 3.001 s: not taken
    turn(scene, "u4", 17_000, 18_000)
    turn(scene, "u5", 20_000, 21_000)  # the user goes on after 2 s: u4 was not taken
    turn(scene, "h5", 22_300, 23_000)  # taken after 1.3 s
    # Five turns left him the floor, three were taken: 3 / 5; the median of 0.7, 0 and 1.3 s is 0.7 s.
    assert list(offers(timeline_of(scene.events))) == [
        Offer("u1", 700),
        Offer("u2", 0),
        Offer("u3", None),
        Offer("u4", None),
        Offer("u5", 1_300),
    ]
    share, latency = measure(scene, "hugo_takeover_share"), measure(scene, "hugo_takeover_latency")
    assert (share.value, share.unit, share.note) == (0.6, "ratio", "over 5 turns")
    assert (latency.value, latency.unit, latency.note) == (0.7, "s", "over 3 turns")


def test_what_leaves_no_floor_is_left_out(scene: Any, measure: Any) -> None:
    turn(scene, "u1", 0, 2_000)
    turn(scene, "u2", 2_900, 4_000)  # 0.9 s on: one stretch of speech, u1 left no floor
    turn(scene, "h1", 4_500, 9_000)
    turn(scene, "u3", 6_000, 7_000)  # Hugo outlasts it: he held the floor
    turn(scene, "u4", 10_000, 11_000, "interrupted")  # Hugo cut it
    turn(scene, "h2", 10_900, 12_000)
    turn(scene, "u5", 13_000, 14_000, text="")  # a noise
    turn(scene, "u6", 18_000, 19_000, "session_ended")
    value = measure(scene, "hugo_takeover_share")
    assert (value.value, value.note) == (1.0, "over 1 turns")


def test_an_acknowledgement_takes_no_floor(scene: Any, measure: Any) -> None:
    turn(scene, "u1", 0, 2_000, text="Dat is zo.")
    turn(scene, "h1", 2_100, 2_600, text="Ja ja.")
    scene.add(Backchannel("hugo", "hm", 2_700, 3_000), "b", 3_000)
    heard_until(scene, 5_000)
    assert measure(scene, "hugo_takeover_share").value == 0.0
    assert measure(scene, "hugo_takeover_latency").value is None


@pytest.mark.parametrize(("until_ms", "share"), [(4_999, None), (5_000, 0.0)])
def test_a_floor_is_not_lost_before_its_time(scene: Any, measure: Any, until_ms: int, share: float | None) -> None:
    turn(scene, "u1", 0, 2_000)
    heard_until(scene, until_ms)
    value = measure(scene, "hugo_takeover_share")
    assert value.value == share
    assert (value.note == "no turn of the user has yet left the floor to Hugo") is (share is None)


def test_hugo_within_the_users_turn_has_not_taken_over(scene: Any, measure: Any) -> None:
    turn(scene, "u1", 0, 6_000)
    turn(scene, "h1", 2_000, 4_000)  # a remark within it
    turn(scene, "h2", 6_500, 8_000)
    assert measure(scene, "hugo_takeover_latency").value == 0.5


def test_false_starts(scene: Any, measure: Any) -> None:
    turn(scene, "u1", 0, 2_000)
    turn(scene, "h1", 2_700, 5_000)  # fair
    turn(scene, "u2", 6_000, 8_000)
    turn(scene, "h2", 7_500, 10_000)  # 0.5 s before the end: false
    turn(scene, "u3", 11_000, 12_000)
    turn(scene, "h3", 12_300, 13_300, "interrupted")
    turn(scene, "u4", 13_200, 15_000)  # 0.9 s after Hugo's start the user goes on: h3 was false
    turn(scene, "h4", 14_700, 16_000)  # 0.3 s early: an ordinary overlap
    turn(scene, "h5", 16_500, 17_000)  # follows no user turn
    # Four turns began after a user turn (h1, h2, h3, h4); h2 and h3 were false starts.
    heard_until(scene, 15_699)
    value = measure(scene, "hugo_false_start_share")
    assert (value.value, value.note) == (0.5, "over 4 turns")


@pytest.mark.parametrize(("until_ms", "share"), [(3_699, None), (3_700, 0.0)])
def test_a_start_is_judged_when_it_is_a_second_old(
    scene: Any, measure: Any, until_ms: int, share: float | None
) -> None:
    turn(scene, "u1", 0, 2_000)
    scene.add(Transcript("h1", "hugo", "Elke", False, 2_700, 2_900, "nl"), "h1", 2_900)
    heard_until(scene, until_ms)
    assert measure(scene, "hugo_false_start_share").value == share
