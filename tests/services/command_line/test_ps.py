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
from shared.presence import Presence, ProcessInfo, Status
from shared.streams import PROCESSES_KEY


def options(url: str, *, as_json: bool = False) -> argparse.Namespace:
    return argparse.Namespace(redis_url=url, json=as_json)


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
