"""Worker processes: started again when one dies, ended with the command, and given up where they cannot work."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from services.command_line.evaluate_workers import MAX_DEATHS, EvaluateWorkers
from services.command_line.exits import CommandError

SLEEPS = ("sleep", "60")
STUBBORN = (
    *(sys.executable, "-S", "-c"),
    "import pathlib, signal, sys, time\n"
    "signal.signal(15, signal.SIG_IGN); pathlib.Path(sys.argv[1]).touch(); time.sleep(60)",
)


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_one_that_dies_is_started_again() -> None:
    workers = EvaluateWorkers(2, SLEEPS, {})
    assert await workers.keep() is False
    first = workers.pids
    assert len(first) == 2
    os.kill(first[0], signal.SIGKILL)
    async with asyncio.timeout(10):
        while not await workers.keep():
            await asyncio.sleep(0)
    assert len(workers.pids) == 2
    assert first[1] in workers.pids
    pids = workers.pids
    await workers.stop()
    assert not any(map(is_there, pids))
    assert workers.pids == []


async def test_one_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.command_line.evaluate_workers.STOP_LIMIT_S", 0.01)
    workers = EvaluateWorkers(1, (*STUBBORN, str(tmp_path / "up")), {})
    await workers.keep()
    async with asyncio.timeout(10):
        while not (tmp_path / "up").exists():
            await asyncio.sleep(0)
    (pid,) = workers.pids
    await workers.stop()
    assert not is_there(pid)


async def test_those_that_end_at_once_are_given_up() -> None:
    workers = EvaluateWorkers(2, ("false",), {})

    async def go_on() -> None:
        while True:
            await workers.keep()
            await asyncio.sleep(0)

    with pytest.raises(CommandError, match="exit code 1"):
        await asyncio.wait_for(go_on(), 20)
    await workers.stop()


async def test_deaths_are_forgotten_while_work_goes_on() -> None:
    workers = EvaluateWorkers(1, ("true",), {})
    n_died = 0
    async with asyncio.timeout(20):
        while n_died < MAX_DEATHS + 2:
            n_died += await workers.keep()
            workers.note_progress()
            await asyncio.sleep(0)
    await workers.stop()
