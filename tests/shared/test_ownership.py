"""Who serves what, read from the request streams: on a real server and on the fake."""

from __future__ import annotations

import pytest

from shared import ownership
from shared.broker import Broker
from shared.leases import GROUP, Lease, LeaseHolder, RequestQueue, ensure_group
from shared.ownership import SessionOwnership, list_ownership
from shared.streams import new_session_id, request_stream

VOICE, COACH = request_stream("voice", "echo"), request_stream("coach")


class Owner:
    """A lease holder whose steps a test takes by hand."""

    def __init__(self, broker: Broker, stream: str, name: str, lease_s: float = 60.0) -> None:
        self.granted: list[Lease] = []
        self.holder = LeaseHolder(
            broker,
            stream,
            consumer=name,
            capacity=9,
            lease_s=lease_s,
            on_grant=self.granted.append,
            on_lost=self.granted.remove,
        )

    async def take(self) -> list[Lease]:
        await self.holder._read_new(self.holder._client)
        return self.granted


def known(one: SessionOwnership) -> tuple[str, str, str, str, int]:
    return one.session_id, one.role, one.engine, one.owner, one.epoch


async def test_nobody_is_served_where_nothing_was_asked_for(broker: Broker) -> None:
    assert await list_ownership(broker) == []


async def test_owner_engine_and_epoch_follow_a_session_through_its_life(broker: Broker) -> None:
    queue, sid = RequestQueue(broker), new_session_id(1)
    await queue.admit(VOICE, sid, {}, by_slots=False)
    assert [known(one) for one in await list_ownership(broker)] == [(sid, "voice", "echo", "", 0)], "no group yet"
    await ensure_group(broker.client, VOICE)
    assert [known(one) for one in await list_ownership(broker)] == [(sid, "voice", "echo", "", 0)]
    first, second = Owner(broker, VOICE, "v1"), Owner(broker, VOICE, "v2")
    (lease,) = await first.take()
    (served,) = await list_ownership(broker)
    assert known(served) == (sid, "voice", "echo", "v1", 1)
    assert 0 <= served.idle_ms < 10_000
    assert await first.holder.hand_over(lease)
    assert [known(one) for one in await list_ownership(broker)] == [(sid, "voice", "echo", "", 1)]
    await second.holder._take_over()
    assert [known(one) for one in await list_ownership(broker)] == [(sid, "voice", "echo", "v2", 2)]
    await second.holder.finish(second.granted[0])
    assert await list_ownership(broker) == []


async def test_the_epoch_is_counted_on_from_the_request_that_it_follows(broker: Broker) -> None:
    await ensure_group(broker.client, VOICE)
    for base in ("4", "?"):
        await RequestQueue(broker).admit(VOICE, new_session_id(1), {"epoch_base": base}, by_slots=False)
    leases = await Owner(broker, VOICE, "v1").take()
    epochs = {one.session_id: one.epoch for one in await list_ownership(broker)}
    assert epochs == {lease.session_id: lease.epoch for lease in leases}
    assert sorted(epochs.values()) == [1, 5]


async def test_all_roles_are_read_and_long_streams_page_by_page(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "PAGE", 2)
    queue, ids = RequestQueue(broker), sorted(new_session_id(n) for n in range(5))
    for stream in (VOICE, COACH, request_stream("voice", "tiny")):
        await ensure_group(broker.client, stream)
        for sid in ids:
            await queue.admit(stream, sid, {}, by_slots=False)
        await Owner(broker, stream, f"owner of {stream}").take()
    found = [known(one) for one in await list_ownership(broker)]
    assert found == [
        (sid, *rest)
        for sid in ids
        for rest in (
            ("coach", "", "owner of sb:coach", 1),
            ("voice", "echo", "owner of sb:voice.echo", 1),
            ("voice", "tiny", "owner of sb:voice.tiny", 1),
        )
    ]
    monkeypatch.setattr(ownership, "MAX_PAGES", 1)
    assert len(await list_ownership(broker)) == 6, "two of each stream: what is read of one is bounded"


async def test_group_and_stream_that_are_gone_are_no_error(broker: Broker) -> None:
    await ensure_group(broker.client, COACH)
    await RequestQueue(broker).admit(COACH, new_session_id(1), {}, by_slots=False)
    await broker.client.xgroup_destroy(COACH, GROUP)
    assert [one.owner for one in await list_ownership(broker)] == [""]
