"""`splitbrain drain` on a real Redis: who is asked, what it says, and when it gives up."""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import suppress

import pytest

from services import cli
from services.command_line import drain
from services.command_line.exits import CommandError, Exit
from shared.broker import Broker
from shared.presence import Presence, ProcessInfo, Status, list_processes


def options(worker: str, url: str, **more: object) -> argparse.Namespace:
    return argparse.Namespace(
        **{"worker": worker, "redis_url": url, "wait": False, "timeout": 20.0, "json": False, **more}
    )


class Process:
    """A process that ends when it was asked to and `may_end` is set."""

    def __init__(self, broker: Broker, worker: str, role: str) -> None:
        self.asked = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.task = asyncio.create_task(self._run(broker, worker, role))

    async def _run(self, broker: Broker, worker: str, role: str) -> None:
        beacon = asyncio.create_task(Presence(broker, role, worker, self._status, self.asked.set).run())
        try:
            await self.asked.wait()
            await self.may_end.wait()
        finally:
            beacon.cancel()
            await asyncio.gather(beacon, return_exceptions=True)

    def _status(self) -> Status:
        return Status("draining" if self.asked.is_set() else "ready", ("s1", "s2"))

    async def end(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
async def two(real_broker: Broker) -> list[Process]:
    processes = [Process(real_broker, "v1", "voice"), Process(real_broker, "c1", "coach")]
    async with asyncio.timeout(10):
        while len(await list_processes(real_broker)) < 2:
            await asyncio.sleep(0)
    return processes


async def test_one_process_is_asked_and_no_other(
    two: list[Process], real_redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    voice, coach = two
    assert await asyncio.to_thread(drain.run, options("v1", real_redis_url)) is Exit.OK
    assert capsys.readouterr().out == "voice v1 was asked to drain; it serves 2 sessions\n"
    async with asyncio.timeout(10):
        await voice.task
    assert not coach.asked.is_set()
    await coach.end()


async def test_it_waits_until_the_process_has_ended(
    two: list[Process], real_redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    voice, coach = two
    voice.may_end.clear()
    waiting = asyncio.create_task(asyncio.to_thread(drain.run, options("v1", real_redis_url, wait=True)))
    async with asyncio.timeout(10):
        await voice.asked.wait()
        shown = ""
        while "draining" not in shown:
            await asyncio.sleep(0.01)
            shown += capsys.readouterr().err
    assert not waiting.done()
    voice.may_end.set()
    assert await waiting is Exit.OK
    assert "voice v1: ready, 2 sessions" in shown
    assert capsys.readouterr().out.startswith("voice v1 has ended after ")
    await coach.end()


async def test_it_gives_up_waiting(two: list[Process], real_redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    voice, coach = two
    coach.may_end.clear()
    for as_json in (False, True):
        given = options("c1", real_redis_url, wait=True, timeout=0.3, json=as_json)
        assert await asyncio.to_thread(drain.run, given) is Exit.FAILED
    told = capsys.readouterr()
    assert "coach c1 has not ended within 0 s" in told.err
    value = json.loads(told.out)
    assert (value["workerId"], value["role"]) == ("c1", "coach")
    assert value["state"] in ("ready", "draining")
    await coach.end()
    await voice.end()


async def test_who_is_not_there_is_told_with_those_who_are(two: list[Process], real_redis_url: str) -> None:
    with pytest.raises(CommandError, match=r"there is no v9; the processes are: c1 \(coach\), v1 \(voice\)") as caught:
        await asyncio.to_thread(drain.run, options("v9", real_redis_url))
    assert caught.value.code is Exit.USAGE
    for process in two:
        await process.end()


async def test_nobody_is_there(real_redis_url: str) -> None:
    with pytest.raises(CommandError, match="no process has reported"):
        await asyncio.to_thread(drain.run, options("v1", real_redis_url))


def test_no_redis_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["drain", "v1", "--redis-url", "redis://127.0.0.1:1/0"]) == Exit.UNREACHABLE
    assert "Redis does not answer" in capsys.readouterr().err


def test_a_later_process_of_the_same_name_is_another_one() -> None:
    old, new = (ProcessInfo("v1", "voice", "h", 1, "ready", started_ms, 0) for started_ms in (1, 2))
    assert drain._same([new], old) is None
    assert drain._same([new], new) is new
