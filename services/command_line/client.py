"""A voice call as a program makes it: paced audio out, audio and events in, over the Moshi protocol.

One frame of 80 ms goes out in real time from the handshake on, silence where nothing is queued, so media time
is the number of frames sent. `talk`, the demo and the benchmarks use it. Never logs tokens or what is said.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import aiohttp
import numpy as np

from services.command_line.call_options import CLOSES, STATUSES, CallFailed, CallOptions, Trouble
from services.command_line.recording import CallRecording
from services.command_line.wav import Pcm
from shared.audio import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE
from shared.audio.ogg import OggError, OggOpusDemuxer, OggOpusMuxer
from shared.audio.opus import OpusDecoder, OpusEncoder
from shared.clock import Clock, SystemClock
from shared.errors import AudioError, BadInput, WireError
from shared.events import Event, ScorecardReady
from shared.wire import event_from_json

CONNECT_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 10.0
MAX_QUEUED_S = 3600.0
"""Audio that may wait to be sent; more is refused with BadInput."""

MAX_EVENTS = 50_000
"""Events kept; later ones still reach `on_event` and are counted in `events_dropped`."""

_MAX_MESSAGE_BYTES = 4 << 20
_MAX_REFUSAL_BYTES = 8 << 10
_MAX_LAG_S = 0.5
_ENDS = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
_HANDSHAKE, _AUDIO, _TEXT, _METADATA, _ERROR = 0, 1, 2, 4, 5


@dataclass(frozen=True, slots=True)
class Received:
    """Something that is not audio. `at_s`: the caller's clock; `event` is None for kinds that are no Event."""

    kind: Literal["event", "text", "error", "metadata"]
    at_s: float
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    event: Event | None = None


class VoiceClient:
    """One call. Use it as a context: inside the block the handshake is done and audio flows.

    `on_event` and `on_tick(media_ms)` (once before each frame) run on the loop and must be quick. Counters:
    `bad_messages`, `late_frames` (this process was too slow to keep real time), `events_dropped`.
    """

    def __init__(
        self,
        url: str,
        options: CallOptions | None = None,
        *,
        on_event: Callable[[Received], None] | None = None,
        on_tick: Callable[[int], None] | None = None,
        clock: Clock | None = None,
        ready_timeout_s: float = 30.0,
        record: bool = True,
    ) -> None:
        self._options = options or CallOptions()
        self._address = self._options.address(url)
        self._clock = clock or SystemClock()
        self._on_event = on_event or (lambda _: None)
        self._on_tick = on_tick or (lambda _: None)
        self._ready_timeout_s = ready_timeout_s
        self.recording = CallRecording(keep=record)
        self.received: list[Received] = []
        self.bad_messages = 0
        self.late_frames = 0
        self.events_dropped = 0
        self.close_code: int | None = None
        self.close_reason = ""
        self._queue: list[Pcm] = []
        self._queued = 0
        self._changed = asyncio.Event()
        self._ready = asyncio.Event()
        self._closed = asyncio.Event()
        self._hung_up = False
        self._stack = AsyncExitStack()
        self._socket: aiohttp.ClientWebSocketResponse

    @property
    def media_ms(self) -> int:
        """Media time: what has been sent so far."""
        return self.recording.sent_frames * FRAME_MS

    @property
    def queued_ms(self) -> int:
        """Audio that waits to be sent."""
        return self._queued * 1000 // SAMPLE_RATE

    @property
    def is_open(self) -> bool:
        """True while the server is there."""
        return not self._closed.is_set()

    def send_pcm(self, pcm: Pcm) -> None:
        """Speak `pcm` (24 kHz mono, any length, -1..1) after what is queued. Raises BadInput at MAX_QUEUED_S."""
        if self._queued + len(pcm) > MAX_QUEUED_S * SAMPLE_RATE:
            raise BadInput("too_much_audio", f"at most {MAX_QUEUED_S:.0f} s of audio may wait to be sent")
        self._queue.append(np.asarray(pcm, dtype=np.float32))
        self._queued += len(pcm)

    async def wait_for(self, matches: Callable[[Received], bool], timeout_s: float) -> Received:
        """Return the first received thing that matches, those that came already included.

        Raises TimeoutError, and CallFailed if the call ends before.
        """
        seen = 0
        async with asyncio.timeout(timeout_s):
            while True:
                for thing in self.received[seen:]:
                    if matches(thing):
                        return thing
                seen = len(self.received)
                self.raise_if_cut_off()
                if not self.is_open:
                    raise CallFailed("failed", "the call ended before what was waited for came", self.close_code or 0)
                self._changed.clear()
                await self._changed.wait()

    async def wait_closed(self) -> None:
        """Return when the call is over, whoever ended it."""
        await self._closed.wait()

    async def hang_up(self, scorecard_timeout_s: float = 10.0) -> ScorecardReady | None:
        """Say that the user hung up, and return the scorecard if it comes in time."""
        self._hung_up = True
        if self.is_open and self._options.events:
            await self._send(bytes([_METADATA]) + b'{"type":"end"}')
            with suppress(TimeoutError, CallFailed):
                found = await self.wait_for(_is_scorecard, scorecard_timeout_s)
                if found.event and isinstance(found.event.body, ScorecardReady):
                    return found.event.body
        return None

    def failure(self) -> CallFailed | None:
        """Return how the server ended the call, if it did so in another way than by a normal close."""
        if self.is_open or self._hung_up or self.close_code in (1000, None):
            return None
        trouble, text = CLOSES.get(self.close_code, ("failed", f"the connection was lost (code {self.close_code})"))
        why = self.close_reason or next((r.text for r in reversed(self.received) if r.kind == "error"), "")
        return CallFailed(trouble, f"{text}: {why}" if why else text, self.close_code)

    def raise_if_cut_off(self) -> None:
        """Raise `failure` if there is one."""
        if failure := self.failure():
            raise failure

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._running())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        try:
            async with self._connected(), asyncio.TaskGroup() as group:
                reader = group.create_task(self._read(), name="call reader")
                try:
                    await self._wait_ready()
                    pacer = group.create_task(self._pace(), name="call pacer")
                    try:
                        yield
                    finally:
                        pacer.cancel()
                finally:
                    self._hung_up = True
                    with suppress(TimeoutError, OSError):
                        async with asyncio.timeout(3):
                            await self._socket.close()
                    reader.cancel()
        except BaseExceptionGroup as group_error:
            raise _only(group_error) from None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        headers = {"Authorization": f"Bearer {self._options.token}"} if self._options.token else {}
        refusal = _Refusal()
        async with aiohttp.ClientSession(headers=headers, trace_configs=[refusal.trace()]) as session:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    self._socket = await session.ws_connect(self._address, max_msg_size=_MAX_MESSAGE_BYTES)
            except aiohttp.WSServerHandshakeError as error:
                default: tuple[Trouble, str] = ("protocol", f"the server answered HTTP {error.status}, not a WebSocket")
                trouble, text = STATUSES.get(error.status, default)
                raise CallFailed(trouble, f"{text}: {refusal.reason}" if refusal.reason else text) from None
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                where = urlsplit(self._address).netloc
                why = str(error) or type(error).__name__
                raise CallFailed("unreachable", f"no server answers at {where}: {why}") from None
            yield

    async def _wait_ready(self) -> None:
        waits = [asyncio.create_task(self._ready.wait()), asyncio.create_task(self._closed.wait())]
        try:
            await asyncio.wait(waits, timeout=self._ready_timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._ready.is_set():
            return
        self.raise_if_cut_off()
        if not self.is_open:
            told = next((thing.text for thing in self.received if thing.kind == "error"), "")
            if told:  # what the server cannot use closes with 1000 and says why
                raise CallFailed("refused", f"the server refused the call: {told}", self.close_code or 0)
            raise CallFailed("failed", "the server ended the call before it was ready", self.close_code or 0)
        raise CallFailed("busy", f"the voice engine was not ready within {self._ready_timeout_s:.0f} s")

    async def _pace(self) -> None:
        """Send one frame every 80 ms. A process that was held up catches up at most half a second."""
        muxer = OggOpusMuxer(serial=id(self) & 0xFFFFFFFF)
        with OpusEncoder() as encoder:
            await self._send(bytes([_AUDIO]) + muxer.head())
            due_s = self._clock.monotonic()
            while self.is_open:
                due_s += FRAME_MS / 1000
                now_s = self._clock.monotonic()
                if now_s - due_s > _MAX_LAG_S:
                    self.late_frames += int((now_s - due_s) * 1000 / FRAME_MS)
                    due_s = now_s
                await self._clock.sleep(max(0.0, due_s - now_s))
                self._on_tick(self.media_ms)
                pcm = self._take_frame()
                packets = encoder.encode(pcm)
                await self._send(bytes([_AUDIO]) + muxer.pages(packets, FRAME_SAMPLES))
                self.recording.add_sent(pcm, self._clock.monotonic())

    def _take_frame(self) -> Pcm:
        frame = np.zeros(FRAME_SAMPLES, dtype=np.float32)
        filled = 0
        while self._queue and filled < FRAME_SAMPLES:
            piece = self._queue.pop(0)
            part = piece[: FRAME_SAMPLES - filled]
            frame[filled : filled + len(part)] = part
            filled += len(part)
            if len(part) < len(piece):
                self._queue.insert(0, piece[len(part) :])
        self._queued -= filled
        return frame

    async def _send(self, data: bytes) -> None:
        with suppress(ConnectionError, TimeoutError, RuntimeError):  # the reader learns of a closed socket itself
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._socket.send_bytes(data)

    async def _read(self) -> None:
        demuxer = OggOpusDemuxer()
        try:
            with OpusDecoder() as decoder:
                while True:
                    message = await self._socket.receive()
                    if message.type in _ENDS:
                        self.close_reason = str(message.extra or "") if message.type is aiohttp.WSMsgType.CLOSE else ""
                        return
                    if message.type is aiohttp.WSMsgType.BINARY and message.data:
                        self._take(message.data, demuxer, decoder)
                    else:
                        self.bad_messages += 1
        finally:
            self.close_code = self._socket.close_code or 1006
            self._closed.set()
            self._changed.set()

    def _take(self, data: bytes, demuxer: OggOpusDemuxer, decoder: OpusDecoder) -> None:
        kind, payload, now_s = data[0], data[1:], self._clock.monotonic()
        if kind == _AUDIO:
            self._take_audio(payload, now_s, demuxer, decoder)
        elif kind == _HANDSHAKE:
            self._ready.set()
        elif kind == _TEXT:
            self._keep(Received("text", now_s, payload.decode(errors="replace")))
        elif kind == _ERROR:
            self._keep(Received("error", now_s, payload.decode(errors="replace")))
        elif kind == _METADATA:
            self._take_metadata(payload, now_s)

    def _take_audio(self, payload: bytes, now_s: float, demuxer: OggOpusDemuxer, decoder: OpusDecoder) -> None:
        try:
            for packet in demuxer.feed(payload):
                self.recording.add_heard(decoder.decode(packet), now_s)
        except (OggError, AudioError):
            self.bad_messages += 1

    def _take_metadata(self, payload: bytes, now_s: float) -> None:
        try:
            data = json.loads(payload)
        except ValueError:
            self.bad_messages += 1
            return
        if not isinstance(data, dict):
            self.bad_messages += 1
            return
        try:
            self._keep(Received("event", now_s, data=data, event=event_from_json(data)))
        except WireError:
            self._keep(Received("metadata", now_s, data=data))

    def _keep(self, thing: Received) -> None:
        if len(self.received) < MAX_EVENTS:
            self.received.append(thing)
        else:
            self.events_dropped += 1
        self._on_event(thing)
        self._changed.set()


class _Refusal:
    """Keeps why the server answered a handshake with an HTTP error: aiohttp's own error drops the body."""

    def __init__(self) -> None:
        self.reason = ""

    def trace(self) -> aiohttp.TraceConfig:
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._read)
        return config

    async def _read(self, _session: object, _context: object, end: aiohttp.TraceRequestEndParams) -> None:
        if end.response.status >= 400 and end.response.content_type == "application/json":
            with suppress(aiohttp.ClientError, ValueError, TypeError, KeyError):
                value = json.loads(await end.response.content.read(_MAX_REFUSAL_BYTES))
                self.reason = str(value["error"]["message"])[:500]


def _is_scorecard(thing: Received) -> bool:
    return thing.event is not None and isinstance(thing.event.body, ScorecardReady)


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error that is no cancellation: what the body or the connection raised."""
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = next((e for e in leaf.exceptions if not isinstance(e, asyncio.CancelledError)), leaf.exceptions[0])
    return leaf
