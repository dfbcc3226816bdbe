"""What was set aside: listed without a user's words, bounded, gone with its session, and asked for again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared import dead_letters, metrics
from shared.broker import Broker
from shared.dead_letters import DeadLetter, DeadLetters, ask_again, reason_of
from shared.errors import WireError
from shared.events import Consent, Event, Role, SessionEnded, TurnStarted
from shared.leases import GROUP, RequestQueue, ensure_group
from shared.retention import Retention, consent_to_state
from shared.streams import DEAD_KEY, new_session_id, request_stream


async def session(broker: Broker, *, ended: bool = False, epoch: int = 1) -> DeadLetter:
    """Begin a session with one event of the coach, and return a letter about that event."""
    session_id = new_session_id(1)
    keys = broker.keys(session_id)
    broker.publish_event(keys, Event("e", session_id, "coach", epoch, 0, 0, TurnStarted("u1", "user", 0)))
    if ended:
        broker.publish_event(keys, Event("end", session_id, "edge", 1, 0, 0, SessionEnded("client_closed")))
    assert await broker.writer.drain()
    (entry_id, _), *_ = await broker.client.xrange(keys.events)
    return DeadLetter(
        "coach", "event", session_id, keys.shard, entry_id.decode(), "turn_started", 3, "ValueError", 1, 5
    )


async def put(broker: Broker, letter: DeadLetter) -> str:
    return await DeadLetters(broker.client).put(letter, ValueError("what she said"))


async def test_a_letter_is_listed_and_shown(broker: Broker) -> None:
    letter, store = await session(broker), DeadLetters(broker.client)
    before = metrics.DEAD_LETTERS.labels("coach")._value.get()
    letter_id = await put(broker, letter)
    assert await store.all() == [(letter_id, letter)]
    assert await store.find(letter_id) == letter
    assert await store.find("1-0") is None
    assert metrics.DEAD_LETTERS.labels("coach")._value.get() == before + 1
    data, words = await store.content(letter)
    assert words == "ValueError: what she said"
    assert data is not None
    assert b"turn_started" in data
    assert await store.set_aside(letter.keys, "coach") == {letter.entry_id}
    assert await store.set_aside(letter.keys, "evaluator") == frozenset()


async def test_the_list_holds_nothing_that_a_user_said(broker: Broker) -> None:
    await put(broker, await session(broker))
    ((_, fields),) = await broker.client.xrange(DEAD_KEY)
    assert b"she said" not in b"".join(fields.values())


@pytest.mark.parametrize(("consent", "most_s"), [(Consent(), 10), (Consent(store_transcript=True), 100)])
async def test_words_and_content_live_as_long_as_the_session_s_events(
    broker: Broker, consent: Consent, most_s: int
) -> None:
    first, late = await session(broker), await session(broker)
    for letter in (first, late):
        await broker.client.hset(letter.keys.state, mapping=consent_to_state(consent))
    await put(broker, first)
    for letter in (first, late):
        await broker.let_go(letter.session_id, Retention(100, 10))
    await put(broker, late)  # set aside after the session's end
    for letter in (first, late):
        for key in (letter.keys.events, letter.keys.dead):
            assert most_s - 5 < await broker.client.ttl(key) <= most_s


async def test_nothing_is_kept_beside_a_session_that_is_gone(broker: Broker) -> None:
    letter, store = await session(broker), DeadLetters(broker.client)
    await broker.client.delete(letter.keys.events)
    letter_id = await put(broker, letter)
    assert await broker.client.exists(letter.keys.dead) == 0
    assert await store.content(letter) == (None, None)
    assert await store.count_start(letter.keys, "coach") == 0
    assert await store.all() == [(letter_id, letter)]


async def test_a_mark_expires_though_the_events_do_not(broker: Broker) -> None:
    letter = await session(broker)
    await put(broker, letter)
    assert await broker.client.ttl(letter.keys.events) == -1
    assert 0 < await broker.client.ttl(letter.keys.dead) <= dead_letters.KEPT_S


async def test_the_oldest_give_way_and_are_counted(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "MAX_LETTERS", 3)
    letter, before = await session(broker), metrics.DEAD_LETTERS_SHED._value.get()
    ids = [await put(broker, replace(letter, attempts=n)) for n in range(5)]
    assert [letter_id for letter_id, _ in await DeadLetters(broker.client).all()] == ids[2:]
    assert metrics.DEAD_LETTERS_SHED._value.get() == before + 2


async def test_the_list_is_kept_for_a_day(broker: Broker) -> None:
    letter, store = await session(broker), DeadLetters(broker.client)
    await broker.client.xadd(DEAD_KEY, {"m": b"{}"}, id="1-0")
    letter_id = await put(broker, letter)
    assert await broker.client.xlen(DEAD_KEY) == 1  # what is older went with it
    assert 0 < await broker.client.ttl(DEAD_KEY) <= dead_letters.KEPT_S
    await broker.client.delete(DEAD_KEY)
    await broker.client.xadd(DEAD_KEY, {"m": b"{}"}, id="1-0")
    assert await store.all() == []
    assert await store.find(letter_id) is None
    assert await broker.client.xlen(DEAD_KEY) == 0


@pytest.mark.parametrize("data", [b"", b"\xff", b"{}", b'{"role": "coach", "session_id": "../../etc"}'])
async def test_what_is_no_letter_is_passed_over(broker: Broker, data: bytes) -> None:
    await broker.client.xadd(DEAD_KEY, {"m": data})
    letter = await session(broker)
    letter_id = await put(broker, letter)
    assert await DeadLetters(broker.client).all() == [(letter_id, letter)]


async def test_starts_are_counted_until_one_goes_on(broker: Broker) -> None:
    letter, store = await session(broker), DeadLetters(broker.client)
    assert [await store.count_start(letter.keys, "coach") for _ in range(3)] == [1, 2, 3]
    assert await store.count_start(letter.keys, "evaluator") == 1
    assert await store.set_aside(letter.keys, "coach") == frozenset()
    await store.forget_starts(letter.keys, "coach")
    assert await store.count_start(letter.keys, "coach") == 1


def test_the_reason_is_a_type_and_a_place() -> None:
    assert reason_of(KeyError("her words")) == "KeyError"
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    assert reason_of(caught.value) == "ZeroDivisionError"  # no line of the product raised it
    with pytest.raises(WireError) as of_ours:
        dead_letters._decode(b"{}")
    assert reason_of(of_ours.value).startswith("WireError at shared/dead_letters.py:")
    assert reason_of(of_ours.value).endswith(", _decode")


# --- asking again


async def requests(broker: Broker, role: Role) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in await broker.client.xrange(request_stream(role))]


async def test_a_session_that_nobody_serves_gets_a_request_above_all_epochs(broker: Broker) -> None:
    letter, store = await session(broker, epoch=4), DeadLetters(broker.client)
    letter_id = await put(broker, letter)
    assert await ask_again(broker, [(letter_id, letter)]) == "asked"
    assert await requests(broker, "coach") == [{b"sid": letter.session_id.encode(), b"epoch_base": b"4"}]
    assert await store.all() == []
    assert await store.set_aside(letter.keys, "coach") == frozenset()


@pytest.mark.parametrize("taken", [False, True])
async def test_a_session_that_is_asked_for_already_is_not_asked_for_twice(broker: Broker, *, taken: bool) -> None:
    letter, stream = await session(broker), request_stream("coach")
    letter_id = await put(broker, letter)
    await ensure_group(broker.client, stream)
    for session_id in (new_session_id(2), letter.session_id):
        await RequestQueue(broker).admit(stream, session_id, {}, by_slots=False)
    if taken:
        await broker.client.xreadgroup(GROUP, "owner", {stream: ">"})
    assert await ask_again(broker, [(letter_id, letter)]) == "asked"
    assert len(await requests(broker, "coach")) == 2
    pending = await broker.client.xpending_range(stream, GROUP, "-", "+", 10)
    owners = [entry["consumer"] for entry in pending]
    assert owners == ([b"owner", b"retry"] if taken else [])


async def test_of_a_session_that_is_gone_nothing_can_be_asked(broker: Broker) -> None:
    letter = await session(broker)
    letter_id = await put(broker, letter)
    await broker.client.delete(letter.keys.events)
    nameless = replace(letter, session_id="", kind="job")
    for one in (letter, nameless):
        assert await ask_again(broker, [(letter_id, one)]) == "gone"
    assert await requests(broker, "coach") == []
    assert len(await DeadLetters(broker.client).all()) == 1


async def test_of_a_session_that_has_ended_only_the_evaluator_is_asked(broker: Broker) -> None:
    letter = await session(broker, ended=True)
    assert await ask_again(broker, [("1-0", letter)]) == "over"
    assert await ask_again(broker, [("1-0", replace(letter, role="evaluator"))]) == "asked"
    assert await requests(broker, "coach") == []
    assert len(await requests(broker, "evaluator")) == 1


async def test_a_full_queue_is_told_and_the_letter_stays(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.leases.MAX_REQUESTS", 0)
    letter = await session(broker)
    letter_id = await put(broker, letter)
    assert await ask_again(broker, [(letter_id, letter)]) == "full"
    assert len(await DeadLetters(broker.client).all()) == 1
