"""`splitbrain ps` on a real Redis: what each process says, as a table and as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import os

import pytest

from services import cli
from services.command_line import ps
from services.command_line.exits import CommandError, Exit
from shared.broker import Broker
from shared.leases import RequestQueue
from shared.ownership import SessionOwnership
from shared.presence import Presence, ProcessInfo, Status
from shared.streams import PROCESSES_KEY, new_session_id
from shared.testing.brokers import running
from shared.testing.echo_worker import EchoWorker


def options(url: str, *, as_json: bool = False, sessions: bool = False) -> argparse.Namespace:
    return argparse.Namespace(redis_url=url, json=as_json, sessions=sessions)


async def beat(broker: Broker, worker: str, role: str, status: Status) -> asyncio.Task[None]:
    task = asyncio.create_task(Presence(broker, role, worker, lambda: status).run())
    async with asyncio.timeout(5):
        while not await broker.client.hexists(PROCESSES_KEY, worker):
            await asyncio.sleep(0)
    return task


async def test_processes_are_listed(real_redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    broker = Broker.open(real_redis_url)
    tasks = [
        await beat(broker, "v1", "voice", Status("ready", ("a" * 20 + "abc123",), "cascade 1/4")),
        await beat(broker, "e1", "edge", Status("draining", url="http://127.0.0.1:8080")),
    ]
    code = await asyncio.to_thread(ps.run, options(real_redis_url))
    text = capsys.readouterr().out
    as_json = await asyncio.to_thread(ps.run, options(real_redis_url, as_json=True))
    value = json.loads(capsys.readouterr().out)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await broker.aclose()
    assert code is as_json is Exit.OK
    head, edge, voice = text.splitlines()
    assert head.split() == list(ps.HEADS)
    assert edge.split()[:2] == ["edge", "e1"]
    assert edge.endswith("http://127.0.0.1:8080")
    assert "draining" in edge
    assert "1 (abc123)" in voice
    assert str(os.getpid()) in voice
    assert [item["workerId"] for item in value["processes"]] == ["e1", "v1"]
    assert value["sessions"] == []


async def test_sessions_are_listed_with_their_owners(real_redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(Broker.open(real_redis_url)) as broker:
        beacon = await beat(broker, "v1", "voice", Status("ready"))
        worker = EchoWorker(broker, name="v1")
        served = asyncio.create_task(worker.run())
        queue, sid, waiting = RequestQueue(broker), new_session_id(1), new_session_id(2)
        await queue.admit("sb:voice.echo", sid, {"epoch_base": "2"}, by_slots=False)
        await queue.admit("sb:coach", sid, {}, by_slots=False)
        await queue.admit("sb:evaluator", waiting, {}, by_slots=False)
        await worker.wait(lambda: sid in worker.sessions)
        assert await asyncio.to_thread(ps.run, options(real_redis_url, sessions=True)) is Exit.OK
        text = capsys.readouterr().out
        await asyncio.to_thread(ps.run, options(real_redis_url, as_json=True))
        value = json.loads(capsys.readouterr().out)
        for task in (served, beacon):
            task.cancel()
        await asyncio.gather(served, beacon, return_exceptions=True)
    head, *rows = text.splitlines()
    assert head.split() == list(ps.SESSION_HEADS)
    assert [line.split() for line in rows] == [
        [sid, "echo", "v1", "(3)", "waits", "(0)", "-"],
        [waiting, "-", "-", "-", "waits", "(0)"],
    ]
    first, second = value["sessions"]
    assert first["voice"].pop("idleMs") < 10_000
    assert first["sessionId"] == sid
    assert first["voice"] == {"engine": "echo", "owner": "v1", "epoch": 3}
    assert (first["coach"], first["evaluator"]) == ({"owner": None, "epoch": 0, "idleMs": 0}, None)
    assert (second["sessionId"], second["voice"]) == (waiting, None)


async def test_no_session_is_said(real_redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(Broker.open(real_redis_url)) as broker:
        beacon = await beat(broker, "v1", "voice", Status("ready"))
        assert await asyncio.to_thread(ps.run, options(real_redis_url, sessions=True)) is Exit.OK
        beacon.cancel()
        await asyncio.gather(beacon, return_exceptions=True)
    assert capsys.readouterr().out == "no session is served\n"


def test_of_two_requests_in_one_role_the_later_owner_is_shown() -> None:
    old, new = (SessionOwnership("s", "voice", engine, "w", epoch, 0) for engine, epoch in (("a", 5), ("b", 6)))
    assert ps.by_session([old, new]) == ps.by_session([new, old]) == [{"voice": new}]


async def test_nobody_is_there(real_redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await asyncio.to_thread(ps.run, options(real_redis_url)) is Exit.FAILED
    assert "no process has reported" in capsys.readouterr().out


def test_no_redis_is_said() -> None:
    with pytest.raises(CommandError, match="Redis does not answer") as caught:
        ps.run(options("redis://127.0.0.1:1/0"))
    assert caught.value.code is Exit.UNREACHABLE


def test_what_is_no_address_of_a_redis_is_a_wrong_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ps", "--redis-url", "foo"]) == 2
    assert "cannot use the Redis URL" in capsys.readouterr().err


def test_many_sessions_are_cut_short() -> None:
    sessions = tuple(f"{number:026d}" for number in range(6))
    info = ProcessInfo("w", "voice", "h", 1, "ready", 0, 0, sessions)
    assert ps.row(info, 65_000)[5:7] == ("6 (000000 000001 000002 000003 ...)", "1m05s")
