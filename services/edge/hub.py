"""All sessions of this edge: one clock tick for all, news from the broker, and the common end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from services.edge.engines import Capacity
from services.edge.moshi_protocol import Close, CloseCode
from services.edge.records import RENEW_EVERY, SOCKET_LEASE_MS
from services.edge.session import Doors, EdgeSession
from shared.broker.connection import TRANSIENT
from shared.events import Notice

log = logging.getLogger(__name__)

TICK_S = 1.0
_EXTEND_EVERY = 600
_OFFER_EVERY = 5
_SUMMARY_EVERY = 10


class Hub:
    """The table of live sessions. `run` ticks until cancelled."""

    def __init__(self, doors: Doors, on_broker: Callable[[bool], None] = lambda up: None) -> None:
        self.draining = False
        self.broker_up = False
        self._was_away = False
        self._on_broker = on_broker
        self._doors = doors
        self._clock = doors.broker.clock
        self._sessions: dict[str, EdgeSession] = {}
        self._by_audio_key: dict[str, EdgeSession] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        doors.broker.writer.on_shed(self._on_shed)
        doors.broker.writer.on_health(self._on_health)

    @property
    def session_ids(self) -> tuple[str, ...]:
        """Sessions whose client is connected here."""
        return tuple(self._sessions)

    def add(self, session: EdgeSession) -> None:
        """Take a session in; no other of the same id is here (see `displace`)."""
        self._sessions[session.record.session_id] = session
        self._by_audio_key[session.keys.audio_in] = session
        self._empty.clear()
        if self.draining:
            session.request_close(_DRAINED)

    async def displace(self, session_id: str) -> None:
        """Close the older socket of a session whose client came back here: a stream has one reader a process."""
        older = self._sessions.get(session_id)
        if older is not None:
            older.request_close(MOVED)
            await older.closed.wait()

    def remove(self, session: EdgeSession) -> None:
        """The session's socket is closed."""
        self._sessions.pop(session.record.session_id, None)
        self._by_audio_key.pop(session.keys.audio_in, None)
        session.closed.set()
        if not self._sessions:
            self._empty.set()

    async def run(self) -> None:
        """Tick once a second: time limits, deadlines, sessions that no edge holds any more."""
        n_ticks = 0
        while True:
            now_s = self._clock.monotonic()
            for session in list(self._sessions.values()):
                session.tick(now_s)
            try:
                async with asyncio.timeout(5):
                    await self._keep_deadlines(n_ticks)
                self._set_broker(True)
            except TRANSIENT as error:
                log.debug("deadlines could not be renewed: %s", type(error).__name__)
                self._set_broker(False)
            if n_ticks % _SUMMARY_EVERY == 0 and self._sessions:
                log.info("%d sessions", len(self._sessions))
            n_ticks += 1
            await self._clock.sleep(TICK_S)

    async def _keep_deadlines(self, n_ticks: int) -> None:
        records = self._doors.records
        live = [session_id for session_id, session in self._sessions.items() if not session.is_over]
        if n_ticks % RENEW_EVERY == 0 or not self.broker_up or self._was_away:
            await records.renew(live, SOCKET_LEASE_MS)
            for session_id in await records.missing(live):
                if session_id in self._sessions:
                    self._sessions[session_id].lost()
        if self._was_away:
            self._was_away = False
            self._tell_all(_BACK)
        await records.reap()
        if n_ticks % _OFFER_EVERY == 0:
            await self._offer_engines()
        if n_ticks % _EXTEND_EVERY == 5:
            await records.extend(live)

    async def _offer_engines(self) -> None:
        """Tell sessions that had to leave their engine that it has a place again; one look for all of them."""
        wanted = {session.voice.wanted for session in self._sessions.values()} - {""}
        found = await self._doors.records.capacities(sorted(wanted)) if wanted else {}
        free = {name for name, capacity in found.items() if Capacity(*capacity).free > 0}
        for session in list(self._sessions.values()):
            if session.voice.wanted in free and not session.is_closing:
                session.voice.offer(session.voice.wanted)

    def _set_broker(self, up: bool) -> None:
        if up != self.broker_up:
            self.broker_up = up
            if not up:
                log.warning("Redis does not answer; new sessions are refused until it does")
            self._on_broker(up)

    async def drain(self, timeout_s: float) -> bool:
        """Ask every client to come back elsewhere (1012); false if some are still here after `timeout_s`."""
        self.draining = True
        for session in list(self._sessions.values()):
            session.request_close(_DRAINED)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        return not self._sessions

    def _on_shed(self, key: str, count: int) -> None:
        session = self._by_audio_key.get(key)
        if session is not None:
            session.input_shed += count

    def _on_health(self, up: bool) -> None:
        if up:
            self._was_away = True  # the next tick looks first whether the conversations are still there
        else:
            self._tell_all(_AWAY)

    def _tell_all(self, notice: Notice) -> None:
        for session in list(self._sessions.values()):
            if not session.is_closing:
                session.notice(notice)


MOVED = Close(CloseCode.NORMAL, "the conversation goes on over a newer connection", "moved")
_AWAY = Notice("broker_lost", "warning", "the conversation is held up; your audio is kept for 5 s")
_BACK = Notice("broker_back", "info", "the conversation goes on")
_DRAINED = Close(CloseCode.RESTART, "this server restarts: connect again", "drained")
