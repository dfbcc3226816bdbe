"""One client's end of one session: socket to streams and back. Decides nothing that the pure modules decide."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import WebSocketError, WSMsgType, web

from services.edge import metrics
from services.edge.client_socket import ClientSocket
from services.edge.commands import ConsentCommand, EndCommand, EngineCommand
from services.edge.fallback.keeper import VoiceKeeper
from services.edge.limits import MessageLimits, life_over
from services.edge.moshi_protocol import (
    PING,
    Close,
    CloseCode,
    Control,
    ErrorText,
    MoshiInput,
    MoshiOutput,
    error_text,
)
from services.edge.records import Position, SessionRecord, SessionRecords
from services.edge.settings import EdgeSettings
from shared.audio import FRAME_MS
from shared.broker import Broker
from shared.broker.connection import TRANSIENT
from shared.broker.reader import Entries
from shared.errors import Overloaded, WireError
from shared.events import Body, ConsentChanged, Event, Notice, ScorecardReady, SessionEnded
from shared.metrics import BAD_ENTRIES
from shared.wire import AudioFrame, decode_audio, decode_event

log = logging.getLogger(__name__)

PING_AFTER_TICKS = 5
"""The Moshi web client gives up after 10 s of silence."""

FAREWELL_S = 10.0
"""How long the socket stays open for the scorecard after the client said `end`."""

_LOST = Close(
    CloseCode.INTERNAL, "the conversation is lost, since the broker lost its data: begin a new one", "state_lost"
)
"""No scorecard will come, and a resume token is worth nothing."""

_COMES_BACK = ("client_lost", "drained")
_CLIENT_CLOSED = (1000, 1001, 1005)


@dataclass(frozen=True, slots=True)
class Doors:
    """What a session works with; one per process."""

    settings: EdgeSettings
    broker: Broker
    records: SessionRecords


class EdgeSession:
    """Runs from the upgrade to the last word. `run` returns when the socket is closed and all is told."""

    def __init__(
        self,
        doors: Doors,
        record: SessionRecord,
        position: Position,
        ws: web.WebSocketResponse,
        client: ClientSocket,
        output: MoshiOutput,
    ) -> None:
        self.record = record
        self.keys = doors.broker.keys(record.session_id)
        self.input_shed = 0
        self.closed = asyncio.Event()
        self.voice = VoiceKeeper(doors.settings, doors.broker, doors.records, record, self)
        self._doors = doors
        self._clock = doors.broker.clock
        self._position = position
        self._ws = ws
        self._client = client
        self._output = output
        self._input = MoshiInput(doors.settings.input_bounds(), position.next_seq, record.attach)
        self._limits = MessageLimits(doors.settings.rate_bounds(), self._clock.monotonic())
        self._consent = record.started.consent
        self._consent_saved = True
        self._started_s = self._heard_s = self._clock.monotonic()
        self._n_heard = self._heard_seen = self._sent_seen = self._quiet_ticks = 0
        self._counted_ms = self.media_ms
        self._shed_told = self._late_told = self._n_published = 0
        self._is_over = False
        self._farewell_s: float | None = None
        self._closing: Close | None = None
        self._group: asyncio.TaskGroup | None = None
        self._acts: dict[type, Callable[[Any], None]] = {
            Notice: self.notice,
            ErrorText: self.say_error,
            Close: self.refuse,
            Control: self._control,
            ConsentCommand: self._change_consent,
            EndCommand: self._end_by_client,
            EngineCommand: self.voice.command,
        }

    @property
    def is_over(self) -> bool:
        """True once its end is said, though the socket may still be open."""
        return self._is_over

    @property
    def is_ready(self) -> bool:
        """True once the handshake went out."""
        return self._output.is_ready

    @property
    def is_closing(self) -> bool:
        """True once the socket is being closed."""
        return self._closing is not None

    @property
    def media_ms(self) -> int:
        """Media time of the client's audio so far."""
        return self._input.media_ms

    async def run(self) -> str:
        """Serve the client until its socket is closed, and return why it was."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            sender = group.create_task(self._client.run())
            keeper = group.create_task(self.voice.run())
            reader = self._doors.broker.reader
            reader.subscribe(self.keys.events, self._position.events_after, self._on_events)
            reader.subscribe(self.keys.audio_out, self._position.audio_out_after, self._on_audio)
            try:
                await self._read()
            finally:
                self._group = None  # what is spawned from here on has nobody to talk to
                reader.unsubscribe(self.keys.events)
                reader.unsubscribe(self.keys.audio_out)
                sender.cancel()
                keeper.cancel()
        return await self._conclude()

    # Client -> streams

    async def _read(self) -> None:
        clock, receive, publish = self._clock, self._input.receive, self._doors.broker.publish_audio
        audio_in = self.keys.audio_in
        async for message in self._ws:
            self._n_heard += 1
            now_s = clock.monotonic()
            if message.type is WSMsgType.BINARY:
                decisions = receive(message.data, now_s, clock.wall_ms())
            elif message.type is WSMsgType.TEXT:
                decisions = self._input.receive_text()
            else:
                self._note_failure(message.data)
                return
            for decision in decisions:
                if type(decision) is not AudioFrame:
                    self._acts[type(decision)](decision)
                elif not self._is_over:
                    publish(audio_in, decision)
            delay_s = self._limits.delay_s(len(message.data), now_s)
            if delay_s:
                await clock.sleep(delay_s)

    def _note_failure(self, error: object) -> None:
        """aiohttp closes the socket by itself for a message beyond the limit and for broken frames."""
        if self._closing is None and isinstance(error, WebSocketError):
            is_too_big = error.code == CloseCode.TOO_BIG
            self._closing = Close(CloseCode(error.code), str(error), "limit" if is_too_big else "refused")

    def say_error(self, decision: ErrorText) -> None:
        """Tell the client that something of it cannot be used."""
        metrics.BAD_MESSAGES.labels("refused").inc()
        self._send(error_text(decision.text))

    def _control(self, decision: Control) -> None:
        metrics.BAD_MESSAGES.labels("control").inc()

    def refuse(self, close: Close) -> None:
        """Say why, and close."""
        self._send(error_text(close.reason))
        self.request_close(close)

    def _change_consent(self, command: ConsentCommand) -> None:
        consent = command.over(self._consent)
        if consent.emotion and self._doors.settings.emotion_locked:
            consent = ConsentCommand(type="consent", emotion=False).over(consent)
            self.notice(Notice("emotion_locked", "warning", "this deployment may not infer emotion from a voice"))
        if consent != self._consent:
            self._consent = consent
            self._consent_saved = False
            self._publish(ConsentChanged(consent), "consent")
            self._spawn(self._save_consent())

    async def _save_consent(self) -> None:
        """Write it where those look who let the session's keys go; `tick` tries again what Redis did not take."""
        consent = self._consent
        await self._doors.records.set_consent(self.record.session_id, consent)
        self._consent_saved = consent == self._consent

    def _end_by_client(self, command: EndCommand) -> None:
        if not self._is_over:
            self._tell_gathered()
            self._end("client_closed")
            self._farewell_s = self._clock.monotonic() + FAREWELL_S

    # Streams -> client

    def _on_audio(self, key: str, entries: Entries) -> None:
        accept, send = self._output.accept_audio, self._client.send_audio
        for _, data in entries:
            try:
                frame = accept(decode_audio(data))
            except WireError:
                BAD_ENTRIES.labels("audio.out").inc()
                continue
            if frame is not None:
                send(frame)

    def _on_events(self, key: str, entries: Entries) -> None:
        for _, data in entries:
            try:
                event = decode_event(data)
            except WireError:
                BAD_ENTRIES.labels("events").inc()
                continue
            self.deliver(event)

    def deliver(self, event: Event) -> None:
        """Give the client what it should know of an event."""
        if event.source == "edge" and event.epoch > self.record.attach:
            self.request_close(Close(CloseCode.NORMAL, "the conversation goes on over a newer connection", "moved"))
            return
        if event.source == "voice":
            self.voice.on_event(event)
        was_ready = self._output.is_ready
        for out in self._output.accept_event(event):
            if isinstance(out, bytes):
                self._send(out)
            elif not self._is_over:
                self._is_over = True  # said by another role: nothing is left to publish
                self.request_close(out)
        if self._output.is_ready and not was_ready:
            metrics.START.observe(self._clock.monotonic() - self._started_s)
            for frame in self._output.take_early():
                self._client.send_audio(frame)
        if self._farewell_s is not None and isinstance(event.body, ScorecardReady):
            self.request_close(Close(CloseCode.NORMAL, "goodbye", "client_closed"))

    def prime(self, event: Event) -> None:
        """Take note of an event that an earlier connection has given the client."""
        self._output.prime(event)
        if event.source == "voice":
            self.voice.on_event(event)

    def _send(self, message: bytes) -> None:
        if not self._client.send(message):
            self.request_close(Close(CloseCode.TRY_AGAIN, "you read too slowly: try again", "limit"))

    def notice(self, notice: Notice) -> None:
        """Tell the client and the stream. The client is told at once, even while Redis is away."""
        self._publish(notice, f"notice:{notice.code}")

    def _publish(self, body: Body, name: str) -> None:
        self._n_published += 1
        event = self._event(body, f"edge:{name}:{self.record.attach}.{self._n_published}")
        with suppress(Overloaded):  # counted by the writer; the client gets it all the same
            self._doors.broker.publish_event(self.keys, event)
        self.deliver(event)

    def _event(self, body: Body, event_id: str) -> Event:
        return Event(
            event_id,
            self.record.session_id,
            "edge",
            self.record.attach,
            self.media_ms,
            self._clock.wall_ms(),
            body,
        )

    # Life

    def tick(self, now_s: float) -> None:
        """Once a second: limits of time, notices that were gathered, a ping into silence."""
        if self._n_heard != self._heard_seen:
            self._heard_seen, self._heard_s = self._n_heard, now_s
        over = life_over(
            self._doors.settings.life_bounds(),
            started_s=self._started_s,
            heard_s=self._heard_s,
            is_ready=self._output.is_ready,
            now_s=now_s,
        )
        if self._farewell_s is not None and now_s >= self._farewell_s:
            self.request_close(Close(CloseCode.NORMAL, "goodbye", "client_closed"))
        elif over and self._closing is None:
            reason, text = over
            code = CloseCode.TRY_AGAIN if reason == "engine_failed" else CloseCode.NORMAL
            self.refuse(Close(code, text, reason))
        if not self._consent_saved:
            self._spawn(self._save_consent())
        self.voice.tick(self.media_ms // FRAME_MS, self._output.next_seq, now_s)
        self._tell_gathered()
        self._quiet_ticks = 0 if self._client.sent != self._sent_seen else self._quiet_ticks + 1
        if self._quiet_ticks >= PING_AFTER_TICKS and self._output.is_ready:
            self._quiet_ticks = 0
            self._send(PING)
        self._count()

    def _count(self) -> None:
        """Bring the metrics up to date: a counter's lock once a second, not once a frame."""
        metrics.MESSAGES_OUT.inc(self._client.sent - self._sent_seen)
        metrics.FRAMES_IN.inc((self.media_ms - self._counted_ms) // FRAME_MS)
        self._sent_seen, self._counted_ms = self._client.sent, self.media_ms

    def _tell_gathered(self) -> None:
        for notice in self._input.untold():
            self.notice(notice)
        shed, late = self.input_shed - self._shed_told, self._client.shed_frames - self._late_told
        if shed:
            self._shed_told += shed
            metrics.FRAMES_DROPPED.labels("broker").inc(shed)
            text = f"{shed} frames of your audio were lost: they could not be passed on within 5 s"
            self.notice(Notice("input_shed", "warning", text, shed))
        if late:
            self._late_told += late
            metrics.FRAMES_DROPPED.labels("slow_client").inc(late)
            text = f"{late} frames of audio were left out because your connection is too slow"
            self.notice(Notice("output_late", "warning", text, late))

    def lost(self) -> None:
        """Redis knows nothing of the session any more: it cannot go on."""
        if not self.is_closing:
            self.refuse(_LOST)

    def request_close(self, close: Close) -> None:
        """Close the socket, once. What was sent before goes out first."""
        if self._closing is None:
            self._closing = close
            self._spawn(self._client.close(close.code, close.reason))

    def _spawn(self, work: Any) -> None:
        if self._group is None:
            work.close()
        else:
            self._group.create_task(self._guarded(work))

    async def _guarded(self, work: Any) -> None:
        with suppress(*TRANSIENT):
            await work

    def _end(self, reason: str) -> None:
        self._is_over = True
        self._n_published += 1
        event = self._event(SessionEnded(reason), "edge:session_ended")
        with suppress(Overloaded):
            self._doors.broker.publish_event(self.keys, event)
        self.deliver(event)

    async def _conclude(self) -> str:
        """The socket is closed: end the session, or leave it for the client to come back."""
        metrics.FRAMES_DROPPED.labels("too_fast").inc(self._input.dropped_frames)
        reason = "client_closed" if self._ws.close_code in _CLIENT_CLOSED else "client_lost"
        if self._closing is not None:
            reason = self._closing.ended
        self._count()
        if reason == "moved":
            with suppress(*TRANSIENT):
                await self.voice.close(ended=False)
            return reason
        self._tell_gathered()
        records, resume_s = self._doors.records, self._doors.settings.resume_s
        # Where Redis is away now, the deadline that all edges watch ends the session later.
        with suppress(*TRANSIENT):
            if not self._is_over and reason in _COMES_BACK and resume_s > 0:
                await records.detach(self.record, resume_s)
                await self.voice.close(ended=False)
                return reason
            if not self._is_over:
                self._end(reason)
            await records.close(self.record.session_id, reason, self._consent)
            await self.voice.close(ended=True)
        metrics.SESSIONS_ENDED.labels(reason).inc()
        return reason
