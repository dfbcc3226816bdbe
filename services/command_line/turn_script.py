"""Who speaks next in a scripted call: each clip waits until Hugo has answered the one before. Pure.

Time is media time in milliseconds: what has been sent so far. Knows no socket and no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.events import Event, Interrupted, TurnEnded, TurnStarted

Outcome = Literal["answered", "sound_only", "no_answer", "tail", "still_speaking"]


@dataclass(frozen=True, slots=True)
class TurnRules:
    """When the floor is free. Each limit ends the wait, and the outcome says which one it was.

    `gap_ms` is the silence before the next clip; `quiet_ms` the silence that stands for "Hugo is done" where
    no turn events say so; `answer_timeout_ms` how long nothing at all may come; `max_answer_ms` how long
    Hugo may speak. `tail_ms`, where given, is all that follows the last clip. `greeting_ms` is how long
    Hugo may take to begin the call before the first clip.
    """

    gap_ms: int = 400
    quiet_ms: int = 4_000
    answer_timeout_ms: int = 15_000
    max_answer_ms: int = 90_000
    tail_ms: int | None = None
    greeting_ms: int = 0


@dataclass(frozen=True, slots=True)
class Say:
    """Send this clip now."""

    clip: int


@dataclass(frozen=True, slots=True)
class Done:
    """The script is over."""


Action = Say | Done | None


class TurnScript:
    """Walks through `n_clips` clips. Give it every event and every loud frame; ask it once per frame."""

    def __init__(self, n_clips: int, rules: TurnRules | None = None) -> None:
        self.outcomes: list[Outcome] = []
        self._n_clips = n_clips
        self._rules = rules or TurnRules()
        self._next = 0
        self._speaking = False
        self._clip_start_ms = 0
        self._clip_end_ms = 0
        self._floor = _Floor()

    def on_event(self, event: Event) -> None:
        """Take in an event of the session."""
        self._floor.on_event(event)

    def on_loud(self, media_ms: int) -> None:
        """Take in that Hugo's sound at `media_ms` is not silence."""
        self._floor.loud_ms = max(self._floor.loud_ms, media_ms)

    def tick(self, media_ms: int, queued_ms: int) -> Action:
        """Return what to do at `media_ms`, with `queued_ms` of the present clip still to send."""
        if self._speaking:
            if queued_ms > 0:
                return None
            self._speaking = False
            self._clip_end_ms = media_ms
        if self._next == 0:
            return self._say(media_ms) if self._may_begin(media_ms) else None
        outcome = self._outcome(media_ms)
        if outcome is None:
            return None
        self.outcomes.append(outcome)
        return Done() if self._next == self._n_clips else self._say(media_ms)

    def _say(self, media_ms: int) -> Action:
        if self._next == self._n_clips:
            return Done()
        self._clip_start_ms, self._speaking = media_ms, True
        self._next += 1
        return Say(self._next - 1)

    def _may_begin(self, media_ms: int) -> bool:
        floor = self._floor
        if media_ms >= self._rules.max_answer_ms:
            return True
        if floor.hugo_open:
            return False
        greeted = floor.hugo_end_ms >= 0
        if not greeted and media_ms < self._rules.greeting_ms:
            return False
        return not greeted or media_ms - max(floor.hugo_end_ms, floor.loud_ms) >= self._rules.gap_ms

    def _outcome(self, media_ms: int) -> Outcome | None:
        rules, floor = self._rules, self._floor
        since_clip = media_ms - self._clip_end_ms
        if rules.tail_ms is not None and self._next == self._n_clips:
            return "tail" if since_clip >= rules.tail_ms else None
        if since_clip >= rules.max_answer_ms:
            return "still_speaking"
        if floor.hugo_open:
            return None
        quiet = media_ms - max(floor.hugo_end_ms, floor.loud_ms, self._clip_end_ms)
        if floor.has_answered(self._clip_start_ms):
            return "answered" if quiet >= rules.gap_ms else None
        if floor.loud_ms > self._clip_start_ms and not floor.user_open and quiet >= rules.quiet_ms:
            return "sound_only"
        return "no_answer" if quiet >= rules.answer_timeout_ms else None


class _Floor:
    """What the events say about who has the floor."""

    def __init__(self) -> None:
        self.user_open = False
        self.hugo_open = False
        self.loud_ms = -1
        self.hugo_end_ms = -1
        self._hugo_start_ms = -1
        self._user_end_ms = -1

    def on_event(self, event: Event) -> None:
        body = event.body
        if isinstance(body, TurnStarted):
            if body.speaker == "user":
                self.user_open = True
            else:
                self.hugo_open, self._hugo_start_ms = True, body.start_ms
        elif isinstance(body, TurnEnded):
            if body.speaker == "user":
                self.user_open, self._user_end_ms = False, body.end_ms
            else:
                self.hugo_open, self.hugo_end_ms = False, body.end_ms
        elif isinstance(body, Interrupted) and body.by == "user":
            self.hugo_open, self.hugo_end_ms = False, body.at_ms

    def has_answered(self, clip_start_ms: int) -> bool:
        """True if Hugo began and ended a turn after the user's last one, and nobody has the floor."""
        since = max(clip_start_ms, self._user_end_ms)
        return not self.user_open and self._hugo_start_ms >= since and self.hugo_end_ms >= self._hugo_start_ms
