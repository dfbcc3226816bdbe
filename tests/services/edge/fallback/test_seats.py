"""A session's request for a voice: asked for, withdrawn, written down."""

from __future__ import annotations

import pytest

from services.edge.fallback.seats import Seat, Seats
from services.edge.records import SessionRecord
from shared.broker import Broker
from shared.events import SessionStarted
from shared.leases import GROUP, ensure_group
from shared.streams import new_session_id, workers_key
from shared.wire import AudioFrame

STREAM = "sb:voice.echo"


async def _place(broker: Broker, slots: int = 2) -> None:
    seconds, _ = await broker.client.time()
    await broker.client.hset(workers_key(STREAM), "w", f"{slots}:{seconds * 1000}")


async def _take(broker: Broker) -> None:
    await broker.client.xreadgroup(GROUP, "w", {STREAM: ">"}, count=1)


async def test_a_request_says_where_its_epochs_begin(broker: Broker) -> None:
    await _place(broker)
    answer, seat = await Seats(broker).admit("s" * 26, "echo", "nl", 7)
    ((entry_id, fields),) = await broker.client.xrange(STREAM)
    assert (answer.outcome, seat) == ("admitted", Seat("echo", entry_id.decode(), 7))
    assert (fields[b"language"], fields[b"epoch_base"]) == (b"nl", b"7")


async def test_a_full_engine_gives_no_seat(broker: Broker) -> None:
    await _place(broker, 0)
    answer, seat = await Seats(broker).admit("s" * 26, "echo", "nl", 0)
    assert (answer.outcome, seat.entry) == ("full", "")
    assert await Seats(broker).withdraw(seat) == (0, False)


@pytest.mark.parametrize("group", [True, False])
async def test_what_nobody_took_is_withdrawn(broker: Broker, group: bool) -> None:
    if group:
        await ensure_group(broker.client, STREAM)
    await _place(broker)
    _, seat = await Seats(broker).admit("s" * 26, "echo", "nl", 0)
    assert await Seats(broker).withdraw(seat, unless_served=True) == (0, False)
    assert await broker.client.xlen(STREAM) == 0


async def test_what_somebody_took_is_left_or_taken_away_as_asked(broker: Broker) -> None:
    await ensure_group(broker.client, STREAM)
    await _place(broker)
    _, seat = await Seats(broker).admit("s" * 26, "echo", "nl", 0)
    await _take(broker)
    assert await Seats(broker).withdraw(seat, unless_served=True) == (1, True)
    assert await broker.client.xlen(STREAM) == 1
    assert await Seats(broker).withdraw(seat) == (1, False)
    assert await broker.client.xlen(STREAM) == 0
    assert (await broker.client.xpending(STREAM, GROUP))["pending"] == 0


async def test_what_a_full_worker_passed_on_is_nobody_s(real_broker: Broker) -> None:
    await ensure_group(real_broker.client, STREAM)
    await _place(real_broker)
    _, seat = await Seats(real_broker).admit("s" * 26, "echo", "nl", 0)
    await _take(real_broker)
    await real_broker.client.xclaim(STREAM, GROUP, "w", 0, [seat.entry], idle=60_000, justid=True)
    assert await Seats(real_broker).withdraw(seat, unless_served=True) == (1, False)
    assert await real_broker.client.xlen(STREAM) == 0


async def test_only_the_newest_connection_writes(broker: Broker) -> None:
    record = SessionRecord(new_session_id(1), "anna", SessionStarted(engine="echo", language="nl"), 0, attach=2)
    state = broker.keys(record.session_id).state
    await broker.client.hset(state, "attach", "2")
    assert await Seats(broker).write(record, Seat("cascade", "5-0", 3), "echo")
    await broker.client.hincrby(state, "attach", 1)
    assert not await Seats(broker).write(record, Seat("echo", "6-0", 4), "echo")
    found = await broker.client.hgetall(state)
    assert (found[b"engine"], found[b"voice_entry"], found[b"voice_base"]) == (b"cascade", b"5-0", b"3")


async def test_where_the_last_owner_stopped(broker: Broker) -> None:
    sid = new_session_id(1)
    assert await Seats(broker).resume_point(sid) == ("0", 0)
    # The last entry is one of an owner that froze and came back.
    for seq, epoch, consumed in [(0, 1, "1-0"), (1, 2, "2-0"), (2, 2, "3-0"), (7, 1, "9-0")]:
        frame = AudioFrame(seq, 1920, (b"\x48a",), epoch=epoch, consumed=consumed)
        broker.publish_audio(broker.keys(sid).audio_out, frame)
    await broker.writer.drain()
    assert await Seats(broker).resume_point(sid) == ("3-0", 3)
