"""Sessions of an event-following role: history first, order, fencing, takeover, and failures that stay within."""

from __future__ import annotations

import asyncio

import pytest

from shared import session_inbox
from shared.broker import Broker
from shared.dead_letters import DeadLetters, ask_again
from shared.events import Notice
from shared.testing.brokers import fake_broker, running, twin
from tests.shared.following import STREAM, Made, ask, say, worker


async def ids_on_stream(broker: Broker, session_id: str) -> list[str]:
    assert await broker.writer.drain()
    return [event.id for event in (await broker.history(session_id))[0] if event.id != "begin"]


async def test_the_past_is_restored_and_the_rest_comes_in_order(broker: Broker) -> None:
    made = Made()
    session_id = await ask(broker)
    say(broker, session_id, "v1", "v2")
    assert await broker.writer.drain()
    async with worker(broker, made) as serving:
        handler = await made.until()
        assert handler.history == ["v1", "v2"]
        assert serving.sessions == (session_id,)
        say(broker, session_id, "v3")
        await made.until(taken=["v3", "coach:v3"])
        say(broker, session_id, *(f"w{n}" for n in range(50)), source="edge")
        handler = await made.until(taken=["v3", "coach:v3", *(f"w{n}" for n in range(50))])
        say(broker, session_id, "end", source="edge")
        await made.until(closed="ended")
    assert await broker.client.xlen(STREAM) == 0
    assert handler.closed == ["ended"]


async def test_a_session_of_which_nothing_is_left_frees_its_place(broker: Broker) -> None:
    made = Made()
    await ask(broker, begun=False)
    async with worker(broker, made):
        async with asyncio.timeout(10):
            while await broker.client.xlen(STREAM):
                await asyncio.sleep(0)
        assert not made.handlers
        session_id = await ask(broker)
        await made.until()
        say(broker, session_id, "end", source="edge")
        await made.until(closed="ended")
    assert await broker.client.xlen(STREAM) == 0


async def test_a_session_that_ended_unserved_is_told_its_end_once(broker: Broker) -> None:
    made = Made()
    session_id = await ask(broker)
    say(broker, session_id, "v1", "end", "late")
    assert await broker.writer.drain()
    async with worker(broker, made):
        handler = await made.until(closed="ended")
    assert (handler.history, handler.taken) == (["v1"], ["end"])


async def test_duplicates_and_older_owners_are_not_heard(broker: Broker) -> None:
    made = Made()
    session_id = await ask(broker)
    async with worker(broker, made):
        say(broker, session_id, "e1", source="edge")
        say(broker, session_id, "a", epoch=2)
        say(broker, session_id, "stale", epoch=1)
        say(broker, session_id, "a", epoch=2)
        say(broker, session_id, "e2", source="edge", epoch=0)  # older than the edge's own epoch 1
        say(broker, session_id, "end", source="edge")
        handler = await made.until(closed="ended")
    heard = [event_id for event_id in handler.history + handler.taken if not event_id.startswith("coach:")]
    assert heard == ["e1", "a", "end"]


async def test_what_cannot_be_read_is_passed_over(broker: Broker) -> None:
    made = Made()
    session_id = await ask(broker)
    async with worker(broker, made):
        await made.until()
        broker.writer.add(broker.keys(session_id).events, b"\xff alien", maxlen=10)
        say(broker, session_id, "v1")
        await made.until(taken=["v1", "coach:v1"])


@pytest.mark.parametrize("how", ["make", "close"])
async def test_a_handler_that_fails_ends_its_own_session_only(broker: Broker, how: str) -> None:
    made = Made()
    good, bad = await ask(broker), await ask(broker)
    if how == "make":
        made.unmakeable.add(bad)
    if how == "close":
        made.bad_closers.add(bad)
    async with worker(broker, made) as serving:
        await made.until(1 if how == "make" else 2)
        say(broker, bad, "end")
        async with asyncio.timeout(10):
            while serving.sessions != (good,):
                await asyncio.sleep(0)
        say(broker, good, "v1")
        n = [handler.session_id for handler in made.handlers].index(good) + 1
        await made.until(n, taken=["v1", "coach:v1"])
        assert await broker.client.xlen(STREAM) == 1  # the failed one is not given to the next worker to fail on
    listed = [letter for _, letter in await DeadLetters(broker.client).all()]
    assert [(letter.kind, letter.session_id) for letter in listed] == ([("session", bad)] if how == "make" else [])


async def test_an_event_that_fails_its_handler_is_set_aside_and_both_sessions_go_on(broker: Broker) -> None:
    made = Made()
    bad = await ask(broker)
    async with worker(broker, made) as serving:
        await made.until()
        good = await ask(broker)
        await made.until(2)
        say(broker, bad, "v1", "break", "v2")
        say(broker, good, "v1")
        await made.until(2, taken=["v1", "coach:v1"])
        async with asyncio.timeout(10):
            while "v2" not in made.handlers[-1].taken:
                made.changed.clear()
                await made.changed.wait()
        assert set(serving.sessions) == {bad, good}
        served = [handler for handler in made.handlers if handler.session_id == bad]
        assert [handler.closed for handler in served] == [["failed"], ["failed"], ["failed"], ["probe"], []]
        assert "v1" in served[-1].history
        say(broker, bad, "end")
        await made.until(len(made.handlers), closed="ended")
    (found,) = await DeadLetters(broker.client).all()
    letter = found[1]
    assert (letter.role, letter.kind, letter.session_id, letter.attempts) == ("coach", "event", bad, 3)
    assert letter.reason.startswith("RuntimeError")


async def test_a_session_is_handled_again_with_what_was_set_aside(broker: Broker) -> None:
    made = Made()
    session_id = await ask(broker)
    async with worker(broker, made) as serving:
        await made.until()
        say(broker, session_id, "break", "v1")
        while not (listed := await DeadLetters(broker.client).all()):
            await asyncio.sleep(0)
        made.mended = True
        n = len(made.handlers)
        assert await ask_again(broker, listed) == "asked"
        assert await DeadLetters(broker.client).all() == []
        async with asyncio.timeout(10):
            while not any("break" in handler.history + handler.taken for handler in made.handlers[n:]):
                made.changed.clear()
                await made.changed.wait()
        assert serving.sessions == (session_id,)
        assert [lease.epoch for lease in serving.holder.held] == [2]


async def test_a_drained_worker_hands_over_and_the_next_goes_on(broker: Broker) -> None:
    first, second = Made(), Made()
    session_id = await ask(broker)
    async with worker(broker, first, "a", lease_s=60):
        await first.until()
        say(broker, session_id, "v1")
        await first.until(taken=["v1", "coach:v1"])
    assert first.handlers[0].closed == ["lease lost"]
    other = twin(broker) if broker.client.__class__.__module__.startswith("fakeredis") else broker
    async with worker(other, second, "b", lease_s=60):  # too long a lease to be waited for
        handler = await second.until()
        assert handler.history == ["v1", "coach:v1"]
        say(broker, session_id, "v2")
        assert await broker.writer.drain()
        if other is broker:
            await second.until(taken=["v2", "coach:v2"])
            stored = (await broker.history(session_id))[0]
            assert [event.epoch for event in stored if event.source == "coach"] == [1, 2]


async def test_a_beat_that_finds_the_lease_gone_stops_the_session(broker: Broker) -> None:
    made = Made()
    session_id = await ask(broker)
    async with worker(broker, made, lease_s=0.2) as serving:
        handler = await made.until()
        (lease,) = serving.holder.held
        await broker.client.xclaim(STREAM, "workers", "thief", 0, [lease.entry_id])
        await made.until(closed="lease lost")
        handler.publisher.publish(Notice("n", "info", "m"), event_id="too-late", media_ms=0)
        assert await ids_on_stream(broker, session_id) == []


async def test_too_many_events_are_given_back_to_the_stream(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_inbox, "QUEUE_BOUND", 3)
    made = Made()
    made.shut = True
    session_id = await ask(broker)
    async with worker(broker, made, lease_s=0.4):
        slow = await made.until()
        names = [f"e{n}" for n in range(10)]
        for name in names:  # one batch each, so that the bound is met in the middle
            say(broker, session_id, name, source="edge")
            assert await broker.writer.drain()
        probe = asyncio.Event()
        broker.reader.subscribe("sb:{00}:probe", "0", lambda *_: probe.set())
        broker.writer.add("sb:{00}:probe", b"x", maxlen=1)
        await probe.wait()
        made.shut = False
        slow.gate.set()
        await made.until(1, closed="overloaded")
        again = await made.until(2)
        async with asyncio.timeout(10):
            while len(again.history) + len(again.taken) < 10:
                await asyncio.sleep(0)
        assert again.history + again.taken == names
        assert slow.taken == names[: len(slow.taken)]


async def test_one_worker_serves_many_sessions_at_once() -> None:
    made = Made()
    async with running(fake_broker()) as broker:
        ids = [await ask(broker) for _ in range(4)]
        async with worker(broker, made) as serving:
            for n in range(1, 5):
                await made.until(n)
            for session_id in ids:
                say(broker, session_id, "v")
            for n in range(1, 5):
                await made.until(n, taken=["v", "coach:v"])
            assert serving.sessions == tuple(sorted(ids))
            assert serving.holder.free == 0
