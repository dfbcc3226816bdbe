"""The voice worker: holds leases of its engines' request streams and runs a session for each.

Full is an answer: each engine announces its slots with the heartbeat, and the edge admits no more than that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from services.voice_worker.engines.base import SessionSpec, VoiceEngine
from services.voice_worker.restore import SessionOver, restore_session
from services.voice_worker.session import DEFICIT, MakeListener, ResumePoint, VoiceSession
from shared import metrics
from shared.broker import Broker
from shared.broker.connection import TRANSIENT
from shared.errors import EngineError
from shared.events import EngineState, SessionEnded
from shared.leases import Lease, LeaseHolder
from shared.logs import session_id_var
from shared.retention import Retention
from shared.session_worker import BrokerPublisher
from shared.streams import request_stream

log = logging.getLogger(__name__)

OPEN_LIMIT_S = 20.0
KEEP_ALIVE_S = 30.0
DRAIN_STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """Times of the worker. `input_idle_s`: without a frame for so long the client's edge is taken for dead.

    A worker that is told to stop serves on for up to `drain_s` while nobody else has room for its sessions, and
    waits up to `pause_s` for a moment in which nobody speaks before it lets one go.
    """

    lease_s: float = 1.5
    drain_s: float = 15.0
    pause_s: float = 0.8
    input_idle_s: float = 30.0
    retention: Retention = field(default_factory=Retention)
    step_s: float = 1.0


class VoiceWorker:
    """Runs until `stopping` is set; then hands its sessions over and returns.

    When an engine breaks it does the same and raises EngineError: the process ends and is started anew.
    """

    def __init__(
        self,
        broker: Broker,
        engines: Sequence[VoiceEngine],
        make_listener: MakeListener | None,
        *,
        consumer: str,
        limits: WorkerLimits,
    ) -> None:
        self._broker = broker
        self._engines = {request_stream("voice", engine.name): engine for engine in engines}
        self._make_listener = make_listener
        self._limits = limits
        self._sessions: dict[str, VoiceSession] = {}
        self._opening: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._broken = asyncio.Event()
        self._leaving = False
        broker.writer.on_shed(self._shed)
        self._holders = {
            stream: LeaseHolder(
                broker,
                stream,
                consumer=consumer,
                capacity=engine.slots,
                lease_s=limits.lease_s,
                on_grant=self._granted,
                on_lost=self._lost,
            )
            for stream, engine in self._engines.items()
        }

    @property
    def sessions(self) -> tuple[str, ...]:
        """Ids of the sessions served now."""
        return tuple(sorted(session.lease.session_id for session in self._sessions.values()))

    @property
    def detail(self) -> str:
        """Engines and slots, for operators."""
        parts = []
        for stream, engine in self._engines.items():
            parts.append(f"{engine.name} {len(self._holders[stream].held)}/{engine.slots}")
        return ", ".join(parts)

    async def announce(self) -> None:
        """Tell the edges how many sessions there is room for; `run` takes them. Before it, nobody is sent here."""
        for holder in self._holders.values():
            await holder.announce()

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve sessions until `stopping` is set."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            background = [group.create_task(holder.run()) for holder in self._holders.values()]
            background.append(group.create_task(self._watch()))
            await self._stopped_or_broken(stopping)
            await self._hand_all_over()
            for task in background:
                task.cancel()
        for holder in self._holders.values():
            await holder.leave()
        broken = "; ".join(engine.broken for engine in self._engines.values() if engine.broken)
        if broken:
            raise EngineError(f"an engine failed, and a new process is needed: {broken}")

    async def _stopped_or_broken(self, stopping: asyncio.Event) -> None:
        """Return when the worker is to end, or when one of its engines needs a new process."""
        stop = asyncio.create_task(stopping.wait())
        broken = asyncio.create_task(self._broken.wait())
        try:
            await asyncio.wait((stop, broken), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            broken.cancel()

    # --- leases

    def _granted(self, lease: Lease) -> None:
        assert self._group is not None
        task = self._group.create_task(self._open(lease), name=f"open {lease.session_id}")
        self._opening[lease.entry_id] = task
        task.add_done_callback(lambda _: self._opening.pop(lease.entry_id, None))

    def _lost(self, lease: Lease) -> None:
        opening = self._opening.pop(lease.entry_id, None)
        if opening:
            opening.cancel()
        session = self._sessions.pop(lease.entry_id, None)
        if session and self._group:
            self._group.create_task(session.close(lost=True))
        self._count()

    async def _open(self, lease: Lease) -> None:
        assert self._group is not None
        session_id_var.set(lease.session_id)
        engine = self._engines[lease.stream]
        try:
            async with asyncio.timeout(OPEN_LIMIT_S):
                spec, resume = await self._restore(lease, engine)
                session = VoiceSession(self._broker, lease, spec, resume, self._over)
                self._sessions[lease.entry_id] = session
                await session.start(engine, self._make_listener, self._group)
        except SessionOver as over:
            # Its owner may just be about to give the request back. Nothing is said: the stream may have expired.
            log.info("a session is not served: %s", over)
            await self._finish(lease, is_over=True)
        except (EngineError, TimeoutError) as error:
            await self._refuse(lease, engine.name, str(error) or f"not open within {OPEN_LIMIT_S:.0f} s")
        except Exception:
            log.exception("a session could not be opened")
            await self._refuse(lease, engine.name, "internal error")
        self._count()

    async def _restore(self, lease: Lease, engine: VoiceEngine) -> tuple[SessionSpec, ResumePoint]:
        while True:
            try:
                return await restore_session(
                    self._broker,
                    lease.session_id,
                    engine.name,
                    taken_over=lease.taken_over,
                    history_s=engine.history_s,
                )
            except TRANSIENT:
                await self._broker.clock.sleep(0.2)

    async def _refuse(self, lease: Lease, engine: str, reason: str) -> None:
        log.warning("a session is not served: %s", reason)
        session = self._sessions.pop(lease.entry_id, None)
        if session:
            await session.close()
        publisher = BrokerPublisher(self._broker, lease.session_id, "voice", lease.epoch)
        publisher.publish(
            EngineState("failed", engine, reason), event_id=f"voice:engine_state:failed:{lease.epoch}", media_ms=0
        )
        await self._finish(lease, is_over=False)

    # --- ends

    def _over(self, session: VoiceSession, reason: str) -> None:
        assert self._group is not None
        self._group.create_task(self._end(session, reason), name=f"end {session.lease.session_id}")

    async def _end(self, session: VoiceSession, reason: str) -> None:
        session_id_var.set(session.lease.session_id)
        self._sessions.pop(session.lease.entry_id, None)
        await session.close()
        await self._finish(session.lease, is_over=reason != "engine_failed")
        self._count()
        log.info("session over: %s", reason)

    async def _finish(self, lease: Lease, *, is_over: bool) -> None:
        """Give the lease back; where the session is over, let its keys go. Else another engine may go on with it."""
        try:
            await self._holders[lease.stream].finish(lease)
            if is_over:
                await self._broker.let_go(lease.session_id, self._limits.retention)
        except TRANSIENT as error:
            log.warning("Redis did not take a session's end (%s); its lease lapses by itself", type(error).__name__)

    async def _hand_all_over(self) -> None:
        """Let other workers take the sessions as far as they have room, each in a pause where one comes soon.

        What nobody has room for is served on for the time of grace, and then left to whoever comes.
        """
        self._leaving = True
        for holder in self._holders.values():
            holder.set_accepting(False)
        await self.announce()
        clock = self._broker.clock
        began_s = clock.monotonic()
        told = False
        while self._held and not self._broken.is_set():
            waited_s = clock.monotonic() - began_s
            if waited_s >= self._limits.drain_s:
                log.warning("%d sessions are left to whoever has room for them later", self._held)
                break
            without_room = await self._hand_over_to_others(any_moment=waited_s >= self._limits.pause_s)
            if without_room and not told:
                told = True
                text = "nobody else has room for %d sessions: serving on for up to %.0f s"
                log.warning(text, without_room, self._limits.drain_s)
            await clock.sleep(DRAIN_STEP_S)
        for holder in self._holders.values():
            for lease in holder.held:
                await self._hand_over(holder, lease)

    async def _hand_over_to_others(self, *, any_moment: bool) -> int:
        """Hand over what others have room for, and return how many sessions nobody has room for."""
        without_room = 0
        for holder in self._holders.values():
            free = 0
            with suppress(*TRANSIENT):
                free = await holder.others_free()
            without_room += max(len(holder.held) - free, 0)
            for lease in holder.held:
                session = self._sessions.get(lease.entry_id)
                if free > 0 and (any_moment or session is None or session.calm):
                    free -= 1
                    await self._hand_over(holder, lease)
        return without_room

    async def _hand_over(self, holder: LeaseHolder, lease: Lease) -> None:
        """Let another worker take a session at once; what was said last is written first."""
        opening = self._opening.pop(lease.entry_id, None)
        if opening:
            opening.cancel()
            await asyncio.wait({opening})
        session = self._sessions.pop(lease.entry_id, None)
        if session:
            await session.close(lost=True)
        await self._broker.writer.drain()
        with suppress(*TRANSIENT):
            await holder.hand_over(lease)
        self._count()

    @property
    def _held(self) -> int:
        return sum(len(holder.held) for holder in self._holders.values())

    def _shed(self, key: str, n: int) -> None:
        """The writer dropped frames of a stream."""
        for session in self._sessions.values():
            if session.owns(key):
                session.output_shed += n

    # --- watching

    async def _watch(self) -> None:
        """End sessions whose client's edge has died, keep the keys of living ones, admit nobody to busy engines."""
        since_keep_alive = 0.0
        while True:
            await self._broker.clock.sleep(self._limits.step_s)
            since_keep_alive += self._limits.step_s
            for session in list(self._sessions.values()):
                self._check_input(session)
                session.tell_shed()
            for stream, engine in self._engines.items():
                self._holders[stream].set_accepting(engine.accepting and not self._leaving)
                if engine.broken:
                    self._broken.set()
            DEFICIT.set(max((session.frames_behind for session in self._sessions.values()), default=0.0))
            if since_keep_alive >= KEEP_ALIVE_S:
                since_keep_alive = 0.0
                await self._keep_alive()

    def _check_input(self, session: VoiceSession) -> None:
        silent_s = self._broker.clock.monotonic() - session.last_input_s
        if silent_s > self._limits.input_idle_s and self._broker.writer.up:
            body = SessionEnded("client_lost", f"no audio for {self._limits.input_idle_s:.0f} s")
            session.emit(body, "voice:session_ended", 0)
            self._over(session, "client_lost")
            self._sessions.pop(session.lease.entry_id, None)

    async def _keep_alive(self) -> None:
        seconds = max(self._limits.retention.kept_s, int(KEEP_ALIVE_S * 4))
        for session in list(self._sessions.values()):
            if session.lease.entry_id in self._sessions:  # else it ended meanwhile, and its keys go by its consent
                with suppress(*TRANSIENT):
                    await self._broker.expire(session.lease.session_id, seconds)

    def _count(self) -> None:
        metrics.SESSIONS.set(len(self._sessions))
