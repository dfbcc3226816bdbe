"""Rebuilds what a session needs to go on, from its state hash and its streams. Pure but for reading Redis."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from services.voice_worker.engines.base import SessionSpec
from services.voice_worker.session import ResumePoint
from shared.broker import Broker
from shared.errors import EngineError, WireError
from shared.events import ConsentChanged, Event, SessionEnded, SessionStarted, TurnStarted
from shared.wire import decode_audio

log = logging.getLogger(__name__)


async def restore_session(
    broker: Broker, session_id: str, engine: str, *, taken_over: bool
) -> tuple[SessionSpec, ResumePoint]:
    """Return what the session asked for and where its last owner stopped.

    A first owner reads all events (the coach may have greeted before the engine was open); one that takes over
    reads only new ones. Raises EngineError if it has already ended or was never begun, and what Redis raises.
    """
    history, last_event = await broker.history(session_id)
    resume = await _resume_point(broker, session_id)
    if taken_over:
        resume = replace(resume, events_after=last_event)
    return spec_from_history(history, session_id, engine, resume), resume


def spec_from_history(history: Sequence[Event], session_id: str, engine: str, resume: ResumePoint) -> SessionSpec:
    """Return the session's spec from its events so far."""
    started = next((event.body for event in history if isinstance(event.body, SessionStarted)), None)
    if started is None:
        raise EngineError("the session has no beginning in its events stream; it has expired or was never opened")
    if any(isinstance(event.body, SessionEnded) for event in history):
        raise EngineError("the session has already ended")
    changes = [event.body.consent for event in history if isinstance(event.body, ConsentChanged)]
    turns = [event.body for event in history if isinstance(event.body, TurnStarted)]
    return SessionSpec(
        session_id=session_id,
        engine=engine,
        language=started.language,
        locale=started.locale,
        voice=started.voice,
        persona=started.persona,
        profile=started.profile,
        consent=changes[-1] if changes else started.consent,
        start_frame=resume.next_seq,
        hugo_turns=_last_number(turns, "hugo"),
        user_turns=_last_number(turns, "user"),
    )


def _last_number(turns: Sequence[TurnStarted], speaker: str) -> int:
    numbers = [int(turn.turn[1:]) for turn in turns if turn.speaker == speaker and turn.turn[1:].isdigit()]
    return max(numbers, default=0)


async def _resume_point(broker: Broker, session_id: str) -> ResumePoint:
    last = await broker.client.xrevrange(broker.keys(session_id).audio_out, count=1)
    if not last:
        return ResumePoint()
    try:
        frame = decode_audio(last[0][1][b"m"])
    except (WireError, KeyError):
        log.warning("the last output frame cannot be read; the session begins anew")
        return ResumePoint()
    return ResumePoint(frame.consumed or "0", frame.seq + 1)
