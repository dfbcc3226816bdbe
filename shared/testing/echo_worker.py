"""A voice worker by the book, for tests of what stands before it: takes requests, gives each frame back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from shared.broker import Broker
from shared.broker.append import FIELD
from shared.broker.reader import Entries
from shared.events import Body, EngineState, Event, SessionEnded
from shared.leases import Lease, LeaseHolder
from shared.streams import request_stream
from shared.wire import AudioFrame, decode_audio, decode_event

LIMIT_S = 10.0


class EchoWorker:
    """A voice worker by the book: takes requests, says `ready`, gives each frame back."""

    def __init__(self, broker: Broker, *, capacity: int = 4, engine: str = "echo", name: str = "echo-1") -> None:
        self.broker = broker
        self.engine = engine
        self.sessions: dict[str, Lease] = {}
        self.inputs: dict[str, list[AudioFrame]] = {}
        self.ended: dict[str, SessionEnded] = {}
        self.hold_ready = asyncio.Event()
        self.hold_ready.set()
        self._holder = LeaseHolder(
            broker,
            request_stream("voice", engine),
            consumer=name,
            capacity=capacity,
            lease_s=1.5,
            on_grant=self._on_grant,
            on_lost=self._drop,
        )
        self._group: asyncio.TaskGroup | None = None
        self.changed = asyncio.Condition()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._holder.run())

    async def wait(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S), self.changed:
            await self.changed.wait_for(condition)

    def publish(self, session_id: str, body: Body, event_id: str, *, epoch: int | None = None) -> None:
        epoch = self.sessions[session_id].epoch if epoch is None else epoch
        event = Event(event_id, session_id, "voice", epoch, 0, 0, body)
        self.broker.publish_event(self.broker.keys(session_id), event)

    def send(self, session_id: str, frame: AudioFrame) -> None:
        self.broker.publish_audio(self.broker.keys(session_id).audio_out, frame)

    async def fail(self, session_id: str, reason: str) -> None:
        """Give a session up, as an engine does that cannot go on with it."""
        lease = self.sessions[session_id]
        self.publish(session_id, EngineState("failed", self.engine, reason), f"voice:engine:failed:{lease.epoch}")
        self._drop(lease)
        await self._holder.finish(lease)

    def _spawn(self, work: Any) -> None:
        try:
            assert self._group is not None
            self._group.create_task(work)
        except RuntimeError:  # the worker is being stopped
            work.close()

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def _on_grant(self, lease: Lease) -> None:
        self._spawn(self._serve(lease))

    async def _serve(self, lease: Lease) -> None:
        await self.hold_ready.wait()
        if lease not in self._holder.held:
            return
        sid, keys = lease.session_id, self.broker.keys(lease.session_id)
        self.sessions[sid] = lease
        self.inputs.setdefault(sid, [])
        consumed = await self._consumed(sid) if lease.taken_over else "0"
        self.publish(sid, EngineState("ready", self.engine), f"voice:engine:ready:{lease.epoch}")
        self.broker.reader.subscribe(keys.audio_in, consumed, lambda key, entries: self._on_audio(sid, entries))
        self.broker.reader.subscribe(keys.events, "0", lambda key, entries: self._on_events(sid, entries))
        await self._notify()

    async def _consumed(self, sid: str) -> str:
        newest = await self.broker.client.xrevrange(self.broker.keys(sid).audio_out, count=1)
        return decode_audio(newest[0][1][FIELD]).consumed or "0" if newest else "0"

    def _on_audio(self, sid: str, entries: Entries) -> None:
        for entry_id, data in entries:
            frame = decode_audio(data)
            if not frame.packets:  # a fence
                continue
            self.inputs[sid].append(frame)
            if frame.seq >= 0:
                epoch = self.sessions[sid].epoch
                self.send(sid, AudioFrame(frame.seq, frame.n_samples, frame.packets, 0, epoch, entry_id))
        self._spawn(self._notify())

    def _on_events(self, sid: str, entries: Entries) -> None:
        for _, data in entries:
            body = decode_event(data).body
            if isinstance(body, SessionEnded) and sid in self.sessions:
                self.ended[sid] = body
                lease = self.sessions[sid]
                self._drop(lease)
                self._spawn(self._holder.finish(lease))
        self._spawn(self._notify())

    def _drop(self, lease: Lease) -> None:
        keys = self.broker.keys(lease.session_id)
        self.broker.reader.unsubscribe(keys.audio_in)
        self.broker.reader.unsubscribe(keys.events)
        if self.sessions.get(lease.session_id) is lease:
            del self.sessions[lease.session_id]
        self._spawn(self._notify())
