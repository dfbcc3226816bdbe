"""The Moshi / PersonaPlex binary protocol as a pure state machine: bytes in, decisions out, and back.

A message's first byte is its kind. Knows no socket, no clock and no Redis.
"""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import IntEnum

from services.edge.commands import Command, read_command
from services.edge.framing import FrameAssembler, PaceGuard
from shared.audio import FRAME_MS
from shared.audio.ogg import OggError, OggOpusDemuxer, OggOpusMuxer
from shared.errors import BadInput
from shared.events import EngineState, Event, Notice, Role, SessionEnded, Spoken
from shared.wire import AudioFrame, event_to_json

HANDSHAKE = b"\x00"
"""Exactly one byte: stock servers send no versions after it."""

PING = b"\x06"

CONTROLS = ("start", "end_turn", "pause", "restart")

_MAX_BAD_MESSAGES = 50
_NOTICE_EVERY_S = 1.0
_EARLY_FRAMES = 25
_REMEMBERED_EVENTS = 4096
_READY_STATES = ("ready", "resumed", "degraded")


class Kind(IntEnum):
    """First byte of every message."""

    HANDSHAKE = 0
    AUDIO = 1
    TEXT = 2
    CONTROL = 3
    METADATA = 4
    ERROR = 5
    PING = 6


class CloseCode(IntEnum):
    """WebSocket close codes that the edge sends; docs/protocol.md says what a client should do about each."""

    NORMAL = 1000
    PROTOCOL = 1002
    BAD_DATA = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    RESTART = 1012
    TRY_AGAIN = 1013


@dataclass(frozen=True, slots=True)
class Control:
    """A control message. A full-duplex conversation needs none of them: they are counted."""

    name: str


@dataclass(frozen=True, slots=True)
class ErrorText:
    """Something for the client's user to read: kind 5."""

    text: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket. `ended` is the session's reason where it is over."""

    code: CloseCode
    reason: str
    ended: str = "limit"


Decision = AudioFrame | Control | Command | Notice | ErrorText | Close


@dataclass(frozen=True, slots=True)
class InputBounds:
    """What one client may send. Seconds of audio ahead of the wall; seconds of dropped audio before 1008."""

    max_message_bytes: int = 64 * 1024
    input_burst_s: float = 10.0
    max_dropped_s: float = 60.0


class MoshiInput:
    """What a client's messages mean. One per socket.

    Counters, for metrics: `unknown_kinds`, `bad_messages`, `dropped_frames`.
    """

    def __init__(self, bounds: InputBounds, first_seq: int = 0, epoch: int = 0) -> None:
        self.unknown_kinds = 0
        self.bad_messages = 0
        self._bounds = bounds
        self._demuxer = OggOpusDemuxer()
        self._frames = FrameAssembler(PaceGuard(bounds.input_burst_s), first_seq, epoch)
        self._told_unknown = False
        self._told_text = False
        self._told_errors: set[str] = set()
        self._dropped_told = 0
        self._told_at_s = float("-inf")

    @property
    def media_ms(self) -> int:
        """Media time of what was accepted so far."""
        return self._frames.media_ms

    @property
    def dropped_frames(self) -> int:
        """Frames that came too fast."""
        return self._frames.dropped

    def receive(self, data: bytes, now_s: float, wall_ms: int) -> list[Decision]:
        """Return what a binary message asks for, in order. Never raises; a bad message is a decision too."""
        if len(data) > self._bounds.max_message_bytes:
            limit = self._bounds.max_message_bytes
            return [Close(CloseCode.TOO_BIG, f"a message has at most {limit} bytes")]
        kind = data[0] if data else -1
        if kind == Kind.AUDIO:
            return self._audio(data, now_s, wall_ms)
        if kind == Kind.METADATA:
            return [self._command(data)]
        if kind == Kind.CONTROL and len(data) == 2 and data[1] < len(CONTROLS):
            return [Control(CONTROLS[data[1]])]
        if kind in (Kind.PING, Kind.HANDSHAKE):
            return []  # signs of life: an answer to a ping could go back and forth for ever
        return self._unknown(kind)

    def receive_text(self) -> list[Decision]:
        """Return what a text frame asks for: nothing, but the client is told once."""
        self.bad_messages += 1
        if self._told_text:
            return self._after_bad()
        self._told_text = True
        return [ErrorText("send binary WebSocket messages: this protocol has no text frames")]

    def _audio(self, data: bytes, now_s: float, wall_ms: int) -> list[Decision]:
        decisions: list[Decision] = []
        try:
            packets = self._demuxer.feed(data[1:])
        except OggError as error:
            decisions += self._refuse(error.code, str(error))
            packets = self._demuxer.feed(b"")  # the good packets beside the damage
        bad_before, dropped_before = self._frames.bad_packets, self._frames.dropped
        frames = self._frames.add(packets, now_s, wall_ms)
        if self._frames.bad_packets > bad_before:
            decisions += self._refuse("bad_opus", "an Opus packet is not valid and was left out")
        if self._frames.dropped > dropped_before:
            decisions += self._too_fast(now_s)
        return [*frames, *decisions] if decisions else list(frames)

    def _too_fast(self, now_s: float) -> list[Decision]:
        dropped = self._frames.dropped
        if dropped * FRAME_MS > self._bounds.max_dropped_s * 1000:
            return [Close(CloseCode.POLICY, "audio came faster than real time for too long")]
        if now_s - self._told_at_s < _NOTICE_EVERY_S:
            return []  # `untold` has them
        self._told_at_s = now_s
        return list(self.untold())

    def untold(self) -> list[Notice]:
        """Return the notice of frames that came too fast and were not told of yet, if there are any."""
        count = self._frames.dropped - self._dropped_told
        if not count:
            return []
        self._dropped_told += count
        burst_s = self._bounds.input_burst_s
        message = f"audio may run {burst_s:g} s ahead of real time; {count} frames beyond that were dropped"
        return [Notice("input_too_fast", "warning", message, count)]

    def _command(self, data: bytes) -> Decision:
        try:
            return read_command(data[1:])
        except BadInput as error:
            return self._bad_command(str(error))

    def _bad_command(self, text: str) -> Decision:
        self.bad_messages += 1
        closing = self._after_bad()
        return closing[0] if closing else ErrorText(text)

    def _unknown(self, kind: int) -> list[Decision]:
        self.unknown_kinds += 1
        if self._told_unknown:
            return []
        self._told_unknown = True
        what = f"kind {kind}" if kind >= 0 else "no kind (it is empty)"
        message = f"a message of {what} was left out; clients send 1 audio, 3 control, 4 metadata, 6 ping"
        return [Notice("unknown_kind", "warning", message, 1)]

    def _refuse(self, code: str, text: str) -> list[Decision]:
        """Count a bad audio message; tell each kind of fault once."""
        self.bad_messages += 1
        closing = self._after_bad()
        if closing or code in self._told_errors:
            return closing
        self._told_errors.add(code)
        return [ErrorText(text)]

    def _after_bad(self) -> list[Decision]:
        if self.bad_messages < _MAX_BAD_MESSAGES:
            return []
        return [Close(CloseCode.BAD_DATA, f"{self.bad_messages} messages were not valid")]


class MoshiOutput:
    """What goes to one client. Makes bytes; keeps order, epochs and repeats straight.

    Audio before the engine's `ready` is held (2 s, oldest dropped): the two streams it and the events
    come on have no order between them. Counters: `stale` (older epoch), `repeated`, `shed_early`.
    """

    def __init__(self, *, serial: int, wants_events: bool) -> None:
        self.wants_events = wants_events
        self.is_ready = False
        self.stale = 0
        self.repeated = 0
        self.shed_early = 0
        self._muxer = OggOpusMuxer(serial)
        self._epoch = 0
        self._next_seq = 0
        self._event_epochs: dict[Role, int] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._early: deque[AudioFrame] = deque()

    @property
    def next_seq(self) -> int:
        """Number of the first frame that has not come yet."""
        return self._next_seq

    def accept_audio(self, frame: AudioFrame) -> AudioFrame | None:
        """Return the frame if it is to be sent now; None if it is old, repeated or held until `ready`."""
        if frame.epoch < self._epoch:
            self.stale += 1
            return None
        self._epoch = frame.epoch
        if frame.seq < self._next_seq:
            self.repeated += 1
            return None
        self._next_seq = frame.seq + 1
        if self.is_ready:
            return frame
        if len(self._early) == _EARLY_FRAMES:
            self._early.popleft()
            self.shed_early += 1
        self._early.append(frame)
        return None

    def take_early(self) -> list[AudioFrame]:
        """Return the held frames, once the handshake is sent."""
        frames = list(self._early)
        self._early.clear()
        return frames

    def head(self) -> bytes:
        """Return the message with the Ogg headers; goes out once, right after the handshake."""
        return b"\x01" + self._muxer.head()

    def page(self, frame: AudioFrame) -> bytes:
        """Return the message for a frame. Called in the order of sending: a shed frame leaves no gap in the Ogg."""
        return b"\x01" + self._muxer.pages(frame.packets, frame.n_samples)

    def accept_event(self, event: Event) -> list[bytes | Close]:
        """Return what an event sends: handshake, text, metadata, error, close. Old and repeated ones send nothing."""
        if not self._is_new(event):
            return []
        out: list[bytes | Close] = [metadata(event)] if self.wants_events else []
        return out + self._stock_part(event)

    def prime(self, event: Event) -> None:
        """Take note of an event that an earlier connection of this session has given the client."""
        if self._is_new(event) and isinstance(event.body, EngineState):
            self._engine_state(event.body)

    def _is_new(self, event: Event) -> bool:
        if event.epoch < self._event_epochs.get(event.source, 0):
            self.stale += 1
            return False
        self._event_epochs[event.source] = event.epoch
        if event.id in self._seen:
            self.repeated += 1
            return False
        self._seen[event.id] = None
        if len(self._seen) > _REMEMBERED_EVENTS:
            self._seen.popitem(last=False)
        return True

    def _stock_part(self, event: Event) -> list[bytes | Close]:
        """What every client gets, with or without `events=1`."""
        body = event.body
        if isinstance(body, Spoken):
            return [text_piece(body.text)]
        if isinstance(body, EngineState):
            return self._engine_state(body)
        if isinstance(body, Notice) and body.level != "info" and not self.wants_events:
            return [error_text(body.message)]
        if isinstance(body, SessionEnded) and body.reason == "client_closed":
            return [Close(CloseCode.NORMAL, "goodbye", body.reason)]
        if isinstance(body, SessionEnded):
            code = {"engine_failed": CloseCode.INTERNAL, "drained": CloseCode.RESTART}.get(body.reason)
            text = body.detail or f"the session is over: {body.reason}"
            return [error_text(text), Close(code or CloseCode.NORMAL, text, body.reason)]
        return []

    def _engine_state(self, body: EngineState) -> list[bytes | Close]:
        if body.state in _READY_STATES and not self.is_ready:
            self.is_ready = True
            return [HANDSHAKE, self.head()]
        return []  # what a lost engine means for the client, another one or the end, is told by a notice or the close


def metadata(event: Event) -> bytes:
    """Return a kind 4 message: the event as JSON, camelCase."""
    return b"\x04" + json.dumps(event_to_json(event), ensure_ascii=False, separators=(",", ":")).encode()


def session_metadata(session_id: str, resume_token: str, resume_s: float) -> bytes:
    """Return the kind 4 message that names the session and says how to come back to it."""
    value = {"kind": "session", "sessionId": session_id, "resumeToken": resume_token, "resumeSeconds": resume_s}
    return b"\x04" + json.dumps(value, separators=(",", ":")).encode()


def text_piece(text: str) -> bytes:
    """Return a kind 2 message: a piece of what the voice says."""
    return b"\x02" + text.encode()


def error_text(text: str) -> bytes:
    """Return a kind 5 message."""
    return b"\x05" + text.encode()
