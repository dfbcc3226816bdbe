from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.evaluator.metrics.phase_talk_share import PHASES, PhaseTalkShare
from services.evaluator.timeline import Timeline, TimelineBuilder
from shared.events import Backchannel, TurnEnded

Turns = list[tuple[str, int, int, int | None]]


def talk(scene: Any, turns: Turns) -> Timeline:
    """Return the timeline of (speaker, start s, end s, phase) turns."""
    builder = TimelineBuilder()
    for number, (speaker, start, end, _) in enumerate(turns):
        name = f"{speaker[0]}{number}"
        scene.add(TurnEnded(name, speaker, start * 1_000, end * 1_000), f"end:{name}", end * 1_000)
    for event in scene.events:
        builder.add(event)
    for number, (speaker, _, _, phase) in enumerate(turns):
        builder.set_phase(f"{speaker[0]}{number}", phase)
    return builder.snapshot()


def share(timeline: Timeline, phase: int) -> tuple[float | None, str]:
    value = PhaseTalkShare(phase).compute(timeline)
    return value.value, value.band


def test_a_phase_is_the_turns_in_it_and_their_answers(scene: Any) -> None:
    # Phase 1: user 10-14 (4 s), Hugo 15-21 (6 s) -> 0.4. Phase 2: user 30-40 and 70-74 (14 s), Hugo 41-62 and
    # 75-89 (35 s) -> 14 / 49. What Hugo said before the first user turn belongs to no phase.
    timeline = talk(
        scene,
        [
            ("hugo", 0, 9, None),
            ("user", 10, 14, 1),
            ("hugo", 15, 21, None),
            ("user", 30, 40, 2),
            ("hugo", 41, 62, None),
            ("user", 70, 74, 2),
            ("hugo", 75, 89, None),
        ],
    )
    assert share(timeline, 1) == (0.4, "")
    assert share(timeline, 2) == (round(14 / 49, 4), "good")
    assert share(timeline, 3) == (None, "")


def test_talk_to_the_coach_belongs_to_no_phase(scene: Any) -> None:
    # Phase 3: user 0-10, Hugo 11-21. The turn at 30 is not scored: it and Hugo's answer to it count nowhere.
    turns: Turns = [("user", 0, 10, 3), ("hugo", 11, 21, None), ("user", 30, 90, None), ("hugo", 91, 99, None)]
    assert share(talk(scene, turns), 3) == (0.5, "")


def test_speech_of_both_is_cut_where_the_user_goes_on(scene: Any) -> None:
    # Hugo speaks 10-40; the user's next turn, at 30 in phase 3, divides him: 20 s for phase 2, 10 s for phase 3.
    # Phase 2: 5 / 25. Phase 3: the user's 30-60 against Hugo's 30-40: 30 / 40.
    turns: Turns = [("user", 0, 5, 2), ("hugo", 10, 40, None), ("user", 30, 60, 3)]
    timeline = talk(scene, turns)
    assert share(timeline, 2) == (0.2, "")  # 25 s of speech: too little for a band
    assert share(timeline, 3) == (0.75, "warn")


def test_acknowledging_counts_as_speech(scene: Any) -> None:
    scene.add(Backchannel("user", "ja", 20_000, 21_000), "b", 21_000)
    assert share(talk(scene, [("user", 0, 9, 4), ("hugo", 10, 40, None)]), 4) == (0.25, "")


@pytest.mark.parametrize(
    ("phase", "user_s", "band"),
    [(2, 51, "warn"), (2, 45, ""), (2, 40, "good"), (2, 20, ""), (3, 55, "good"), (3, 66, "warn"), (1, 80, "")],
)
def test_bands(scene: Any, phase: int, user_s: int, band: str) -> None:
    timeline = talk(scene, [("user", 0, user_s, phase), ("hugo", user_s, 100, None)])
    assert share(timeline, phase) == (user_s / 100, band)


def test_a_phase_without_speech_of_both_has_no_share(scene: Any) -> None:
    timeline = talk(scene, [("user", 0, 5, 2)])
    assert "Hugo has not spoken in phase 2" in PhaseTalkShare(2).compute(timeline).note
    assert "no scored turn in phase 1" in PhaseTalkShare(1).compute(timeline).note


def test_the_phases_divide_the_talk(scene: Any) -> None:
    """No speech counts in two phases: together they have what was said from the first scored turn on."""
    turns: Turns = [
        (speaker, second, second + 3, 1 + number % 4 if speaker == "user" else None)
        for number, second in enumerate(range(0, 200, 5))
        for speaker in (("user", "hugo")[number % 2],)
    ]
    timeline = talk(scene, turns)
    for speaker in ("user", "hugo"):
        parts = [part for phase in PHASES for part in timeline.speech_in_phase(speaker, phase)]  # type: ignore[arg-type]
        assert sorted(parts) == list(timeline.all_speech(speaker))  # type: ignore[arg-type]
    assert replace(timeline, turns=()).speech_in_phase("user", 1) == ()
