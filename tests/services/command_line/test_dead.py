"""`splitbrain dead` on a real Redis: what it lists, shows and asks for again, and what it says where it cannot."""

from __future__ import annotations

import asyncio
import json

import pytest

from services import cli
from services.command_line import dead
from services.command_line.exits import Exit
from shared.broker import Broker
from shared.dead_letters import DeadLetter, DeadLetters
from shared.events import Event, Role, SessionEnded, TurnStarted
from shared.streams import new_session_id, request_stream


async def call(*arguments: str) -> int:
    return await asyncio.to_thread(cli.main, ["dead", *arguments])


async def put(broker: Broker, role: Role = "coach", *, n: int = 1, ended: bool = False) -> tuple[str, DeadLetter]:
    """Begin a session and set `n` times its first event aside; return the last letter with its id."""
    session_id = new_session_id(1)
    keys = broker.keys(session_id)
    broker.publish_event(keys, Event("e", session_id, "voice", 1, 0, 0, TurnStarted("u1", "user", 0)))
    if ended:
        broker.publish_event(keys, Event("end", session_id, "edge", 1, 0, 0, SessionEnded("client_closed")))
    assert await broker.writer.drain()
    (entry_id, _), *_ = await broker.client.xrange(keys.events)
    now_ms = broker.clock.wall_ms()
    letter = DeadLetter(
        role, "event", session_id, keys.shard, entry_id.decode(), "turn_started", 3, "ValueError at x", 1, now_ms
    )
    for _ in range(n):
        letter_id = await DeadLetters(broker.client).put(letter, ValueError("some words"))
    return letter_id, letter


@pytest.fixture(autouse=True)
def the_real_one(real_redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_REDIS_URL", real_redis_url)


async def test_what_was_set_aside_is_listed(real_broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    letter_id, letter = await put(real_broker)
    assert await call("list") == Exit.OK
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == list(dead.HEADS)
    shown = line.split()
    assert shown[:5] == [letter_id, "coach", "turn_started", letter.session_id, "3"]
    assert line.endswith("ValueError at x")
    assert await call("list", "--json") == Exit.OK
    (value,) = json.loads(capsys.readouterr().out)["deadLetters"]
    assert (value["id"], value["sessionId"], value["entryId"]) == (letter_id, letter.session_id, letter.entry_id)
    assert value["key"] == letter.keys.events


async def test_nothing_is_set_aside(capsys: pytest.CaptureFixture[str]) -> None:
    assert await call("list") == await call("retry", "--all") == Exit.OK
    assert capsys.readouterr().out == "nothing is set aside\n" * 2


async def test_an_entry_is_shown_until_its_session_is_gone(
    real_broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    letter_id, letter = await put(real_broker)
    assert await call("show", letter_id) == Exit.OK
    text = capsys.readouterr().out
    assert "ValueError: some words" in text
    assert "turn_started" in text
    assert await call("show", letter_id, "--json") == Exit.OK
    value = json.loads(capsys.readouterr().out)
    assert value["content"]["id"] == "e"
    await real_broker.client.delete(*letter.keys.all())
    assert await call("show", letter_id) == Exit.OK
    assert capsys.readouterr().out.count("gone with its session") == 2
    assert await call("show", letter_id, "--json") == Exit.OK
    value = json.loads(capsys.readouterr().out)
    assert (value["content"], value["error"]) == (None, None)


async def test_what_cannot_be_read_is_shown_as_it_is(real_broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    letter_id, letter = await put(real_broker)
    await real_broker.client.delete(letter.keys.events)
    await real_broker.client.xadd(letter.keys.events, {"m": b"\xff"}, id=letter.entry_id)
    assert await call("show", letter_id, "--json") == Exit.OK
    assert json.loads(capsys.readouterr().out)["base64"] == "/w=="


async def test_one_is_asked_for_again(real_broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    letter_id, letter = await put(real_broker)
    assert await call("retry", letter_id) == Exit.OK
    assert capsys.readouterr().out == f"{letter_id}: is asked for again\n"
    ((_, fields),) = await real_broker.client.xrange(request_stream("coach"))
    assert fields[b"sid"] == letter.session_id.encode()
    assert await call("retry", letter_id) == Exit.FAILED
    assert f"nothing is set aside under {letter_id}" in capsys.readouterr().err


async def test_all_are_asked_for_again_each_session_once(
    real_broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    await put(real_broker, n=3)
    await put(real_broker, "evaluator", ended=True)
    over_id, _ = await put(real_broker, "coach", ended=True)
    gone_id, gone = await put(real_broker)
    await real_broker.client.delete(gone.keys.events)
    assert await call("retry", "--all") == Exit.FAILED
    told = capsys.readouterr()
    assert told.out.count("is asked for again") == 4
    assert f"{over_id}: its session has ended" in told.err
    assert f"{gone_id}: nothing is left of its session" in told.err
    assert [await real_broker.client.xlen(request_stream(role)) for role in ("coach", "evaluator")] == [1, 1]
    left = [letter_id for letter_id, _ in await DeadLetters(real_broker.client).all()]
    assert sorted(left) == sorted([over_id, gone_id])
    assert await call("retry", "--all", "--json") == Exit.FAILED
    value = json.loads(capsys.readouterr().out)
    assert {one["outcome"] for one in value["retried"]} == {"over", "gone"}


@pytest.mark.parametrize("action", ["show", "retry"])
async def test_what_is_no_id_is_a_wrong_option(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await call(action, "x") == Exit.USAGE
    assert "'x' is no id" in capsys.readouterr().err
    assert await call(action, "1-0") == Exit.FAILED
    assert "nothing is set aside under 1-0" in capsys.readouterr().err


def test_no_redis_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dead", "list", "--redis-url", "redis://127.0.0.1:1/0"]) == Exit.UNREACHABLE
    assert "Redis does not answer" in capsys.readouterr().err
