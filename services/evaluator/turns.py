"""One turn of the talk: as it is being heard, as metrics read it, and which turns only acknowledge. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from services.evaluator.intervals import Interval, clip, merge
from services.evaluator.lexicon import backchannel_words
from services.evaluator.turn_text import TurnText
from shared.events import Language, Speaker, Word

MERGE_GAP_MS = 250
"""Shorter gaps between words are no pauses: the usual floor for a silent pause."""

_BACKCHANNEL_MAX_MS = 1_000
_BACKCHANNEL_MAX_WORDS = 3
_BACKCHANNEL_AFTER_MS = 300

TurnEnd = Literal["", "complete", "interrupted", "session_ended"]
"""How a turn ended, as its `TurnEnded` told; "" while it is open."""


@dataclass(frozen=True)
class Turn:
    """One turn. For an open turn `end_ms` is the last speech heard of it so far.

    `text` is the final transcript, or the newest partial while there is none (`is_final` False). `speech` holds
    the stretches with words in them where word times are known, else the whole turn. `phase` is the one that the
    verdict on a user turn gave: None without a verdict, and for talk that is not scored.
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
    ended: TurnEnd = ""
    phase: int | None = None

    @property
    def interval(self) -> Interval:
        return Interval(self.start_ms, self.end_ms)

    @cached_property
    def said(self) -> TurnText:
        """What the words come to; worked out once for as long as the turn does not change."""
        return TurnText(self.text, self.language)


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


@dataclass(slots=True)
class Draft:
    """A turn while it is being heard."""

    id: str
    speaker: Speaker
    language: Language
    start_ms: int
    heard_ms: int
    end_ms: int | None = None
    ended: TurnEnd = ""
    text: str = ""
    text_rank: int = 0  # spoken words 1 < partial 2 < voice_to_coach 3 < final 4
    words: tuple[Word, ...] = ()
    spoken: list[str] = field(default_factory=list)
    took_floor: bool = False
    phase: int | None = None

    def say(self, rank: int, text: str, words: tuple[Word, ...], language: Language) -> None:
        """Take over a text of at least the present one's standing."""
        if rank < self.text_rank:
            return
        if words or text != self.text:
            self.words = words
        self.text_rank, self.text, self.language = rank, text, language

    def freeze(self) -> Turn:
        """Return the turn as it is known now."""
        end_ms = max(self.start_ms, self.heard_ms if self.end_ms is None else self.end_ms)
        whole = Interval(self.start_ms, end_ms)
        timed = merge((Interval(word.start_ms, word.end_ms) for word in self.words), MERGE_GAP_MS)
        return Turn(
            self.id,
            self.speaker,
            self.start_ms,
            end_ms,
            text=self.text or "".join(self.spoken).strip(),
            language=self.language,
            is_open=self.end_ms is None,
            is_final=self.text_rank >= 3,
            words=self.words,
            speech=clip(timed, whole) or merge((whole,)),
            ended=self.ended,
            phase=self.phase,
        )


def split_backchannels(turns: Sequence[Turn]) -> tuple[list[Turn], list[Ack]]:
    """Part turns, in order of their start, that are only an acknowledgement from real ones.

    A backchannel lasts at most 1.0 s and three words, all from the list, and falls during the other's speech
    or less than 0.3 s after it. After a question it is an answer and stays a turn.
    """
    real: list[Turn] = []
    acks: list[Ack] = []
    latest: dict[Speaker, Turn] = {}  # of each speaker's turns so far, the one that ends last
    for turn in turns:
        other = latest.get("hugo" if turn.speaker == "user" else "user")
        if other is not None and _only_acknowledges(turn) and _leans_on(turn, other):
            acks.append(Ack(turn.speaker, turn.text, turn.interval))
        else:
            real.append(turn)
        before = latest.get(turn.speaker)
        if before is None or turn.end_ms >= before.end_ms:
            latest[turn.speaker] = turn
    return real, acks


def _only_acknowledges(turn: Turn) -> bool:
    if turn.is_open or turn.end_ms - turn.start_ms > _BACKCHANNEL_MAX_MS:
        return False
    said = [token.word for token in turn.said.tokens]
    return 0 < len(said) <= _BACKCHANNEL_MAX_WORDS and set(said) <= backchannel_words(turn.language)


def _leans_on(turn: Turn, other: Turn) -> bool:
    gap_ms = turn.start_ms - other.end_ms
    if turn.end_ms <= other.end_ms:
        return True
    return gap_ms < _BACKCHANNEL_AFTER_MS and not other.text.rstrip().endswith("?")
