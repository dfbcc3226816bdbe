from __future__ import annotations

from typing import Any

from shared.events import Backchannel, TurnEnded


def talk(scene: Any, turns: list[tuple[str, int, int]]) -> None:
    for number, (speaker, start, end) in enumerate(turns):
        name = f"{speaker[0]}{number}"
        scene.add(TurnEnded(name, speaker, start, end), f"end:{name}", end)


def test_share_and_long_gaps(scene: Any, measure: Any) -> None:
    talk(scene, [("hugo", 10_000, 14_000), ("user", 18_000, 20_000), ("hugo", 28_000, 30_000)])
    assert measure(scene, "silence_share").value == 0.6  # 12 of 20 s; what is before the first word is not theirs
    assert measure(scene, "long_pauses").value == 2
    assert (measure(scene, "dead_air").value, measure(scene, "dead_air").band) == (1.0, "warn")


def test_an_acknowledgement_breaks_a_silence(scene: Any, measure: Any) -> None:
    talk(scene, [("hugo", 0, 4_000), ("user", 9_000, 10_000)])
    scene.add(Backchannel("user", "hm", 6_000, 6_300), "b", 6_300)
    assert measure(scene, "long_pauses").value == 0
    assert measure(scene, "silence_share").value == 0.47


def test_exactly_the_limit_is_not_long(scene: Any, measure: Any) -> None:
    talk(scene, [("hugo", 0, 4_000), ("user", 7_000, 8_000)])
    assert measure(scene, "long_pauses").value == 0


def test_pauses_within_the_users_turns(scene: Any, measure: Any) -> None:
    scene.user(1, 0, "een twee drie vier", word_ms=200, gap_ms=0, pauses={0: 1_001, 2: 1_000})
    assert measure(scene, "pauses_in_user_turns").value == 1


def test_word_times_are_needed_for_pauses_within_turns(scene: Any, measure: Any) -> None:
    scene.user(1, 0, "een twee drie vier", timed=False)
    assert measure(scene, "pauses_in_user_turns").value is None
