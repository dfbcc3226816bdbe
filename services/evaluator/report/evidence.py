"""Where in the talk a figure comes from: the stretches that one should listen to, for each metric that has some. Pure.

Shows, never scores: what counts is decided by the metrics alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from services.evaluator.intervals import Interval, gaps, overlap
from services.evaluator.lexicon import ListName
from services.evaluator.metrics.interruptions import cut_by_overlap
from services.evaluator.timeline import Timeline
from services.evaluator.turns import Turn
from shared.events import Speaker

MAX_PLACES = 8
"""Places shown of one figure, the most telling ones."""

_BEFORE_MS = 2_000
_AFTER_MS = 1_500
_RUN_GAP_MS = 1_000
_MIN_WORDS = 8


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of the talk, and what is to be heard there in a few characters ("1.4 s", "3x")."""

    start_ms: int
    end_ms: int
    note: str = ""


def places_of(name: str, timeline: Timeline) -> tuple[Place, ...]:
    """Return the places that a metric's value rests on, in order of time; none where it rests on the whole talk."""
    finder = _FINDERS.get(name)
    if finder is None:
        return ()
    ranked = sorted(finder(timeline), key=lambda item: -item[0])[:MAX_PLACES]
    return tuple(sorted((place for _, place in ranked), key=lambda place: (place.start_ms, place.end_ms)))


Ranked = tuple[float, Place]
"""A place, and how telling it is among those of its metric."""

Finder = Callable[[Timeline], Iterable[Ranked]]


def _runs(speaker: Speaker) -> Finder:
    """The longest stretch without the other's turn between."""

    def find(timeline: Timeline) -> list[Ranked]:
        runs: list[Interval] = []
        broken = True
        for turn in timeline.turns:
            if turn.speaker != speaker:
                broken = True
            elif runs and not broken and turn.start_ms - runs[-1].end_ms < _RUN_GAP_MS:
                runs[-1] = Interval(runs[-1].start_ms, max(runs[-1].end_ms, turn.end_ms))
            else:
                runs.append(turn.interval)
                broken = False
        longest = max(runs, key=lambda run: run.length_ms, default=None)
        return [(0.0, _place(longest, _seconds(longest.length_ms)))] if longest else []

    return find


def _longest_turns(timeline: Timeline) -> list[Ranked]:
    turns = sorted(timeline.turns_of("user"), key=lambda turn: turn.start_ms - turn.end_ms)[:3]
    return [(turn.interval.length_ms, _place(turn.interval, _seconds(turn.interval.length_ms))) for turn in turns]


def _cuts(by: Speaker) -> Finder:
    def find(timeline: Timeline) -> list[Ranked]:
        other: Speaker = "hugo" if by == "user" else "user"
        told = {cut.turn: cut.at_ms for cut in timeline.cuts if cut.by == by}
        ends = {turn.id: turn.end_ms for turn in timeline.turns}
        for turn_id in cut_by_overlap(timeline, other):
            told.setdefault(turn_id, ends[turn_id])
        return [(0.0, Place(max(0, at_ms - _BEFORE_MS), at_ms + _AFTER_MS)) for at_ms in told.values()]

    return find


def _overlaps(timeline: Timeline) -> list[Ranked]:
    both = overlap(timeline.turn_speech("user"), timeline.turn_speech("hugo"))
    return [(part.length_ms, _around(part, _seconds(part.length_ms))) for part in both]


def _silences(longer_than_ms: int) -> Finder:
    def find(timeline: Timeline) -> list[Ranked]:
        still = [part for part in gaps(timeline.anyones_speech) if part.length_ms > longer_than_ms]
        return [(part.length_ms, _around(part, _seconds(part.length_ms))) for part in still]

    return find


def _word_gaps(timeline: Timeline) -> list[Ranked]:
    found = []
    for turn in timeline.turns_of("user"):
        for word, following in pairwise(turn.words):
            part = Interval(word.end_ms, following.start_ms)
            if part.length_ms > 1_000:
                found.append((float(part.length_ms), _around(part, _seconds(part.length_ms))))
    return found


def _answers(speaker: Speaker) -> Finder:
    """The gaps before a speaker's answers: the shortest and the longest tell most."""

    def find(timeline: Timeline) -> list[Ranked]:
        before: Turn | None = None
        found: list[tuple[int, Place]] = []
        for turn in timeline.turns:
            if before is not None and turn.speaker == speaker and before.speaker != speaker:
                gap_ms = turn.start_ms - before.end_ms
                if gap_ms > 0:
                    part = Interval(before.end_ms, turn.start_ms)
                    found.append((gap_ms, _around(part, _seconds(gap_ms))))
            before = turn
        middle = sorted(gap for gap, _ in found)[len(found) // 2] if found else 0
        return [(abs(gap - middle), place) for gap, place in found]

    return find


def _asking(least: int, form: str = "") -> Finder:
    def find(timeline: Timeline) -> list[Ranked]:
        found = []
        for turn in timeline.turns_of("user"):
            n_asked = turn.said.question_forms.count(form) if form else turn.said.n_asked
            if n_asked >= least:
                found.append((float(n_asked), _place(turn.interval, f"{n_asked}×" if n_asked > 1 else "")))
        return found

    return find


def _listed(name: ListName) -> Finder:
    """The turns that hold words of a list; a "ja" that answers a question is none of them."""

    def find(timeline: Timeline) -> list[Ranked]:
        found: list[Ranked] = []
        prompted = False
        for turn in timeline.turns:
            if turn.speaker == "hugo":
                prompted = turn.text.rstrip().endswith("?")
                continue
            count = turn.said.count(name, belgian=timeline.belgian, prompted=prompted)
            prompted = False
            if count:
                found.append((count, _place(turn.interval, f"{count}×")))
        return found

    return find


def _hedges(timeline: Timeline) -> list[Ranked]:
    counts = [(turn.said.hedges(timeline.belgian)[0], turn) for turn in timeline.turns_of("user")]
    return [(count, _place(turn.interval, f"{count}×")) for count, turn in counts if count]


def _paces(timeline: Timeline) -> list[Ranked]:
    """The fastest and the slowest turn."""
    rates = [
        (turn.said.n_words * 60_000 / turn.interval.length_ms, turn)
        for turn in timeline.turns_of("user")
        if turn.said.n_words >= _MIN_WORDS and turn.interval.length_ms > 0
    ]
    rates.sort(key=lambda item: (item[0], item[1].start_ms))
    ends = rates if len(rates) < 3 else [rates[0], rates[-1]]
    return [(0.0, _place(turn.interval, f"{rate:.0f}/min")) for rate, turn in ends]


def _acks(by: Speaker) -> Finder:
    def find(timeline: Timeline) -> list[Ranked]:
        return [(0.0, _around(ack.interval, ack.text[:20])) for ack in timeline.backchannels if ack.speaker == by]

    return find


def _place(part: Interval, note: str = "") -> Place:
    return Place(part.start_ms, part.end_ms, note)


def _around(part: Interval, note: str) -> Place:
    """Return the stretch with a little of what stands before and behind it: alone it is no more than a sound."""
    return Place(max(0, part.start_ms - _BEFORE_MS), part.end_ms + _AFTER_MS, note)


def _seconds(length_ms: int) -> str:
    return f"{length_ms / 1000:.1f} s"


_FINDERS: dict[str, Finder] = {
    "talk_share": _longest_turns,
    "longest_monologue": _runs("user"),
    "longest_customer_story": _runs("hugo"),
    "interruptions_by_user": _cuts("user"),
    "interruptions_by_hugo": _cuts("hugo"),
    "overlap_share": _overlaps,
    "silence_share": _silences(1_000),
    "long_pauses": _silences(3_000),
    "dead_air": _silences(7_000),
    "pauses_in_user_turns": _word_gaps,
    "patience": _answers("user"),
    "hugo_response_latency": _answers("hugo"),
    "question_rate": _asking(1),
    "question_share": _asking(1),
    "open_question_share": _asking(1, "open"),
    "leading_question_share": _asking(1, "leading"),
    "turns_with_several_questions": _asking(2),
    "filled_pauses": _listed("filled"),
    "discourse_fillers": _listed("discourse"),
    "hedges": _hedges,
    "pace_words": _paces,
    "pace_spread": _paces,
    "backchannels_by_user": _acks("user"),
    "backchannels_by_hugo": _acks("hugo"),
}
