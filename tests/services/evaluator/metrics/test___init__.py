"""Properties of all metrics on generated talks, and an independent second computation of the figures of time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.evaluator.metrics import compute_all, load_metrics
from services.evaluator.timeline import Timeline, TimelineBuilder
from shared.events import (
    Backchannel,
    EngineState,
    Event,
    MetricValue,
    Prosody,
    ProsodyMeasured,
    Speaker,
    Timing,
    Transcript,
    TurnEnded,
    TurnStarted,
    VoiceToCoach,
    Word,
)

CELL_MS = 50
TEXTS = (
    "Wij plannen elke week alle ritten voor zestig groothandels",
    "Hoe loopt dat vandaag bij u, en wie plant de chauffeurs in?",
    "U wilt toch rust in uw planning? Euh, ik denk misschien van wel.",
    "Daar bellen de chauffeurs eigenlijk elke maandag over, zeg maar.",
)


@dataclass(frozen=True)
class Part:
    """A turn or, without a text, a backchannel."""

    name: str
    speaker: Speaker
    start: int
    end: int
    text: str = ""
    gap: int = 0  # ms between words of 300 ms; 0: they carry no times
    reason: Any = "complete"
    phase: int | None = None

    @property
    def words(self) -> tuple[Word, ...]:
        starts = range(self.start, self.end, 300 + self.gap)
        said = zip(self.text.split() if self.gap else (), starts, strict=False)
        return tuple(Word(word, at, min(at + 300, self.end)) for word, at in said)


@st.composite
def talks(draw: st.DrawFn, speakers: tuple[Speaker, ...] = ("user", "hugo")) -> list[Part]:
    parts: list[Part] = []
    at = 0
    for number in range(draw(st.integers(1, 12))):
        speaker = draw(st.sampled_from(speakers))
        start = max(0, at + CELL_MS * draw(st.one_of(st.integers(-40, 80), st.integers(0, 200))))
        is_ack = draw(st.integers(0, 4)) == 0
        length = CELL_MS * (draw(st.integers(4, 16)) if is_ack else draw(st.integers(6, 500)))
        part = Part(f"{speaker[0]}{number}", speaker, start, start + length)
        if not is_ack:
            part = replace(
                part,
                text=draw(st.sampled_from(TEXTS)),
                gap=draw(st.sampled_from([0, 200, 250, 1_200])) if speaker == "user" else 0,
                reason=draw(st.sampled_from(["complete", "complete", "interrupted"])),
                phase=draw(st.sampled_from([None, 1, 2, 3, 4])) if speaker == "user" else None,
            )
        parts.append(part)
        at = part.end
    return parts


def events_of(scene: Any, parts: Iterable[Part]) -> list[Event]:
    """Return the events of a talk in order of media time."""
    scene.start()
    for part in parts:
        name, start, end = part.name, part.start, part.end
        if not part.text:
            scene.add(Backchannel(part.speaker, "ja", start, end), f"b:{name}", end)
            continue
        shown = part.words
        scene.add(TurnStarted(name, part.speaker, start), f"s:{name}", start)
        scene.add(TurnEnded(name, part.speaker, start, end, part.reason), f"e:{name}", end)
        scene.add(Transcript(name, part.speaker, part.text, True, start, end, "nl", shown), f"t:{name}", end)
        if part.speaker == "user":
            for at in range(start, end, 2_000):
                stretch = ProsodyMeasured(
                    name, at, min(at + 2_000, end), Prosody(energy=0.5), f0_sd_st=2.0, syllables_per_s=4.0, quality=0.5
                )
                scene.add(stretch, f"p:{name}:{at}", end)
            told = VoiceToCoach(name, part.text, Timing(shown), Prosody(), False, "nl", start, end)
            scene.add(told, f"c:{name}", end)
    scene.add(EngineState("ready", "cascade"), "last", max(part.end for part in parts) + 5_000)
    return sorted(scene.events, key=lambda event: event.media_ms)


def heard(events: Iterable[Event], parts: Iterable[Part], look: Callable[[Timeline], object] | None = None) -> Timeline:
    builder = TimelineBuilder()
    for event in events:
        builder.add(event)
        if look is not None:
            look(builder.snapshot())
    for part in parts:
        builder.set_phase(part.name, part.phase)
    return builder.snapshot()


def moved(value: Any, by_ms: int) -> Any:
    """Return an event, body or word with all its times later."""
    if isinstance(value, Timing):
        return replace(value, word_timestamps=moved(value.word_timestamps, by_ms))
    if isinstance(value, tuple):
        return tuple(moved(item, by_ms) for item in value)
    names = ("media_ms", "start_ms", "end_ms", "at_ms", "body", "words", "timing")
    there = {name: getattr(value, name) for name in names if hasattr(value, name)}
    later = {key: item + by_ms if isinstance(item, int) else moved(item, by_ms) for key, item in there.items()}
    return replace(value, **later)


@settings(deadline=None, max_examples=15)
@given(parts=talks(), by_ms=st.integers(1, 10_000_000), dice=st.randoms(use_true_random=False))
def test_what_must_not_matter_does_not(maker: ModuleType, parts: list[Part], by_ms: int, dice: Any) -> None:
    events = events_of(maker.Scene(), parts)
    whole = compute_all(heard(events, parts))
    assert compute_all(heard(events, parts, look=compute_all)) == whole, "asked at every event"
    assert compute_all(heard([moved(event, by_ms) for event in events], parts)) == whole, "all later"
    mixed = sorted(events, key=lambda event: (event.media_ms, dice.random()))
    assert compute_all(heard(mixed, parts)) == whole, "events of one moment in another order"


@settings(deadline=None, max_examples=25)
@given(parts=talks())
def test_values_lie_in_their_bounds(maker: ModuleType, parts: list[Part]) -> None:
    for metric, value in zip(load_metrics(), compute_all(heard(events_of(maker.Scene(), parts), parts)), strict=True):
        if value.value is None:
            assert (bool(value.note), value.band) == (True, "")
        else:
            assert metric.bounds[0] <= value.value <= metric.bounds[1], value
            assert math.isfinite(value.value)


OF_THE_USER_ALONE = {
    "discourse_fillers",
    "filled_pauses",
    "hedges",
    "hugo_takeover_share",  # Hugo did not answer: that is known, and it is 0
    "leading_question_share",
    "longest_monologue",
    "open_question_share",
    "pace_spread",
    "pace_syllables",
    "pace_to_baseline",
    "pace_words",
    "pauses_in_user_turns",
    "pitch_variation",
    "question_rate",
    "question_share",
    "turns_with_several_questions",
    "voice_energy",
    "you_to_i",
}


@pytest.mark.parametrize(("speaker", "known"), [("user", OF_THE_USER_ALONE), ("hugo", {"longest_customer_story"})])
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_a_silent_side_has_no_figures(maker: ModuleType, speaker: Speaker, known: set[str], data: Any) -> None:
    parts = data.draw(talks((speaker,)))
    values = compute_all(heard(events_of(maker.Scene(), parts), parts))
    assert {value.name for value in values if value.value is not None} <= known
    assert all(value.note for value in values if value.value is None)


# --- the same figures, computed another way: on a grid of 50 ms, straight from the parts


def grid(parts: Iterable[Part], n_cells: int) -> list[bool]:
    """Return for each cell whether one of the parts is spoken in it; silences under 0.25 s are closed."""
    cells = [False] * n_cells
    for part in parts:
        spans = [(word.start_ms, word.end_ms) for word in part.words]
        for start, end in spans or [(part.start, part.end)]:
            cells[start // CELL_MS : end // CELL_MS] = [True] * ((end - start) // CELL_MS)
    spoken = [index for index, cell in enumerate(cells) if cell]
    for before, after in pairwise(spoken):
        if (after - before - 1) * CELL_MS < 250:
            cells[before:after] = [True] * (after - before)
    return cells


def silences(cells: list[bool]) -> list[int]:
    """Return the lengths in ms of the silences between the first spoken cell and the last."""
    spoken = [index for index, cell in enumerate(cells) if cell]
    steps = (after - before - 1 for before, after in pairwise(spoken))
    return [step * CELL_MS for step in steps if step]


def second_opinion(parts: list[Part]) -> dict[str, float]:
    """Return figures of time where both have spoken in turns."""
    n_cells = max(part.end for part in parts) // CELL_MS
    turns = sorted((part for part in parts if part.text), key=lambda part: (part.start, part.end, part.name))
    said, in_turns, names = {}, {}, ("user", "hugo")
    for name in names:
        own = [part for part in parts if part.speaker == name]
        said[name] = grid(own, n_cells)
        in_turns[name] = grid([part for part in own if part.text], n_cells)
    anyone = [user or hugo for user, hugo in zip(said["user"], said["hugo"], strict=True)]
    n_span = n_cells - anyone[::-1].index(True) - anyone.index(True)
    both = sum(user and hugo for user, hugo in zip(in_turns["user"], in_turns["hugo"], strict=True))
    quiet = silences(anyone)
    found: dict[str, float] = {
        "talk_share": sum(said["user"]) / (sum(said["user"]) + sum(said["hugo"])),
        "overlap_share": both / n_span,
        "silence_share": sum(gap for gap in quiet if gap >= 250) / CELL_MS / n_span,
        "long_pauses": sum(gap > 3_000 for gap in quiet),
        "dead_air": sum(gap > 7_000 for gap in quiet),
    }
    if n_span * CELL_MS >= 30_000:
        changes = sum(one.speaker != two.speaker for one, two in pairwise(turns))
        found["interactivity"] = changes * 60_000 / (n_span * CELL_MS)
    users = [part for part in turns if part.speaker == "user"]
    bounds = [*(part.start // CELL_MS for part in users), n_cells]
    for phase in (1, 2, 3, 4):
        inside = [False] * n_cells
        for part, (start, end) in zip(users, pairwise(bounds), strict=True):
            if part.phase == phase:
                inside[start:end] = [True] * (end - start)
        user, hugo = (sum(a and b for a, b in zip(said[name], inside, strict=True)) for name in names)
        if user and hugo:
            found[f"talk_share_phase_{phase}"] = user / (user + hugo)
    return found


@settings(deadline=None, max_examples=50)
@given(parts=talks())
def test_a_second_computation_agrees(maker: ModuleType, parts: list[Part]) -> None:
    if {part.speaker for part in parts if part.text} != {"user", "hugo"}:
        return
    values = {value.name: value for value in compute_all(heard(events_of(maker.Scene(), parts), parts))}
    for name, expected in second_opinion(parts).items():
        got: MetricValue = values[name]
        assert got.value == pytest.approx(expected, abs=6e-5), got
