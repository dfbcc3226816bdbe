"""Bytes of a stream entry and back: msgpack `[version, kind, ...]`, a size limit, a fixed table of kinds.

Two outcomes only: a typed message, or WireError. Knows no Redis.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import msgpack
from pydantic import TypeAdapter, ValidationError

from shared.errors import WireError
from shared.events import Event

WIRE_VERSION = 1
MAX_ENTRY_BYTES = 256 * 1024
MAX_PACKETS = 64

_KIND_AUDIO = 1
_KIND_EVENT = 2
_EVENT = TypeAdapter(Event)


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """About 80 ms of audio as the codec made it: Opus packets, 24 kHz mono.

    `seq` counts frames of its direction from 0; `n_samples` is the packets' length in samples at 24 kHz
    (a client's packets need not end on a frame's edge); `capture_ms` is wall time at the edge or worker.
    `epoch` is the owner's: on `audio.in` the count of the client's connections, on `audio.out` that of the lease.
    `consumed`, the id of the last input entry that the engine has taken in, stands on `audio.out` only: where a new
    owner goes on. A frame without packets is a fence (`shared/broker/frames.py`).
    """

    seq: int
    n_samples: int
    packets: tuple[bytes, ...]
    capture_ms: int = 0
    epoch: int = 0
    consumed: str = ""
    trace: str = ""


_AUDIO_FIELDS = len(fields(AudioFrame))


def encode_audio(frame: AudioFrame) -> bytes:
    """Return the entry's bytes."""
    return msgpack.packb(  # type: ignore[no-any-return]
        (
            WIRE_VERSION,
            _KIND_AUDIO,
            frame.seq,
            frame.n_samples,
            frame.packets,
            frame.capture_ms,
            frame.epoch,
            frame.consumed,
            frame.trace,
        )
    )


def decode_audio(data: bytes) -> AudioFrame:
    """Return the frame, or raise WireError."""
    parts = _unpack(data, _KIND_AUDIO)
    if len(parts) != _AUDIO_FIELDS:
        raise WireError(f"an audio entry has {_AUDIO_FIELDS} fields, this has {len(parts)}")
    seq, n_samples, packets, capture_ms, epoch, consumed, trace = parts
    whole = all(type(value) is int and value >= 0 for value in (seq, n_samples, capture_ms, epoch))
    named = type(consumed) is str and type(trace) is str
    if not (whole and named and type(packets) is list and len(packets) <= MAX_PACKETS):
        raise WireError("an audio entry has fields of the wrong type")
    if not all(type(packet) is bytes for packet in packets):
        raise WireError("an audio entry's packets must be bytes")
    return AudioFrame(seq, n_samples, tuple(packets), capture_ms, epoch, consumed, trace)


def encode_event(event: Event) -> bytes:
    """Return the entry's bytes. Raises WireError if it is larger than MAX_ENTRY_BYTES or has no wire form."""
    body = _EVENT.dump_python(event, by_alias=False)
    try:
        data: bytes = msgpack.packb((WIRE_VERSION, _KIND_EVENT, body))
    except (ValueError, TypeError, OverflowError) as error:  # a lone surrogate, an object, an integer over 64 bits
        raise WireError(f"event {event.id!r} has no wire form: {error}") from error
    if len(data) > MAX_ENTRY_BYTES:
        raise WireError(f"event {event.id} has {len(data)} bytes; at most {MAX_ENTRY_BYTES} fit one entry")
    return data


def decode_event(data: bytes) -> Event:
    """Return the event with every field checked, or raise WireError."""
    parts = _unpack(data, _KIND_EVENT)
    if len(parts) != 1:
        raise WireError("an event entry has one part")
    try:
        return _EVENT.validate_python(parts[0])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise WireError(f"event field {where}: {first['msg']}") from error


def event_to_json(event: Event) -> dict[str, Any]:
    """Return the event as JSON-ready values in camelCase, as clients and files see it."""
    return _EVENT.dump_python(event, mode="json", by_alias=True)  # type: ignore[no-any-return]


def event_from_json(value: object) -> Event:
    """Return the event from its JSON form, or raise WireError."""
    try:
        return _EVENT.validate_python(value)
    except ValidationError as error:
        raise WireError(
            f"not an event: {error.error_count()} fields are wrong; first: {error.errors()[0]['msg']}"
        ) from error


def _unpack(data: bytes, kind: int) -> list[Any]:
    if len(data) > MAX_ENTRY_BYTES:
        raise WireError(f"an entry has {len(data)} bytes; the limit is {MAX_ENTRY_BYTES}")
    try:
        parts = msgpack.unpackb(data, strict_map_key=True)
    except (ValueError, msgpack.UnpackException) as error:
        raise WireError("an entry is not msgpack") from error
    if type(parts) is not list or len(parts) < 2:
        raise WireError("an entry is [version, kind, ...]")
    if parts[0] != WIRE_VERSION:
        raise WireError(f"an entry has version {parts[0]!r}; this release reads {WIRE_VERSION}")
    if parts[1] != kind:
        raise WireError(f"an entry of kind {parts[1]!r} where {kind} was due")
    return parts[2:]
