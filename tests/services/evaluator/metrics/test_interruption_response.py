from __future__ import annotations

from typing import Any

import pytest

from services.evaluator.metrics.interruption_response import Response, responses
from shared.events import Backchannel, TurnEnded, TurnStarted


def turn(scene: Any, name: str, start: int, end: int, reason: str = "complete") -> None:
    speaker = "user" if name[0] == "u" else "hugo"
    scene.add(TurnEnded(name, speaker, start, end, reason), f"end:{name}", end)


def test_a_hand_made_talk(scene: Any, measure: Any, timeline_of: Any) -> None:
    turn(scene, "h1", 0, 4_300, "interrupted")
    turn(scene, "u1", 4_000, 6_000)  # silenced him after 0.3 s
    turn(scene, "h2", 7_000, 12_000)
    turn(scene, "u2", 9_000, 10_000)  # 1 s together, and Hugo went on: not yielded
    turn(scene, "h3", 13_000, 17_900)
    turn(scene, "u3", 17_000, 19_000)  # he stopped 0.9 s after it, whatever he said of it
    turn(scene, "h4", 20_000, 25_000, "interrupted")
    turn(scene, "u4", 21_000, 21_600)  # 0.6 s together: not yielded
    turn(scene, "u5", 24_500, 27_000)  # silenced him after 0.5 s
    # Five interruptions, three yielded to: 3 / 5; the median of 0.3, 0.9 and 0.5 s is 0.5 s.
    assert list(responses(timeline_of(scene.events))) == [
        Response("h1", "u1", 300),
        Response("h2", "u2", None),
        Response("h3", "u3", 900),
        Response("h4", "u4", None),
        Response("h4", "u5", 500),
    ]
    share, latency = measure(scene, "hugo_yield_share"), measure(scene, "hugo_yield_latency")
    assert (share.value, share.unit, share.note) == (0.6, "ratio", "over 5 interruptions")
    assert (latency.value, latency.unit, latency.note) == (0.5, "s", "over 3 interruptions")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (4_600, 6_000),  # an ordinary overlap at the end of his turn
        (1_000, 1_400),  # 0.4 s: too short
        (5_000, 6_000),  # he had ended
    ],
)
def test_what_is_no_interruption(scene: Any, measure: Any, start: int, end: int) -> None:
    turn(scene, "h1", 0, 5_000)
    turn(scene, "u1", start, end)
    value = measure(scene, "hugo_yield_share")
    assert (value.value, value.note) == (None, "the user has not interrupted Hugo")


def test_acknowledgements_and_turns_that_were_there_first_do_not_interrupt(scene: Any, measure: Any) -> None:
    scene.add(Backchannel("user", "ja", 1_000, 1_800), "b", 1_800)
    turn(scene, "u0", 0, 4_500)  # both began at once: nobody came in on the other
    turn(scene, "h1", 0, 5_000)
    turn(scene, "u1", 6_000, 9_000)
    turn(scene, "h2", 7_000, 8_000)  # Hugo interrupts here
    assert measure(scene, "hugo_yield_share").value is None


def test_an_interruption_is_judged_when_hugos_turn_is_over(scene: Any, measure: Any) -> None:
    scene.add(TurnStarted("h1", "hugo", 0), "h1", 0)
    turn(scene, "u1", 2_000, 4_000)
    assert measure(scene, "hugo_yield_share").value is None
    turn(scene, "h1", 0, 9_000)
    assert measure(scene, "hugo_yield_share").value == 0.0
    assert measure(scene, "hugo_yield_latency").note == "Hugo has not yet yielded to an interruption"


def test_the_floor_that_the_user_claimed_in_vain_was_not_yielded(scene: Any, measure: Any) -> None:
    """The user's own message says that they took the floor; Hugo's turn says that he finished all the same."""
    end = scene.hugo(1, 500, "Dit is een lang verhaal over van alles en nog wat en dan nog wat meer")
    scene.user(1, 1_400, "Wacht even alstublieft", interrupts=True)
    assert end > 5_000
    assert measure(scene, "interruptions_by_user").value == 1
    assert measure(scene, "hugo_yield_share").value == 0.0
