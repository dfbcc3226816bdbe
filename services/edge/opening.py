"""How a session begins: chosen engine, first event, places asked for; or an earlier session taken up again."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from services.edge.auth import Identity
from services.edge.engines import Engine, candidates, language_for, preferred
from services.edge.params import SessionParams
from services.edge.records import Position, SessionRecord, hash_secret
from services.edge.session import Doors
from shared.errors import Overloaded
from shared.events import Consent, Event, Notice, SessionStarted

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that a client may be connected to. `notices` go to it and to the stream first."""

    record: SessionRecord
    position: Position
    resume_token: str
    history: tuple[Event, ...] = ()
    notices: tuple[Notice, ...] = ()


class Opener:
    """Begins sessions and takes them up again. Raises what Redis raises."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._settings = doors.settings

    def engines_for(self, params: SessionParams) -> list[Engine]:
        """Return the engines to try, best first. Raises BadInput."""
        return candidates(params.engine, params.language, self._settings.engine_names)

    async def open(self, params: SessionParams, identity: Identity, session_id: str, secret: str) -> Opened:
        """Begin a session on the first engine that has a place. Raises Overloaded if none has."""
        engines = self.engines_for(params)
        full: list[str] = []
        for engine in engines:
            record = self._record(params, identity, engine, session_id, secret)
            answer = await self._doors.records.create(record, self._first_event(record))
            if answer.outcome == "admitted":
                notices = [*self._emotion_notice(params), *await self._ask_others(session_id)]
                position = Position()
                return Opened(
                    replace(record, voice_entry=answer.entry_id),
                    position,
                    f"{session_id}.{secret}",
                    notices=tuple(notices),
                )
            if answer.outcome == "full":
                full.append(engine.id)
        raise self._no_place([engine.id for engine in engines], full)

    async def claim(self, params: SessionParams, identity: Identity) -> SessionRecord:
        """Become the one who holds an earlier session's client. Raises AuthError, or BadInput if it is over."""
        session_id, _, secret = params.resume.partition(".")
        return await self._doors.records.attach(session_id, secret, identity)

    async def take_up(self, record: SessionRecord, resume_token: str) -> Opened:
        """Return a claimed session with all that was said so far."""
        # The position first: audio that comes between the two calls is sent, not lost.
        position = await self._doors.records.take_position(record)
        history, last_id = await self._doors.broker.history(record.session_id)
        # The older edge, if it still holds a socket, closes it when it sees this.
        back = Notice("client_back", "info", "the client is connected again")
        return Opened(record, replace(position, events_after=last_id), resume_token, tuple(history), (back,))

    def _record(
        self, params: SessionParams, identity: Identity, engine: Engine, session_id: str, secret: str
    ) -> SessionRecord:
        settings = self._settings
        consent = params.consent
        if settings.emotion_locked:
            consent = Consent(consent.store_audio, consent.store_transcript, emotion=False)
        started = SessionStarted(
            engine=engine.id,
            language=language_for(engine, params.language, settings.default_language),
            locale=params.locale,
            voice=params.voice or settings.default_voice,
            persona=params.persona or settings.default_persona,
            profile=settings.profile,
            consent=consent,
            mode=params.mode,
            seed=params.seed,
        )
        return SessionRecord(
            session_id,
            identity.user,
            started,
            self._doors.broker.clock.wall_ms(),
            resume_hash=hash_secret(secret),
            asked=params.engine,
            preferred=preferred(params.engine, started.language, settings.engine_names) or engine.id,
        )

    def _first_event(self, record: SessionRecord) -> Event:
        return Event(
            "edge:session_started", record.session_id, "edge", record.attach, 0, record.started_ms, record.started
        )

    def _emotion_notice(self, params: SessionParams) -> list[Notice]:
        if params.consent.emotion and self._settings.emotion_locked:
            return [Notice("emotion_locked", "warning", "this deployment may not infer emotion from a voice")]
        return []

    async def _ask_others(self, session_id: str) -> list[Notice]:
        """A conversation without hints or scores is better than none: what cannot be had is told."""
        notices: list[Notice] = []
        if not await self._doors.records.ask("coach", session_id):
            notices.append(Notice("no_coach", "warning", "too many conversations wait for a coach: no hints"))
        if not await self._doors.records.ask("evaluator", session_id):
            notices.append(Notice("no_evaluator", "warning", "too many conversations wait for scores: none here"))
        return notices

    def _no_place(self, tried: list[str], full: list[str]) -> Overloaded:
        retry_s = self._settings.retry_after_s
        if full:
            text = f"all places are taken ({', '.join(full)})"
        else:
            text = f"no voice worker serves {' or '.join(tried) or 'this language'} now"
        return Overloaded(text, retry_s)
