"""The URL of a master that sentinels name, and a real fail-over in the middle of a conversation."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest
from redis.asyncio import Redis

from shared.broker import Broker, connect
from shared.broker.sentinel import SentinelUrl, parse_sentinel_url
from shared.errors import ConfigError
from shared.leases import RequestQueue
from shared.streams import new_session_id
from shared.testing.sentinel import SERVICE, SentinelServers
from tests.shared.broker.conversation import STREAM, conversation


@pytest.fixture
def servers() -> Iterator[SentinelServers]:
    with SentinelServers() as servers:
        yield servers


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis+sentinel://a/calls", SentinelUrl((("a", 26379),), "calls", {"db": 0})),
        (
            "redis+sentinel://a:1,b.c:2,[::1]:3/calls/4",
            SentinelUrl((("a", 1), ("b.c", 2), ("::1", 3)), "calls", {"db": 4}),
        ),
        (
            "redis+sentinel://me:p%40ss@a:1/calls?sentinel_password=s%26&sentinel_user=u",
            SentinelUrl(
                (("a", 1),),
                "calls",
                {"db": 0, "username": "me", "password": "p@ss"},
                {"username": "u", "password": "s&"},
            ),
        ),
        (
            "rediss+sentinel://:p@a:1,b:2/calls?ssl_ca_certs=/x.pem&health_check_interval=5",
            SentinelUrl(
                (("a", 1), ("b", 2)),
                "calls",
                {"db": 0, "password": "p", "ssl": True, "ssl_ca_certs": "/x.pem", "health_check_interval": 5},
                {"ssl": True, "ssl_ca_certs": "/x.pem"},
            ),
        ),
    ],
)
def test_a_url_says_where_the_sentinels_are(url: str, expected: SentinelUrl) -> None:
    assert parse_sentinel_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://a:1",
        "redis+sentinel:///calls",
        "redis+sentinel://a:1,/calls",
        "redis+sentinel://a:x/calls",
        "redis+sentinel://a/calls/b",
        "unix+sentinel://a/calls",
        "redis+sentinel://a/calls?health_check_interval=x",
    ],
)
def test_what_is_no_such_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="cannot use the Redis URL"):
        connect(url)


async def test_sentinels_that_know_no_master_are_said() -> None:
    broker = Broker.open("redis+sentinel://127.0.0.1:1,127.0.0.1:2/calls")
    with pytest.raises(Exception, match="Redis does not answer"):
        await broker.ping()
    await broker.aclose()


async def test_a_sentinel_that_hangs_is_passed_over(servers: SentinelServers) -> None:
    hanging = servers.sentinels[0].process
    assert hanging
    hanging.send_signal(signal.SIGSTOP)
    try:
        async with conversation(servers.url) as call:
            call.say(3)
            await call.heard(2)
    finally:
        hanging.send_signal(signal.SIGCONT)


async def test_a_conversation_goes_on_with_the_promoted_replica(servers: SentinelServers) -> None:
    async with conversation(servers.url) as call, call.talking():
        await call.heard(10)
        assert await call.port() == servers.master.port
        acknowledged = max(call.echoed)
        pipe = call.client.client.pipeline(transaction=False)
        pipe.set("sb:mark", 1)  # WAIT speaks of what its own connection wrote, and with it of all before
        pipe.execute_command("WAIT", 1, 2_000)
        assert (await pipe.execute())[1] == 1, "the replica has it all"
        servers.master.kill()
        at_loss = len(call.sent)
        await call.heard(at_loss)
        last = len(call.sent) + 5
        await call.heard(last)
        assert await call.port() == servers.replica.port
        safe = {*range(acknowledged + 1), *range(at_loss, last)}
        for key in (call.keys.audio_in, call.keys.audio_out):
            assert safe <= set(await call.kept(key)), "at most what was on its way at that moment is lost"
        assert safe <= set(call.echoed)
        assert call.echoed == sorted(call.echoed)
        assert await call.owner() == ("echo-1", 1), "the lease went on too"
        other = new_session_id(1)
        admission = await call.ask(lambda: RequestQueue(call.client).admit(STREAM, other, {}, by_slots=True))
        assert admission.outcome == "admitted"
        await call.worker.wait(lambda: other in call.worker.sessions)


async def test_a_conversation_goes_on_when_an_operator_changes_the_master(servers: SentinelServers) -> None:
    """The old master lives on as a replica: nobody may go on speaking to it."""
    async with conversation(servers.url) as call, call.talking(), Redis(port=servers.sentinels[0].port) as sentinel:
        await call.heard(5)
        await sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE)
        async with asyncio.timeout(20):
            while await call.port() != servers.replica.port:
                await asyncio.sleep(0.05)
        last = len(call.sent) + 5
        await call.heard(last)
        assert last in await call.kept(call.keys.audio_in)
        assert await call.owner() == ("echo-1", 1)
