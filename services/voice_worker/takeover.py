"""What a new owner reads out of a session's events: what Hugo has still to say, and what must be heard again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.voice_worker.engines.base import Unsaid, turn_number
from shared.events import (
    Backchannel,
    CoachToVoice,
    Event,
    Notice,
    Speaker,
    Spoken,
    Transcript,
    TurnEnded,
    TurnStarted,
)

PREROLL_MS: Final = 400
"""Sound before a turn's first word that its recognition begins with."""

IDLE_MS: Final = 3_000
"""Sound that is heard again where no turn was open: one may have begun without having been noticed."""

TEXT_DUE_MS: Final = 10_000
"""How long after its end the words of a turn may still come. Later they were never to be had."""


def unsaid(history: Sequence[Event]) -> Unsaid:
    """Return what of the coach's answers Hugo has not said yet."""
    started = _starts(history, "hugo")
    ended = {body.turn: body.reason for event in history if isinstance(body := event.body, TurnEnded)}
    current = next((turn for turn in reversed(started) if turn.turn not in ended), None)
    newest = turn_number(_last_understood(history))
    begun = {turn.answers for turn in started}
    answers = None if current is None else current.answers
    messages = tuple(
        body
        for event in history
        if isinstance(body := event.body, CoachToVoice)
        and (body.turn == answers if body.turn in begun else turn_number(body.turn) >= newest)
    )
    refused = {turn.answers for turn in started if turn.answers is not None and ended.get(turn.turn) == "interrupted"}
    if current is None:
        return Unsaid(messages=messages, refused=frozenset(refused))
    heard = "".join(
        body.text for event in history if isinstance(body := event.body, Spoken) and body.turn == current.turn
    )
    return Unsaid(current.turn, current.start_ms, tuple(heard.split()), answers, messages, frozenset(refused))


def understood_turns(history: Sequence[Event], now_ms: int) -> int:
    """Return the number of the user's last turn that needs no more hearing, 0 for none."""
    started = _users_last_start(history)
    if started is None:
        return 0
    return turn_number(started.turn) - (1 if _must_be_heard_again(history, started, now_ms) else 0)


def listens_from_ms(history: Sequence[Event], now_ms: int) -> int:
    """Return the media time from which the user must be heard again; `now_ms` is where the session goes on.

    The beginning of the turn that is open or has no words yet, but nothing of the turn before it; else a little
    before `now_ms`, since somebody may have begun to speak.
    """
    started = _users_last_start(history)
    ends = [body.end_ms for event in history if (body := _users_end(event)) is not None]
    if started is None or not _must_be_heard_again(history, started, now_ms):
        return max([now_ms - IDLE_MS, 0, *ends])
    return max([started.start_ms - PREROLL_MS, 0, *(end for end in ends if end <= started.start_ms)])


def _must_be_heard_again(history: Sequence[Event], started: TurnStarted, now_ms: int) -> bool:
    ended_ms: int | None = None
    for event in history:
        body = event.body
        if isinstance(body, Transcript) and body.final and body.turn == started.turn:
            return False
        if isinstance(body, Notice) and event.id == f"voice:notice:recognition_failed:{started.turn}":
            return False
        if isinstance(body, TurnEnded) and body.turn == started.turn:
            ended_ms = body.end_ms
    return ended_ms is None or now_ms - ended_ms < TEXT_DUE_MS


def _users_last_start(history: Sequence[Event]) -> TurnStarted | None:
    starts = _starts(history, "user")
    return starts[-1] if starts else None


def _starts(history: Sequence[Event], speaker: Speaker) -> list[TurnStarted]:
    return [body for event in history if isinstance(body := event.body, TurnStarted) and body.speaker == speaker]


def _users_end(event: Event) -> TurnEnded | Backchannel | None:
    body = event.body
    return body if isinstance(body, TurnEnded | Backchannel) and body.speaker == "user" else None


def _last_understood(history: Sequence[Event]) -> str:
    finals = [
        body.turn
        for event in history
        if isinstance(body := event.body, Transcript) and body.final and body.speaker == "user"
    ]
    return finals[-1] if finals else ""
