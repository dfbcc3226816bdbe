"""Recordings in the layout of Full-Duplex-Bench v1, so that its own scripts score them. Pure; writes nothing.

Its scripts look at one exchange a sample, and at the first and last word of the answer in it. So a talk is cut into
exchanges, a folder of samples for each task: the times in a sample count from its own beginning, in seconds.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

from services.evaluator.exporting.word_times import TimedWord, spoken_marks, words_of
from services.evaluator.intervals import Interval
from services.evaluator.report.data import SessionView
from services.evaluator.turns import Turn

RATE: Final = 16_000
"""The scripts take this rate for granted, whatever a file's head says."""

Task = Literal["smooth_turn_taking", "pause_handling", "user_interruption", "conversation"]

LEAD_MS = 500
"""Heard before the user begins, where it is still."""

MAX_ANSWER_MS = 20_000
MIN_ROOM_MS = 3_000
"""So long the answer may take: a turn that the talk's end came closer behind was offered to nobody."""

PAUSE_MS = 400
GOES_ON_MS = 1_000
"""A user who goes on so soon had paused; his turns are one utterance, whatever was said into it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One folder: the stretch of both tracks, and the JSON files beside them (name -> text)."""

    task: Task
    recording: str
    part: Interval
    files: dict[str, str]

    @property
    def n_samples(self) -> int:
        """Length of both WAV files at RATE."""
        return self.part.length_ms * RATE // 1000


def samples_of(view: SessionView) -> list[Sample]:
    """Return all samples of a recording, task by task, in order of time."""
    talk = _Talk(view)
    return [*_smooth(talk), *_pauses(talk), *_interruptions(talk), talk.sample("conversation", talk.whole, {})]


class _Talk:
    """A recording with all words of both speakers in order of time."""

    def __init__(self, view: SessionView) -> None:
        marks = spoken_marks(view.recording.events)
        self._id = view.recording.manifest.id
        self.user = view.timeline.turns_of("user")
        self.hugo = view.timeline.turns_of("hugo")
        self.cuts = [cut for cut in view.cuts if cut.by == "user"]
        self.heard = _in_order(word for turn in self.user for word in words_of(turn, marks))
        self.said = _in_order(word for turn in self.hugo for word in words_of(turn, marks))
        self.whole = Interval(0, view.length_ms)

    def sample(self, task: Task, part: Interval, files: dict[str, Any], said_from_ms: int | None = None) -> Sample:
        """Return a sample; of the answer's words those that begin in it, or from `said_from_ms` on."""
        said = _within(self.said, Interval(said_from_ms or part.start_ms, part.end_ms))
        heard = _within(self.heard, part)
        found = {"output.json": _transcript(said, part), "input.json": _transcript(heard, part), **files}
        return Sample(task, self._id, part, {name: _json(value) for name, value in found.items()})

    def next_user(self, after_ms: int) -> Turn | None:
        return next((turn for turn in self.user if turn.start_ms >= after_ms), None)

    def hugo_before(self, at_ms: int) -> Turn | None:
        index = bisect_right([turn.start_ms for turn in self.hugo], at_ms) - 1
        return self.hugo[index] if index >= 0 else None

    def answer_end(self, end_ms: int) -> int:
        """Return where the exchange that the user's turn opened is over: with the answer, or the user's next turn."""
        following = self.next_user(end_ms)
        limit = min(self.whole.end_ms, end_ms + MAX_ANSWER_MS)
        if following is not None:
            limit = min(limit, following.start_ms)
        answer = next((turn for turn in self.hugo if turn.start_ms >= end_ms - LEAD_MS), None)
        return limit if answer is None else max(end_ms, min(limit, answer.end_ms))


def _smooth(talk: _Talk) -> Iterator[Sample]:
    """The user ends a turn while the other is silent: does the answer come, and when?"""
    for turn in talk.user:
        following = talk.next_user(turn.end_ms)
        goes_on = following is not None and following.start_ms - turn.end_ms < GOES_ON_MS
        before = talk.hugo_before(turn.start_ms)
        is_clear = before is None or before.end_ms <= turn.start_ms
        if turn.is_open or goes_on or not is_clear or talk.whole.end_ms - turn.end_ms < MIN_ROOM_MS:
            continue
        start_ms = max(0, turn.start_ms - LEAD_MS, before.end_ms if before else 0)
        part = Interval(start_ms, max(talk.answer_end(turn.end_ms), turn.end_ms + LEAD_MS))
        span = Interval(turn.end_ms, part.end_ms)
        yield talk.sample("smooth_turn_taking", part, {"turn_taking.json": [_span("[TURN-TAKING]", span, part)]})


def _pauses(talk: _Talk) -> Iterator[Sample]:
    """The user pauses within what he says: does the other keep silent until he is done?"""
    for first, last in _utterances(talk.user):
        whole = Interval(first.start_ms, last.end_ms)
        words = _within(talk.heard, whole)
        gaps = [Interval(a.end_ms, b.start_ms) for a, b in pairwise(words) if a.is_timed and b.is_timed]
        found = [gap for gap in gaps if gap.length_ms >= PAUSE_MS]
        before = talk.hugo_before(first.start_ms)
        if not found or (before is not None and before.end_ms > first.start_ms):
            continue
        yield talk.sample("pause_handling", whole, {"pause.json": [_span("[PAUSE]", gap, whole) for gap in found]})


def _utterances(turns: Sequence[Turn]) -> Iterator[tuple[Turn, Turn]]:
    """Yield the first and last turn of each run without a second between them."""
    first = last = None
    for turn in turns:
        if first is not None and last is not None and turn.start_ms - last.end_ms >= GOES_ON_MS:
            yield first, last
            first = None
        first, last = first or turn, turn
    if first is not None and last is not None:
        yield first, last


def _interruptions(talk: _Talk) -> Iterator[Sample]:
    """The user cuts the other short: what comes after it, and when? The answer holds words behind it only."""
    for cut in talk.cuts:
        turn = next((turn for turn in talk.user if turn.end_ms > cut.at_ms), None)
        stopped = next((turn for turn in talk.hugo if turn.id == cut.turn), None)
        if turn is None or stopped is None or turn.is_open or talk.whole.end_ms - turn.end_ms < MIN_ROOM_MS:
            continue
        context = next((each for each in reversed(talk.user) if each.end_ms <= stopped.start_ms + LEAD_MS), None)
        start_ms = max(0, min(context.start_ms if context else stopped.start_ms, stopped.start_ms) - LEAD_MS)
        part = Interval(start_ms, max(talk.answer_end(turn.end_ms), turn.end_ms + LEAD_MS))
        told = {
            "context": context.text if context else "",
            "interrupt": turn.text,
            "timestamp": [_seconds(turn.start_ms, part), _seconds(turn.end_ms, part)],
        }
        yield talk.sample("user_interruption", part, {"interrupt.json": [told]}, said_from_ms=turn.end_ms)


def _in_order(words: Iterator[TimedWord]) -> list[TimedWord]:
    return sorted(words, key=lambda word: (word.start_ms, word.end_ms))


def _within(words: Sequence[TimedWord], part: Interval) -> list[TimedWord]:
    return [word for word in words if part.start_ms <= word.start_ms < part.end_ms]


def _transcript(words: Sequence[TimedWord], part: Interval) -> dict[str, Any]:
    chunks = [
        {
            "text": word.text,
            "timestamp": [
                _seconds(word.start_ms, part),
                _seconds(min(max(word.end_ms, word.start_ms), part.end_ms), part),
            ],
        }
        for word in words
    ]
    return {"text": " ".join(word.text for word in words), "chunks": chunks}


def _span(text: str, span: Interval, part: Interval) -> dict[str, Any]:
    return {"text": text, "timestamp": [_seconds(span.start_ms, part), _seconds(span.end_ms, part)]}


def _seconds(at_ms: int, part: Interval) -> float:
    return round((at_ms - part.start_ms) / 1000, 3)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
