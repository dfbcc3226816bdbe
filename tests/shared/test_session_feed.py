"""Handlers that fail: what is tried how often, what is set aside, and that the rest is handled as if without it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from shared import session_feed
from shared.broker import Broker
from shared.dead_letters import DeadLetter, DeadLetters
from shared.errors import Overloaded
from shared.events import Event, Notice, SessionEnded
from shared.leases import Lease
from shared.session_feed import Poisoned, Publisher, SessionFeed
from shared.streams import new_session_id


class Role:
    """Makes handlers and says where they fail. `lazy` ones take their past in at the first event only.

    `fails` has event ids and how often handling each of them fails (-1: always).
    """

    def __init__(self, *, lazy: bool = False, **fails: int) -> None:
        self.lazy = lazy
        self.fails = fails
        self.fails_at_restore = False
        self.hangs: set[str] = set()
        self.handlers: list[Fold] = []
        self.error: Callable[[str], Exception] = ValueError

    def __call__(self, session_id: str, publisher: Publisher) -> Fold:
        if self.fails.get("make"):
            raise RuntimeError("cannot be made")
        self.handlers.append(Fold(self, publisher))
        return self.handlers[-1]

    def check(self, event_id: str) -> None:
        left = self.fails.get(event_id, 0)
        if left:
            self.fails[event_id] = left - 1
            raise self.error(f"the words of {event_id}")


class Fold:
    """Folds what it takes in, changes itself before it fails, and answers each event of the voice."""

    def __init__(self, role: Role, publisher: Publisher) -> None:
        self.role, self.publisher = role, publisher
        self.seen: list[str] = []
        self.waiting: list[Event] = []
        self.closed: list[str] = []

    def restore(self, history: Sequence[Event]) -> None:
        if self.role.fails_at_restore and history:
            raise RuntimeError("no past can be restored")
        self.waiting = list(history)
        if not self.role.lazy:
            self._catch_up()

    async def on_event(self, event: Event) -> None:
        self._catch_up()
        self._take(event)
        if event.id in self.role.hangs:
            await asyncio.Event().wait()
        if event.source == "voice":
            self.publisher.publish(Notice("n", "info", "m"), event_id=f"coach:{event.id}", media_ms=0)

    async def close(self, reason: str) -> None:
        self.closed.append(reason)

    def _catch_up(self) -> None:
        waiting, self.waiting = self.waiting, []
        for event in waiting:
            self._take(event)

    def _take(self, event: Event) -> None:
        self.seen.append(event.id)
        self.role.check(event.id)


def say(broker: Broker, session_id: str, *ids: str) -> None:
    for event_id in ids:
        body = SessionEnded("client_closed") if event_id == "end" else Notice("x", "info", "y")
        event = Event(event_id, session_id, "voice", 1, 0, 0, body)
        broker.publish_event(broker.keys(session_id), event)


async def begin(broker: Broker, *ids: str) -> str:
    session_id = new_session_id(1)
    say(broker, session_id, *ids)
    assert await broker.writer.drain()
    return session_id


def feed_of(broker: Broker, session_id: str, role: Role, epoch: int = 1) -> SessionFeed:
    return SessionFeed(broker, "coach", Lease("sb:coach", "1-0", epoch, session_id), role, asyncio.Lock())


async def serve(broker: Broker, session_id: str, role: Role, epoch: int = 1) -> Fold:
    """Serve a session to its end; return the handler that came to it."""
    feed = feed_of(broker, session_id, role, epoch)
    try:
        async with asyncio.timeout(20):
            await feed.run()
    finally:
        await feed.close("ended")
    assert await broker.writer.drain()
    return role.handlers[-1]


async def serve_live(broker: Broker, role: Role, past: Sequence[str], *later: str) -> tuple[str, Fold]:
    """The same, where `later` and the end come while the session is served."""
    session_id = await begin(broker, *past)
    task = asyncio.create_task(serve(broker, session_id, role))
    while not role.handlers:
        await asyncio.sleep(0)
    say(broker, session_id, *later, "end")
    return session_id, await task


async def listed(broker: Broker) -> list[DeadLetter]:
    return [letter for _, letter in await DeadLetters(broker.client).all()]


def of_voice(handler: Fold) -> list[str]:
    return [event_id for event_id in handler.seen if not event_id.startswith("coach:")]


@pytest.mark.parametrize("lazy", [False, True])
async def test_an_event_that_always_fails_is_set_aside_and_the_rest_is_handled(broker: Broker, *, lazy: bool) -> None:
    role = Role(lazy=lazy, b=-1)
    session_id, handler = await serve_live(broker, role, ["a"], "b", "c", "d")
    assert of_voice(handler) == ["a", "c", "d", "end"]
    (letter,) = await listed(broker)
    assert (letter.role, letter.kind, letter.about, letter.attempts) == ("coach", "event", "notice", 3)
    assert letter.reason.startswith("ValueError")
    assert "words" not in letter.reason
    data, words = await DeadLetters(broker.client).content(letter)
    assert words == "ValueError: the words of b"
    assert data is not None
    assert letter.session_id == session_id


async def test_an_event_that_a_handler_never_finishes_is_set_aside(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_feed, "EVENT_LIMIT_S", 0.05)
    role = Role()
    role.hangs = {"b"}
    _, handler = await serve_live(broker, role, ["a"], "b", "c")
    assert of_voice(handler) == ["a", "c", "end"]
    (letter,) = await listed(broker)
    assert letter.attempts == 3
    assert letter.reason.startswith("TimeoutError")


@pytest.mark.parametrize("n", [1, 2])
async def test_a_failure_that_passes_costs_nothing(broker: Broker, n: int) -> None:
    _, handler = await serve_live(broker, Role(b=n), ["a"], "b", "c")
    assert of_voice(handler) == ["a", "b", "c", "end"]
    assert await listed(broker) == []


async def test_a_handler_that_failed_is_replaced_and_says_nothing_more(broker: Broker) -> None:
    role = Role(b=1)
    session_id, _ = await serve_live(broker, role, ["a"], "b")
    first, second = role.handlers
    assert second.seen[:1] == ["a"]
    assert (first.closed, second.closed) == (["failed"], ["ended"])
    first.publisher.publish(Notice("n", "info", "m"), event_id="late", media_ms=0)
    assert await broker.writer.drain()
    ids = [event.id for event in (await broker.history(session_id))[0]]
    assert "late" not in ids
    assert ids.count("coach:b") == 1


async def test_own_events_behind_the_failure_are_in_the_past_of_the_next_handler_once(broker: Broker) -> None:
    role = Role(c=1)
    _, handler = await serve_live(broker, role, ["a"], "b", "c", "d")
    assert sorted(handler.seen) == sorted(set(handler.seen))
    assert "coach:b" in handler.seen


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("live", [False, True])
async def test_what_fails_in_the_past_is_found(broker: Broker, *, lazy: bool, live: bool) -> None:
    """The event is there before anybody of this role: none that follows it may be taken for it."""
    role = Role(lazy=lazy, b=-1)
    if live:
        _, handler = await serve_live(broker, role, ["a", "b", "c"], "d")
    else:
        handler = await serve(broker, await begin(broker, "a", "b", "c", "d", "end"), role)
    assert of_voice(handler) == ["a", "c", "d", "end"]
    (letter,) = await listed(broker)
    assert letter.attempts == 3


async def test_the_next_owner_is_not_given_what_was_set_aside(broker: Broker) -> None:
    session_id = await begin(broker, "a", "b", "c")
    role = Role(b=-1)
    task = asyncio.create_task(serve(broker, session_id, role))
    while not await listed(broker):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    say(broker, session_id, "end")
    assert await broker.writer.drain()
    after = Role(b=-1)
    assert of_voice(await serve(broker, session_id, after, epoch=2)) == ["a", "c", "end"]
    assert len(after.handlers) == 1
    assert len(await listed(broker)) == 1


async def test_a_session_ends_though_its_end_is_set_aside(broker: Broker) -> None:
    session_id, _ = await serve_live(broker, Role(end=-1), ["a"])
    (letter,) = await listed(broker)
    assert letter.about == "session_ended"
    role = Role(end=-1)
    feed = feed_of(broker, session_id, role)
    await feed.run()
    assert role.handlers == []


@pytest.mark.parametrize("how", ["make", "restore"])
async def test_a_session_that_no_handler_can_take_is_poisoned(broker: Broker, how: str) -> None:
    session_id = await begin(broker, "a", "b")
    role = Role(make=1_000) if how == "make" else Role()
    role.fails_at_restore = True
    feed = feed_of(broker, session_id, role)
    with pytest.raises(Poisoned, match="cannot be made from its events") as caught:
        await feed.run()
    await feed.put_aside(caught.value, caught.value.attempts)
    await feed.close("failed")
    (letter,) = await listed(broker)
    assert (letter.kind, letter.entry_id, letter.attempts) == ("session", "", 3)
    assert "RuntimeError at " in letter.reason or letter.reason.endswith("RuntimeError")


async def test_what_one_session_may_set_aside_is_bounded(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_feed, "MAX_SET_ASIDE", 3)
    names = [f"e{n}" for n in range(6)]
    with pytest.raises(Poisoned, match="more than 3 of its events"):
        await serve(broker, await begin(broker, "a", *names), Role(**dict.fromkeys(names, -1)))
    assert len(await listed(broker)) == 3


async def test_too_much_to_write_is_no_failure(broker: Broker) -> None:
    role = Role(b=-1)
    role.error = Overloaded
    with pytest.raises(Overloaded):
        await serve(broker, await begin(broker, "a", "b", "end"), role)
    assert await listed(broker) == []


# --- sessions that end processes


async def test_a_session_that_many_owners_took_is_served_if_it_goes_on(broker: Broker) -> None:
    session_id = await begin(broker, "a")
    for epoch in range(6, 12):
        role = Role()
        feed = feed_of(broker, session_id, role, epoch)
        task = asyncio.create_task(feed.run())
        while not role.handlers:
            await asyncio.sleep(0)
        say(broker, session_id, f"e{epoch}")
        while await broker.client.hexists(broker.keys(session_id).dead, "coach:starts"):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await feed.close("lease lost")


async def test_a_session_whose_owners_end_at_its_start_is_poisoned_and_its_neighbour_is_not(broker: Broker) -> None:
    bad, good = await begin(broker, "a"), await begin(broker, "a", "end")

    class Dies(Role):
        def __call__(self, session_id: str, publisher: Publisher) -> Fold:
            raise KeyboardInterrupt  # stands for the end of the process: nothing behind it is done

    for epoch in (1, 5):
        with pytest.raises(KeyboardInterrupt):
            await feed_of(broker, bad, Dies(), epoch).run()
    for epoch in (6, 7, 8):
        with pytest.raises(KeyboardInterrupt):
            await feed_of(broker, bad, Dies(), epoch).run()
        assert of_voice(await serve(broker, good, Role(), epoch)) == ["a", "end"]
    with pytest.raises(Poisoned, match="3 owners in a row") as caught:
        await feed_of(broker, bad, Dies(), 9).run()
    assert caught.value.attempts == 3
    assert of_voice(await serve(broker, good, Role(), 9)) == ["a", "end"]


async def test_watched_sessions_begin_one_at_a_time(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_feed, "SETTLE_S", 0.05)
    alone, role = asyncio.Lock(), Role()
    ids = [await begin(broker, "a") for _ in range(3)]
    feeds = [SessionFeed(broker, "coach", Lease("sb:coach", "1-0", 6, one), role, alone) for one in ids]
    tasks = [asyncio.create_task(feed.run()) for feed in feeds]
    async with asyncio.timeout(10):
        while len(role.handlers) < 3:
            counts = [await broker.client.hexists(broker.keys(one).dead, "coach:starts") for one in ids]
            assert sum(counts) <= 1
    for session_id in ids:
        say(broker, session_id, "end")
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
