"""Sessions of an event-following role: history first, order, fencing, takeover, and failures that stay within."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from shared import session_feed, session_inbox
from shared.broker import Broker
from shared.dead_letters import DeadLetters, ask_again
from shared.events import Event, Notice, Role, SessionEnded
from shared.leases import GROUP, RequestQueue, ensure_group
from shared.session_feed import CALM_EPOCH, MAX_STARTS
from shared.session_worker import Publisher, SessionWorker
from shared.streams import SessionKeys, new_session_id, request_stream
from shared.testing.brokers import fake_broker, running, twin

STREAM = request_stream("coach")


class Handler:
    """Keeps all it is told; answers each voice event with one of its own; breaks where a test says so."""

    def __init__(self, made: Made, session_id: str, publisher: Publisher) -> None:
        self.made, self.session_id, self.publisher = made, session_id, publisher
        self.history: list[str] = []
        self.restored = False
        self.taken: list[str] = []
        self.closed: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def restore(self, history: Sequence[Event]) -> None:
        assert not self.taken
        self.history = [event.id for event in history if event.id != "begin"]
        self.restored = True
        self.made.changed.set()

    async def on_event(self, event: Event) -> None:
        await self.gate.wait()
        if event.id == "break" and not self.made.mended:
            raise RuntimeError("the handler broke")
        self.taken.append(event.id)
        if event.source == "voice":
            self.publisher.publish(Notice("n", "info", "m"), event_id=f"coach:{event.id}", media_ms=event.media_ms)
        self.made.changed.set()

    async def close(self, reason: str) -> None:
        self.closed.append(reason)
        self.made.changed.set()
        if self.session_id in self.made.bad_closers:
            raise RuntimeError("cannot close")


class Made:
    """The handlers of one worker, in the order in which they were made, and a way to wait for them."""

    def __init__(self) -> None:
        self.handlers: list[Handler] = []
        self.changed = asyncio.Event()
        self.unmakeable: set[str] = set()
        self.bad_closers: set[str] = set()
        self.shut = False
        self.mended = False

    def __call__(self, session_id: str, publisher: Publisher) -> Handler:
        if session_id in self.unmakeable:
            raise RuntimeError("cannot be made")
        handler = Handler(self, session_id, publisher)
        if self.shut:
            handler.gate.clear()
        self.handlers.append(handler)
        self.changed.set()
        return handler

    async def until(self, n: int = 1, taken: Sequence[str] | None = None, closed: str = "") -> Handler:
        """Wait until the nth handler is restored and has taken (or closed) what is named, and return it."""
        async with asyncio.timeout(20):
            while True:
                self.changed.clear()
                if len(self.handlers) >= n and self.handlers[n - 1].restored:
                    handler = self.handlers[n - 1]
                    if (taken is None or handler.taken == list(taken)) and (not closed or handler.closed == [closed]):
                        return handler
                await self.changed.wait()


@asynccontextmanager
async def worker(broker: Broker, made: Made, name: str = "a", lease_s: float = 0.2) -> AsyncIterator[SessionWorker]:
    serving = SessionWorker(broker, "coach", made, consumer=name, capacity=4, lease_s=lease_s)
    stopping = asyncio.Event()
    task = asyncio.create_task(serving.run(stopping))
    try:
        yield serving
    finally:
        stopping.set()
        async with asyncio.timeout(10):
            await task


async def ask(broker: Broker, *, begun: bool = True) -> str:
    await ensure_group(broker.client, STREAM)
    session_id = new_session_id(1)
    if begun:
        say(broker, session_id, "begin", source="edge")
        assert await broker.writer.drain()
    admission = await RequestQueue(broker).admit(STREAM, session_id, {}, by_slots=False)
    assert admission.outcome == "admitted"
    return session_id


def say(broker: Broker, session_id: str, *ids: str, source: str = "voice", epoch: int = 1) -> None:
    for event_id in ids:
        body = SessionEnded("client_closed") if event_id == "end" else Notice("x", "info", "y")
        event = Event(event_id, session_id, source, epoch, 0, 0, body)  # type: ignore[arg-type]
        broker.publish_event(broker.keys(session_id), event)


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


N_RESTLESS = 24


async def _ask_restless(broker: Broker) -> list[str]:
    """Ask for sessions that have had more owners than are taken without a look: each begins alone."""
    session_ids = [await ask(broker) for _ in range(N_RESTLESS)]
    taken = await broker.client.xreadgroup(GROUP, "dead", {STREAM: ">"}, count=N_RESTLESS)
    entry_ids = [entry_id for entry_id, _ in taken[0][1]]
    for _ in range(CALM_EPOCH + 1):
        await broker.client.xclaim(STREAM, GROUP, "dead", 0, entry_ids)
    return session_ids


async def _drain_while_they_begin(broker: Broker, name: str, n_begun: int) -> None:
    """Serve until so many have begun and all are held, then be told to end; it must in time."""
    made = Made()
    serving = SessionWorker(broker, "coach", made, consumer=name, capacity=2 * N_RESTLESS, lease_s=0.5)
    stopping = asyncio.Event()
    task = asyncio.create_task(serving.run(stopping))
    await made.until(n_begun)
    while len(serving.sessions) < N_RESTLESS:
        await asyncio.sleep(0.01)  # looks again: grants come with the heartbeats
    stopping.set()
    done, _ = await asyncio.wait({task}, timeout=5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert done, "it does not end"


async def test_a_worker_ends_while_many_sessions_wait_to_begin(
    real_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """redis-py can swallow the cancellation of a session that begins as another one is stopped (shared.clock)."""
    monkeypatch.setattr(session_feed, "SETTLE_S", 0.1)
    await _ask_restless(real_broker)
    await _drain_while_they_begin(real_broker, "a", 3)


async def test_workers_that_are_told_to_end_set_nothing_aside(
    real_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_feed, "SETTLE_S", 0.05)
    session_ids = await _ask_restless(real_broker)
    for n in range(MAX_STARTS + 1):
        await _drain_while_they_begin(real_broker, f"worker-{n}", 2)
        keys = [real_broker.keys(session_id).dead for session_id in session_ids]
        assert [await real_broker.client.hget(key, "coach:starts") for key in keys] == [None] * N_RESTLESS
    assert await DeadLetters(real_broker.client).all() == []


async def test_a_session_that_was_handed_over_well_begins_with_the_others(real_broker: Broker) -> None:
    """Drains add owners; only those since the last one that went on and left by itself make a session suspect."""
    (session_id, *_) = await _ask_restless(real_broker)
    keys = real_broker.keys(session_id)
    first, second = Made(), Made()
    async with worker(real_broker, first, "a", lease_s=0.5):
        await first.until()
        say(real_broker, session_id, "v1")
        while not any(handler.taken == ["v1", "coach:v1"] for handler in first.handlers):
            first.changed.clear()
            await first.changed.wait()
    epoch = int(await real_broker.client.hget(keys.dead, "coach:calm"))
    assert epoch > CALM_EPOCH
    counted: list[str] = []
    monkey = DeadLetters.count_start

    async def count(letters: DeadLetters, keys: SessionKeys, role: Role) -> int:
        counted.append(keys.state)
        return await monkey(letters, keys, role)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DeadLetters, "count_start", count)
        async with worker(real_broker, second, "b", lease_s=0.5) as serving:
            while session_id not in serving.sessions:
                second.changed.clear()
                await second.changed.wait()
    assert keys.state not in counted


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
