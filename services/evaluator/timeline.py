"""What happened in a session, on media time: turns, words, speech intervals, backchannels, interruptions.

`TimelineBuilder` takes events one at a time and owns what counts: an id seen twice changes nothing, an older
epoch of the same source is dropped, the evaluator's own events are passed over. `Timeline` is what metrics
read. Pure: no clock, no Redis; the same events give the same timeline whatever the batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from services.evaluator.intervals import Interval, clip, merge, total_ms
from services.evaluator.lexicon import backchannel_words, is_belgian
from services.evaluator.words import tokens
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
    Word,
)

MERGE_GAP_MS = 250
"""Shorter gaps between words are no pauses: the usual floor for a silent pause."""

MAX_EVENTS = 100_000
"""Events that one session's timeline takes in (a stream keeps 20,000); later ones are counted and left out."""

_BACKCHANNEL_MAX_MS = 1_000
_BACKCHANNEL_MAX_WORDS = 3
_BACKCHANNEL_AFTER_MS = 300

Verdict = Literal["taken", "seen", "stale", "own", "full"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn. For an open turn `end_ms` is the last speech heard of it so far.

    `text` is the final transcript, or the newest partial while there is none (`is_final` False).
    `speech` holds the stretches with words in them where word times are known, else the whole turn.
    """

    id: str
    speaker: Speaker
    start_ms: int
    end_ms: int
    text: str
    language: Language
    is_open: bool = False
    is_final: bool = False
    words: tuple[Word, ...] = ()
    speech: tuple[Interval, ...] = ()

    @property
    def interval(self) -> Interval:
        return Interval(self.start_ms, self.end_ms)


@dataclass(frozen=True, slots=True)
class Ack:
    """A backchannel: speech that takes no turn."""

    speaker: Speaker
    text: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class Cut:
    """A turn that was interrupted: `turn` is the one cut ("" if not known), `by` who cut it, at `at_ms`."""

    turn: str
    by: Speaker
    at_ms: int


@dataclass(frozen=True)
class Timeline:
    """A frozen view of a session. Turns stand in order of their start; all times are media ms."""

    language: Language = "nl"
    locale: str = ""
    turns: tuple[Turn, ...] = ()
    backchannels: tuple[Ack, ...] = ()
    cuts: tuple[Cut, ...] = ()
    prosody: tuple[ProsodyMeasured, ...] = ()
    is_ended: bool = False

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
        return sum(len(tokens(turn.text)) for turn in self.turns_of("user"))

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


@dataclass(slots=True)
class _Draft:
    """A turn while it is being heard."""

    id: str
    speaker: Speaker
    language: Language
    start_ms: int
    heard_ms: int
    end_ms: int | None = None
    text: str = ""
    text_rank: int = 0  # spoken words 1 < partial 2 < voice_to_coach 3 < final 4
    words: tuple[Word, ...] = ()
    spoken: list[str] = field(default_factory=list)
    took_floor: bool = False

    def say(self, rank: int, text: str, words: tuple[Word, ...], language: Language) -> None:
        """Take over a text of at least the present one's standing."""
        if rank < self.text_rank:
            return
        if words or text != self.text:
            self.words = words
        self.text_rank, self.text, self.language = rank, text, language

    def freeze(self) -> Turn:
        end_ms = max(self.start_ms, self.heard_ms if self.end_ms is None else self.end_ms)
        whole = Interval(self.start_ms, end_ms)
        timed = merge((Interval(word.start_ms, word.end_ms) for word in self.words), MERGE_GAP_MS)
        speech = clip(timed, whole) or merge((whole,))
        text = self.text or "".join(self.spoken).strip()
        is_open = self.end_ms is None
        return Turn(
            self.id,
            self.speaker,
            self.start_ms,
            end_ms,
            text,
            self.language,
            is_open,
            self.text_rank >= 3,
            self.words,
            speech,
        )


class TimelineBuilder:
    """Builds the timeline from events in stream order. `snapshot` may be asked for at any moment."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._epochs: dict[str, int] = {}
        self._drafts: dict[str, _Draft] = {}
        self._frozen: dict[str, Turn] = {}
        self._acks: list[Ack] = []
        self._cuts: dict[str, Cut] = {}
        self._prosody: list[ProsodyMeasured] = []
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
                prosody=tuple(sorted(self._prosody, key=lambda p: (p.start_ms, p.end_ms, p.turn))),
                is_ended=self._is_ended,
            )
        return self._snapshot

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
            self._prosody.append(replace(body, prosody=replace(body.prosody, emotion=None, confidence=None)))
        else:
            self._take_turn(body)

    def _take_turn(self, body: object) -> None:
        if isinstance(body, TurnStarted):
            self._draft(body.turn, body.speaker, body.start_ms).start_ms = body.start_ms
        elif isinstance(body, TurnEnded):
            draft = self._draft(body.turn, body.speaker, body.start_ms)
            draft.start_ms, draft.end_ms = body.start_ms, body.end_ms
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

    def _draft(self, turn: str, speaker: Speaker, start_ms: int) -> _Draft:
        self._frozen.pop(turn, None)
        draft = self._drafts.get(turn)
        if draft is None:
            draft = self._drafts[turn] = _Draft(turn, speaker, self._language, start_ms, start_ms)
        return draft

    def _freeze(self, draft: _Draft) -> Turn:
        if draft.id not in self._frozen:
            self._frozen[draft.id] = draft.freeze()
        return self._frozen[draft.id]

    def _all_cuts(self) -> list[Cut]:
        """Return the cuts that were told, and those that only a user turn's own message tells of."""
        cuts = dict(self._cuts)
        hugo = sorted((d.start_ms, d.id) for d in self._drafts.values() if d.speaker == "hugo")
        for draft in self._drafts.values():
            if draft.took_floor:
                before = [turn_id for start_ms, turn_id in hugo if start_ms <= draft.start_ms]
                cut = before[-1] if before else draft.id
                cuts.setdefault(cut, Cut(cut, "user", draft.start_ms))
        return list(cuts.values())


def split_backchannels(turns: Sequence[Turn]) -> tuple[list[Turn], list[Ack]]:
    """Part turns that are only an acknowledgement from real ones.

    A backchannel lasts at most 1.0 s and three words, all from the list, and falls during the other's speech
    or less than 0.3 s after it. After a question it is an answer and stays a turn.
    """
    real: list[Turn] = []
    acks: list[Ack] = []
    for index, turn in enumerate(turns):
        others = [other for other in turns[max(0, index - 4) : index] if other.speaker != turn.speaker]
        if others and _only_acknowledges(turn) and _leans_on(turn, others[-1]):
            acks.append(Ack(turn.speaker, turn.text, turn.interval))
        else:
            real.append(turn)
    return real, acks


def _only_acknowledges(turn: Turn) -> bool:
    if turn.is_open or turn.end_ms - turn.start_ms > _BACKCHANNEL_MAX_MS:
        return False
    said = [token.word for token in tokens(turn.text)]
    return 0 < len(said) <= _BACKCHANNEL_MAX_WORDS and set(said) <= backchannel_words(turn.language)


def _leans_on(turn: Turn, other: Turn) -> bool:
    gap_ms = turn.start_ms - other.end_ms
    if turn.end_ms <= other.end_ms:
        return True
    return gap_ms < _BACKCHANNEL_AFTER_MS and not other.text.rstrip().endswith("?")


def speech_ms(parts: Sequence[Interval]) -> int:
    """Return how long the merged stretches are together."""
    return total_ms(parts)
