"""The list of ended sessions: added once, claimed by one look, given again when a claim lapses, bounded."""

from __future__ import annotations

import pytest

from shared import ended_sessions
from shared.broker import Broker
from shared.ended_sessions import CLAIM_MS, EndedSessions
from shared.streams import ENDED_DUE_KEY, ENDED_KEY, ENDED_TRIES_KEY


async def lapse(broker: Broker, session_id: str) -> None:
    """As if the time to the next look were over."""
    await broker.client.zadd(ENDED_DUE_KEY, {session_id: 0})


async def test_a_session_is_claimed_once_and_again_when_the_claim_lapses(broker: Broker) -> None:
    ended = EndedSessions(broker.client)
    assert await ended.add("a", 0)
    assert not await ended.add("a", 0)
    (first,) = await ended.claim(10)
    assert (first.session_id, first.tries) == ("a", 1)
    assert 0 <= first.age_ms < 5_000
    assert await ended.claim(10) == []
    await lapse(broker, "a")
    (second,) = await ended.claim(10)
    assert second.tries == 2


async def test_nothing_is_due_before_its_delay(broker: Broker) -> None:
    ended = EndedSessions(broker.client)
    await ended.add("a")
    assert await ended.claim(10) == []
    assert await ended.waiting() == 1
    assert await ended.listed("a")


async def test_the_oldest_are_given_first_and_not_more_than_asked_for(broker: Broker) -> None:
    ended = EndedSessions(broker.client)
    for name in "abc":
        await ended.add(name, 0)
    await broker.client.zadd(ENDED_DUE_KEY, {"a": 2, "b": 1, "c": 3})
    assert [each.session_id for each in await ended.claim(2)] == ["b", "a"]
    assert [each.session_id for each in await ended.claim(2)] == ["c"]


async def test_a_claim_can_be_kept_and_given_back(broker: Broker) -> None:
    ended = EndedSessions(broker.client)
    await ended.add("a", 0)
    await ended.claim(1)
    await lapse(broker, "a")
    await ended.renew("a")
    assert await ended.claim(1) == []
    before = await broker.client.zscore(ENDED_DUE_KEY, "a")
    await ended.postpone("a", CLAIM_MS + 60_000)
    assert await broker.client.zscore(ENDED_DUE_KEY, "a") > before
    assert not await broker.client.hexists(ENDED_TRIES_KEY, "a")
    await ended.postpone("a", 0)
    assert [each.tries for each in await ended.claim(1)] == [1]


async def test_what_is_done_leaves_nothing(broker: Broker) -> None:
    ended = EndedSessions(broker.client)
    await ended.add("a", 0)
    await ended.claim(1)
    await ended.remove("a")
    await ended.renew("a")
    await ended.postpone("a", 0)
    assert not await ended.listed("a")
    assert await broker.client.exists(ENDED_KEY, ENDED_DUE_KEY, ENDED_TRIES_KEY) == 0


async def test_the_list_is_bounded_and_goes_by_itself(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_sessions, "MAX_ENDED", 2)
    ended = EndedSessions(broker.client)
    for name in "abc":
        await ended.add(name, 0)
        await broker.client.zadd(ENDED_KEY, {name: ord(name)})
    assert [each.session_id for each in await ended.claim(10)] == ["b", "c"]
    assert await ended.waiting() == 2
    assert await broker.client.zcard(ENDED_DUE_KEY) == 2
    assert 0 < await broker.client.ttl(ENDED_KEY) <= 24 * 3600


async def test_an_entry_whose_end_is_unknown_is_dropped(broker: Broker) -> None:
    ended = EndedSessions(broker.client)
    await broker.client.zadd(ENDED_DUE_KEY, {"a": 0})
    assert await ended.claim(10) == []
    assert await broker.client.zcard(ENDED_DUE_KEY) == 0
