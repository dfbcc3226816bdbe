"""What happened in a session, on media time: turns, words, speech intervals, backchannels, interruptions.

`TimelineBuilder` takes events one at a time and owns what counts: an id seen twice changes nothing, an older
epoch of the same source is dropped, the evaluator's own events are passed over. `Timeline` is what metrics
read. Pure: no clock, no Redis; the same events give the same timeline whatever the batches.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

from services.evaluator.intervals import Interval, merge, overlap, total_ms
from services.evaluator.lexicon import is_belgian
from services.evaluator.turns import MERGE_GAP_MS, Ack, Cut, Draft, Turn, split_backchannels
from shared.events import (
    Backchannel,
    EngineState,
    Event,
    Interrupted,
    Language,
    ProsodyMeasured,
    SessionEnded,
    SessionStarted,
    Speaker,
    Spoken,
    Transcript,
    TurnEnded,
    TurnStarted,
    VoiceToCoach,
)

MAX_EVENTS = 100_000
"""Events that one session's timeline takes in (a stream keeps 20,000); later ones are counted and left out."""

Verdict = Literal["taken", "seen", "stale", "own", "full"]


@dataclass(frozen=True)
class Timeline:
    """A frozen view of a session. Turns stand in order of their start; all times are media ms.

    `until_ms` is how far the session was heard: what has not happened by then may still come. `prosody` holds
    measures of stretches that do not overlap: those within a measured turn gave way to the turn's own.
    """

    language: Language = "nl"
    locale: str = ""
    turns: tuple[Turn, ...] = ()
    backchannels: tuple[Ack, ...] = ()
    cuts: tuple[Cut, ...] = ()
    prosody: tuple[ProsodyMeasured, ...] = ()
    is_ended: bool = False
    until_ms: int = 0

    @property
    def belgian(self) -> bool:
        return is_belgian(self.language, self.locale)

    def turns_of(self, speaker: Speaker) -> tuple[Turn, ...]:
        """Return a speaker's turns that hold speech."""
        return self._user_turns if speaker == "user" else self._hugo_turns

    def turn_speech(self, speaker: Speaker) -> tuple[Interval, ...]:
        """Return the union of a speaker's speech in turns, without backchannels; gaps under 0.25 s closed."""
        return self._user_speech if speaker == "user" else self._hugo_speech

    def all_speech(self, speaker: Speaker) -> tuple[Interval, ...]:
        """Return the union of everything a speaker said, backchannels too."""
        return self._with_acks[speaker]

    def speech_in_phase(self, speaker: Speaker, phase: int) -> tuple[Interval, ...]:
        """Return what of a speaker's speech, backchannels too, fell into a phase of the talk.

        A phase runs from the start of a user turn whose verdict gave it to the start of the next user turn.
        """
        return overlap(self.all_speech(speaker), self._phases.get(phase, ()))

    @cached_property
    def anyones_speech(self) -> tuple[Interval, ...]:
        """The union of all that was said, by whomever."""
        return merge((*self.all_speech("user"), *self.all_speech("hugo")))

    @cached_property
    def span(self) -> Interval:
        """From the first speech to the last: the T of every rate. Empty where nobody spoke."""
        parts = self.anyones_speech
        return Interval(parts[0].start_ms, parts[-1].end_ms) if parts else Interval(0, 0)

    @cached_property
    def user_words(self) -> int:
        """How many words the user's turns have."""
        return sum(turn.said.n_words for turn in self.turns_of("user"))

    @cached_property
    def _phases(self) -> dict[int, tuple[Interval, ...]]:
        parts: dict[int, list[Interval]] = {}
        turns = self._user_turns
        bounds = (*(turn.start_ms for turn in turns), self.span.end_ms)
        for turn, (start_ms, end_ms) in zip(turns, pairwise(bounds), strict=True):
            if turn.phase is not None:
                parts.setdefault(turn.phase, []).append(Interval(start_ms, end_ms))
        return {phase: merge(found) for phase, found in parts.items()}

    @cached_property
    def _with_acks(self) -> dict[Speaker, tuple[Interval, ...]]:
        acks: dict[Speaker, list[Interval]] = {"user": [], "hugo": []}
        for ack in self.backchannels:
            acks[ack.speaker].append(ack.interval)
        return {who: merge((*self.turn_speech(who), *parts), MERGE_GAP_MS) for who, parts in acks.items()}

    @cached_property
    def _user_turns(self) -> tuple[Turn, ...]:
        return tuple(turn for turn in self.turns if turn.speaker == "user")

    @cached_property
    def _hugo_turns(self) -> tuple[Turn, ...]:
        return tuple(turn for turn in self.turns if turn.speaker == "hugo")

    @cached_property
    def _user_speech(self) -> tuple[Interval, ...]:
        return merge((part for turn in self._user_turns for part in turn.speech), MERGE_GAP_MS)

    @cached_property
    def _hugo_speech(self) -> tuple[Interval, ...]:
        return merge((part for turn in self._hugo_turns for part in turn.speech), MERGE_GAP_MS)


class TimelineBuilder:
    """Builds the timeline from events in stream order. `snapshot` may be asked for at any moment."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._epochs: dict[str, int] = {}
        self._drafts: dict[str, Draft] = {}
        self._frozen: dict[str, Turn] = {}
        self._acks: list[Ack] = []
        self._cuts: dict[str, Cut] = {}
        self._prosody: dict[str, list[ProsodyMeasured]] = {}
        self._measures: dict[str, list[ProsodyMeasured]] = {}
        self._language: Language = "nl"
        self._locale = ""
        self._is_started = self._is_ended = False
        self._engine = ""
        self._snapshot: Timeline | None = None
        self.n_left_out = 0
        self.last_ms = 0

    @property
    def is_started(self) -> bool:
        """True once the session's first event was seen: without it the stream's head is missing."""
        return self._is_started

    @property
    def is_complete(self) -> bool:
        """True once the session has ended and the voice has said its last words (or never came).

        The voice closes the last turn after `SessionEnded`, and says so with an engine state of `ended`.
        """
        return self._is_ended and self._engine in {"", "ended", "failed"}

    def add(self, event: Event) -> Verdict:
        """Take in an event and say what became of it."""
        if event.id in self._seen:
            return "seen"
        if event.epoch < self._epochs.get(event.source, 0):
            return "stale"
        if event.source == "evaluator":
            return "own"
        if len(self._seen) >= MAX_EVENTS:
            self.n_left_out += 1
            return "full"
        self._seen.add(event.id)
        self._epochs[event.source] = event.epoch
        self.last_ms = max(self.last_ms, event.media_ms)
        self._take(event)
        return "taken"

    def snapshot(self) -> Timeline:
        """Return the timeline so far; cheap while nothing has changed."""
        if self._snapshot is None:
            turns = sorted(
                (self._freeze(draft) for draft in self._drafts.values()),
                key=lambda turn: (turn.start_ms, turn.end_ms, turn.id),
            )
            real, acks = split_backchannels([turn for turn in turns if turn.speech])
            self._snapshot = Timeline(
                language=self._language,
                locale=self._locale,
                turns=tuple(real),
                backchannels=tuple(sorted((*self._acks, *acks), key=lambda a: (a.interval, a.speaker, a.text))),
                cuts=tuple(sorted(self._all_cuts(), key=lambda cut: (cut.at_ms, cut.by, cut.turn))),
                prosody=self._all_prosody(),
                is_ended=self._is_ended,
                until_ms=self.last_ms,
            )
        return self._snapshot

    def set_phase(self, turn_id: str, phase: int | None) -> None:
        """Note the phase that the verdict on a turn gave; None where it is not scored. Unknown turns change nothing."""
        draft = self._drafts.get(turn_id)
        if draft is not None and draft.phase != phase:
            draft.phase = phase
            self._frozen.pop(turn_id, None)
            self._snapshot = None

    def _take(self, event: Event) -> None:
        body = event.body
        self._snapshot = None
        if isinstance(body, SessionStarted):
            self._is_started = True
            self._language, self._locale = body.language, body.locale
        elif isinstance(body, SessionEnded):
            self._is_ended = True
        elif isinstance(body, EngineState):
            self._engine = body.state
        elif isinstance(body, Backchannel):
            self._acks.append(Ack(body.speaker, body.text, Interval(body.start_ms, max(body.start_ms, body.end_ms))))
        elif isinstance(body, Interrupted):
            self._cuts[body.turn] = Cut(body.turn, body.by, body.at_ms)
        elif isinstance(body, ProsodyMeasured):
            # Emotion and confidence are dropped at the door: nothing in here may come to rest on them.
            plain = replace(body, prosody=replace(body.prosody, emotion=None, confidence=None))
            self._prosody.setdefault(body.turn, []).append(plain)
            self._measures.pop(body.turn, None)
        else:
            self._take_turn(body)

    def _take_turn(self, body: object) -> None:
        if isinstance(body, TurnStarted):
            self._draft(body.turn, body.speaker, body.start_ms).start_ms = body.start_ms
        elif isinstance(body, TurnEnded):
            draft = self._draft(body.turn, body.speaker, body.start_ms)
            draft.start_ms, draft.end_ms, draft.ended = body.start_ms, body.end_ms, body.reason
            if body.reason == "interrupted":
                by: Speaker = "hugo" if body.speaker == "user" else "user"
                self._cuts.setdefault(body.turn, Cut(body.turn, by, body.end_ms))
        elif isinstance(body, Transcript):
            draft = self._draft(body.turn, body.speaker, body.start_ms)
            draft.heard_ms = max(draft.heard_ms, body.end_ms)
            draft.say(4 if body.final else 2, body.text, body.words, body.language)
        elif isinstance(body, Spoken):
            draft = self._draft(body.turn, "hugo", body.start_ms)
            draft.heard_ms = max(draft.heard_ms, body.start_ms)
            draft.spoken.append(body.text)
        elif isinstance(body, VoiceToCoach):
            draft = self._draft(body.turn, "user", body.start_ms)
            draft.heard_ms = max(draft.heard_ms, body.end_ms)
            draft.took_floor = body.interrupt
            draft.say(3, body.transcript, body.timing.word_timestamps, body.language)

    def _draft(self, turn: str, speaker: Speaker, start_ms: int) -> Draft:
        self._frozen.pop(turn, None)
        draft = self._drafts.get(turn)
        if draft is None:
            draft = self._drafts[turn] = Draft(turn, speaker, self._language, start_ms, start_ms)
        return draft

    def _freeze(self, draft: Draft) -> Turn:
        if draft.id not in self._frozen:
            self._frozen[draft.id] = draft.freeze()
        return self._frozen[draft.id]

    def _all_prosody(self) -> tuple[ProsodyMeasured, ...]:
        for turn, found in self._prosody.items():
            if turn not in self._measures:
                self._measures[turn] = without_parts(found)
        kept = (item for found in self._measures.values() for item in found)
        return tuple(sorted(kept, key=lambda item: (item.start_ms, item.end_ms, item.turn)))

    def _all_cuts(self) -> list[Cut]:
        """Return the cuts that were told, and those that only a user turn's own message tells of."""
        cuts = dict(self._cuts)
        hugo = sorted((d.start_ms, d.id) for d in self._drafts.values() if d.speaker == "hugo")
        for draft in self._drafts.values():
            if draft.took_floor:
                index = bisect_right(hugo, draft.start_ms, key=lambda item: item[0])
                cut = hugo[index - 1][1] if index else draft.id
                cuts.setdefault(cut, Cut(cut, "user", draft.start_ms))
        return list(cuts.values())


def without_parts(found: Sequence[ProsodyMeasured]) -> list[ProsodyMeasured]:
    """Return one turn's measures without those that a longer one covers: nothing is to weigh twice.

    The listener measures stretches of about a second while the turn lasts, and the whole turn at its end. They
    are no two samples of one thing: a voice moves less within a second than within a turn.
    """
    kept: list[ProsodyMeasured] = []
    for item in sorted(found, key=lambda p: (p.start_ms - p.end_ms, p.start_ms, repr(p))):
        middle = item.start_ms + item.end_ms
        if not any(2 * other.start_ms <= middle <= 2 * other.end_ms for other in kept):
            kept.append(item)
    return kept


def speech_ms(parts: Sequence[Interval]) -> int:
    """Return how long the merged stretches are together."""
    return total_ms(parts)
