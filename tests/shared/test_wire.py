"""Bytes of a stream entry: whole round trips, and WireError alone for everything else."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import BadInput, WireError
from shared.events import Body, Event, Notice, ScorecardReady, TurnStarted
from shared.testing.strategies import body_kinds, events, json_values
from shared.wire import (
    MAX_ENTRY_BYTES,
    MAX_PACKETS,
    WIRE_VERSION,
    AudioFrame,
    decode_audio,
    decode_event,
    encode_audio,
    encode_event,
    event_from_json,
    event_to_json,
)

WHOLE = st.integers(0, 2**63 - 1)
frames = st.builds(
    AudioFrame,
    seq=WHOLE,
    n_samples=WHOLE,
    packets=st.lists(st.binary(max_size=60), max_size=MAX_PACKETS).map(tuple),
    capture_ms=WHOLE,
    epoch=WHOLE,
    consumed=st.text(max_size=20),
    trace=st.text(max_size=60),
)
EVENT = Event("voice:turn_started:u1", "s" * 26, "voice", 1, 80, 5, TurnStarted("u1", "user", 80))
FRAME = AudioFrame(3, 1920, (b"abc", b""), 7, 2, "1-0", "t")


@given(frame=frames)
def test_a_frame_comes_back_as_it_was(frame: AudioFrame) -> None:
    assert decode_audio(encode_audio(frame)) == frame


@pytest.mark.parametrize("kind", body_kinds(), ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(data=st.data())
def test_an_event_of_every_kind_comes_back_as_it_was(kind: type[Body], data: st.DataObject) -> None:
    event = data.draw(events(kind))
    assert decode_event(encode_event(event)) == event
    assert event_from_json(event_to_json(event)) == event


@given(raw=st.binary(max_size=300) | json_values().map(msgpack.packb))
@example(raw=b"")
@example(raw=msgpack.packb([]))
@example(raw=msgpack.packb([WIRE_VERSION, 2, None]))
@example(raw=msgpack.packb(msgpack.Timestamp(1)))
@example(raw=b"\x91" * 5_000)
def test_alien_bytes_raise_wire_error_only(raw: bytes) -> None:
    for decode in (decode_audio, decode_event):
        with pytest.raises(WireError):
            decode(raw)


@given(parts=st.lists(json_values() | st.binary(max_size=8), max_size=9), kind=st.sampled_from([1, 2]))
def test_a_right_header_with_wrong_parts_raises_wire_error_only(parts: list[Any], kind: int) -> None:
    raw = msgpack.packb([WIRE_VERSION, kind, *parts])
    for decode in (decode_audio, decode_event):
        with suppress(WireError):
            decode(raw)


@given(where=st.integers(0, 10_000), bit=st.integers(0, 7), event=events())
def test_a_flipped_bit_is_another_event_or_wire_error(where: int, bit: int, event: Event) -> None:
    raw = bytearray(encode_event(event))
    raw[where % len(raw)] ^= 1 << bit
    with suppress(WireError):
        assert isinstance(decode_event(bytes(raw)), Event)


@pytest.mark.parametrize(
    ("position", "value"),
    [(0, -1), (0, 1.0), (0, True), (1, None), (2, b"x"), (2, ["x"]), (3, "1"), (4, -2), (5, 1), (6, None)],
)
def test_each_field_of_a_frame_has_its_type(position: int, value: object) -> None:
    parts = msgpack.unpackb(encode_audio(FRAME))
    parts[2 + position] = value
    with pytest.raises(WireError):
        decode_audio(msgpack.packb(parts))


def test_a_frame_with_a_field_too_many_or_too_few_is_refused() -> None:
    parts = msgpack.unpackb(encode_audio(FRAME))
    for wrong in ([*parts, 1], parts[:-1]):
        with pytest.raises(WireError, match="fields"):
            decode_audio(msgpack.packb(wrong))


def test_other_versions_and_kinds_say_so() -> None:
    with pytest.raises(WireError, match="version 9"):
        decode_event(msgpack.packb([9, 2, {}]))
    with pytest.raises(WireError, match="kind 1 where 2"):
        decode_event(encode_audio(FRAME))
    with pytest.raises(WireError, match="kind 2 where 1"):
        decode_audio(encode_event(EVENT))


def test_bounds_of_size_hold_in_both_directions() -> None:
    with pytest.raises(WireError, match="limit"):
        decode_audio(b"\x00" * (MAX_ENTRY_BYTES + 1))
    with pytest.raises(WireError, match="at most"):
        encode_event(with_body(ScorecardReady("1", {"x": "y" * MAX_ENTRY_BYTES})))
    with pytest.raises(WireError):
        decode_audio(encode_audio(AudioFrame(0, 0, (b"",) * (MAX_PACKETS + 1))))


@pytest.mark.parametrize("value", [2**64, object(), "\ud800", {1, 2}])
def test_what_has_no_wire_form_is_refused_by_the_writer(value: object) -> None:
    with pytest.raises(WireError, match="wire form"):
        encode_event(with_body(ScorecardReady("1", {"x": value})))


def test_an_error_is_bad_input_that_names_the_field() -> None:
    parts = msgpack.unpackb(encode_event(with_body(Notice("c", "info", "m"))))
    parts[2]["body"]["count"] = -1
    with pytest.raises(WireError, match=r"body\.notice\.count") as caught:
        decode_event(msgpack.packb(parts))
    assert isinstance(caught.value, BadInput)
    assert caught.value.code == "bad_entry"


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, {"id": "a"}])
def test_json_that_is_no_event_is_refused(value: object) -> None:
    with pytest.raises(WireError, match="not an event"):
        event_from_json(value)


def with_body(body: Body) -> Event:
    return Event("id", "s" * 26, "evaluator", 1, 0, 0, body)
