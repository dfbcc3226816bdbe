"""Rebuilds what a session needs to go on, from its state hash and its streams. Pure but for reading Redis."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from services.voice_worker.engines.base import Past, SessionSpec
from services.voice_worker.session import ResumePoint
from services.voice_worker.takeover import listens_from_ms, understood_turns, unsaid
from shared.audio import FRAME_MS
from shared.broker import Broker
from shared.broker.append import FIELD
from shared.broker.entries import readable
from shared.broker.frames import frames_that_count, newest_frame
from shared.errors import SplitbrainError
from shared.events import ConsentChanged, Event, SessionEnded, SessionStarted, Spoken, TurnStarted
from shared.session_worker import EpochFilter
from shared.wire import AudioFrame, decode_audio

log = logging.getLogger(__name__)


class SessionOver(SplitbrainError):
    """Nothing is left to serve: its end came before this owner did."""


async def restore_session(
    broker: Broker, session_id: str, engine: str, *, taken_over: bool, history_s: float = 0.0
) -> tuple[SessionSpec, ResumePoint]:
    """Return what the session asked for and where its last owner stopped; with `history_s` the end of its sound.

    A first owner reads all events (the coach may have greeted before the engine was open); one that takes over
    reads only new ones, and gets what is still to be said in the spec. Raises SessionOver if it has already ended
    or was never begun, and what Redis raises.
    """
    history, last_event = await broker.history(session_id)
    accepts = EpochFilter().accepts
    history = [event for event in history if accepts(event)]
    resume = await _resume_point(broker, session_id)
    spec = spec_from_history(history, session_id, engine, resume)
    if not taken_over:
        return spec, resume
    from_frame = -(-listens_from_ms(history, resume.next_seq * FRAME_MS) // FRAME_MS)
    heard_again = await _frames_before(broker, session_id, resume, max(resume.next_seq - from_frame, 1))
    resume = replace(resume, events_after=last_event, heard_again=heard_again)
    spec = replace(
        spec,
        user_turns=understood_turns(history, resume.next_seq * FRAME_MS),
        unsaid=unsaid(history),
        listen_from_frame=max(from_frame, heard_again[0].seq) if heard_again else resume.next_seq,
    )
    if history_s > 0:
        spec = replace(spec, past=await _past(broker, session_id, history, resume, int(history_s * 1000 / FRAME_MS)))
    return spec, resume


def spec_from_history(history: Sequence[Event], session_id: str, engine: str, resume: ResumePoint) -> SessionSpec:
    """Return the session's spec from its events so far."""
    started = next((event.body for event in history if isinstance(event.body, SessionStarted)), None)
    if started is None:
        raise SessionOver("it has no beginning in its events stream: it has expired or was never opened")
    if any(isinstance(event.body, SessionEnded) for event in history):
        raise SessionOver("it has already ended")
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
        mode=started.mode,
        seed=started.seed,
        listen_from_frame=resume.next_seq,
    )


def _last_number(turns: Sequence[TurnStarted], speaker: str) -> int:
    numbers = [int(turn.turn[1:]) for turn in turns if turn.speaker == speaker and turn.turn[1:].isdigit()]
    return max(numbers, default=0)


async def _past(broker: Broker, session_id: str, history: Sequence[Event], resume: ResumePoint, n_frames: int) -> Past:
    """Read the last frames of both directions up to the resume point: what came in later is still to be answered."""
    keys = broker.keys(session_id)
    sent = await _frames_before(broker, session_id, resume, n_frames)
    given = await broker.client.xrevrange(keys.audio_out, count=n_frames)
    words = tuple((event.media_ms, event.body.text.strip()) for event in history if isinstance(event.body, Spoken))
    return Past(sent, _frames(given), words)


async def _frames_before(broker: Broker, session_id: str, resume: ResumePoint, n_frames: int) -> tuple[AudioFrame, ...]:
    """Return the last input frames that were consumed, oldest first."""
    key = broker.keys(session_id).audio_in
    return _frames(await broker.client.xrevrange(key, max=resume.consumed, count=n_frames))


def _frames(entries: Sequence[Any]) -> tuple[AudioFrame, ...]:
    """Return newest-first entries as the frames that count, oldest first, without what cannot be read."""
    named = [(entry_id, fields[FIELD]) for entry_id, fields in reversed(entries) if FIELD in fields]
    return tuple(frames_that_count(frame for _, frame in readable(named, decode_audio, "audio")))


async def _resume_point(broker: Broker, session_id: str) -> ResumePoint:
    newest = await newest_frame(broker.client, broker.keys(session_id).audio_out, "audio.out")
    return ResumePoint() if newest is None else ResumePoint(newest.consumed or "0", newest.seq + 1)
