"""Hugo's turns out of what the model says frame by frame: begun, spoken, ended, interrupted. Pure.

The model marks no turns. One begins with a word and is over after a stretch without words in which nothing
sounds; soon after the coach's script is over whether or not something sounds; or after a long stretch without words.
A pause that the script wants, or in which its next sentence is on the way, ends nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.voice_worker.engines.base import Unsaid
from services.voice_worker.engines.personaplex.slot import FrameOut
from shared.audio import FRAME_MS
from shared.events import Body, Interrupted, Language, Spoken, Transcript, TurnEnded, TurnStarted

QUIET_END_FRAMES: Final = 10
"""Frames without word and sound that end a turn (0.8 s); after a script that is over, frames without a word."""

WORDLESS_END_FRAMES: Final = 38
"""Frames without a word that end a turn though something sounds: a hum or a laugh (3 s)."""

RESUME_FRAMES: Final = 50
"""Frames more that a turn which was begun elsewhere waits for its next word (4 s)."""

NOTHING_UNSAID: Final = Unsaid()

Told = tuple[Body, str, int]
"""Body, event id and media time of an event."""


class AgentTurns:
    """Told of every frame that goes out, in order; yields the events that it makes."""

    def __init__(self, first_turn: int, language: Language, unsaid: Unsaid = NOTHING_UNSAID) -> None:
        self._number = first_turn - 1
        self._language = language
        self._words = list(unsaid.heard)
        self._start_ms = self._end_ms = unsaid.start_ms
        goes_on = any(message.turn == unsaid.answers for message in unsaid.messages)
        self._quiet = self._wordless = -RESUME_FRAMES if goes_on else 0
        self._since_script: int | None = None  # frames without a word since the script was over
        self._open = bool(unsaid.turn)
        self._answers = unsaid.answers

    @property
    def speaking(self) -> bool:
        """True while a turn is open."""
        return self._open

    @property
    def heard(self) -> str:
        """The words of the open turn, or of the last one."""
        return " ".join(self._words)

    def advance(self, frame: FrameOut, media_ms: int) -> Iterator[Told]:
        """Yield the events of the frame that begins at `media_ms`."""
        if frame.began is not None and self._open and frame.began != self._answers:
            yield from self._end("complete", media_ms)  # words of the model's own, or of another answer
        for word in frame.words:
            yield from self._word(word, media_ms, frame.began)
        if frame.dropped is not None and self._open:  # a word of this frame was chosen before the interruption
            yield from self._interrupted(frame.dropped.unsaid, media_ms)
        self._count(frame)
        if not frame.quiet:
            self._end_ms = media_ms + FRAME_MS
        if self._open and not frame.goes_on and self._is_over():
            yield from self._end("complete", media_ms)

    def finish(self, media_ms: int) -> Iterator[Told]:
        """End the open turn: the session is over."""
        if self._open:
            yield from self._end("session_ended", media_ms)

    def _word(self, word: str, media_ms: int, answers: str | None) -> Iterator[Told]:
        if not self._open:
            self._open = True
            self._answers = answers
            self._number += 1
            self._words.clear()
            self._start_ms = media_ms
            yield TurnStarted(self._turn, "hugo", media_ms, answers), f"voice:turn_started:{self._turn}", media_ms
        self._words.append(word)
        self._end_ms = media_ms + FRAME_MS
        event_id = f"voice:spoken:{self._turn}:{len(self._words)}"
        yield Spoken(self._turn, f" {word}", media_ms), event_id, media_ms

    def _count(self, frame: FrameOut) -> None:
        speaks = bool(frame.words) or frame.goes_on
        self._quiet = self._quiet + 1 if frame.quiet and not speaks else 0
        self._wordless = 0 if speaks else self._wordless + 1
        if frame.ended is not None:
            self._since_script = 0
        elif frame.words:
            self._since_script = None
        elif self._since_script is not None:
            self._since_script += 1

    def _is_over(self) -> bool:
        script_is_over = self._since_script is not None and self._since_script >= QUIET_END_FRAMES
        return script_is_over or self._quiet >= QUIET_END_FRAMES or self._wordless >= WORDLESS_END_FRAMES

    def _interrupted(self, unsaid: str, media_ms: int) -> Iterator[Told]:
        body = Interrupted(self._turn, "user", media_ms, self.heard, unsaid)
        yield body, f"voice:interrupted:{self._turn}", media_ms
        yield from self._end("interrupted", media_ms)

    def _end(self, reason: str, media_ms: int) -> Iterator[Told]:
        self._open = False
        end_ms = max(self._end_ms, self._start_ms)
        final = Transcript(self._turn, "hugo", self.heard, True, self._start_ms, end_ms, self._language)
        yield final, f"voice:transcript:{self._turn}:final", media_ms
        ended = TurnEnded(self._turn, "hugo", self._start_ms, end_ms, reason)  # type: ignore[arg-type]
        yield ended, f"voice:turn_ended:{self._turn}", media_ms

    @property
    def _turn(self) -> str:
        return f"h{self._number}"
