"""Real processes: they come up, come back when they die, and end in order and without a rest."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.command_line import child as child_module
from services.command_line.exits import CommandError, Exit
from services.command_line.supervisor import Supervisor
from services.command_line.up_plan import ProcessPlan
from shared.clock import SystemClock
from shared.redis_server import RedisServer


class Watched:
    """A supervisor with what it said, and an event for every change."""

    def __init__(self, plans: list[ProcessPlan], redis: RedisServer | None = None) -> None:
        self.lines: list[tuple[str, str]] = []
        self._changed = asyncio.Event()
        self.supervisor = Supervisor(plans, redis, SystemClock(), on_line=self._line, on_change=self._changed.set)

    def _line(self, label: str, line: str) -> None:
        self.lines.append((label, line))
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(20):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            states = [(child.plan.label, child.pid, child.ready) for child in self.supervisor.children]
            raise AssertionError(f"did not happen: {states}, {self.lines}") from None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.supervisor.run())
        try:
            yield task
        finally:
            self.supervisor.kill()
            await self.supervisor.stop()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_all_come_up_and_end_in_order(make_plan: Any, tmp_path: Path) -> None:
    plans = [make_plan(name, role=name.split("-")[0]) for name in ("edge", "voice-1", "voice-2", "coach")]
    watched = Watched(plans)
    async with watched.running() as task:
        await watched.until(lambda: watched.supervisor.all_ready)
        pids = [child.pid for child in watched.supervisor.children]
        await watched.supervisor.stop()
        task.cancel()
    assert all(is_gone(pid) for pid in pids)
    order = (tmp_path / "stopped").read_text().split()
    assert order[0] == "edge"
    assert set(order[1:3]) == {"voice-1", "voice-2"}
    assert order[3] == "coach"
    assert ("edge", "up edge") in watched.lines


async def test_one_that_dies_starts_again_and_this_is_said(make_plan: Any) -> None:
    watched = Watched([make_plan("edge"), make_plan("voice")])
    async with watched.running():
        await watched.until(lambda: watched.supervisor.all_ready)
        voice = watched.supervisor.children[1]
        first = voice.pid
        os.kill(first, signal.SIGKILL)
        await watched.until(lambda: not voice.ready)
        await watched.until(lambda: voice.ready)
        assert voice.pid not in (0, first)
    assert ("voice", "ended (signal 9); it starts again in 0.5 s") in watched.lines


async def test_wrong_settings_end_the_start_with_their_text(make_plan: Any) -> None:
    watched = Watched([make_plan("edge"), make_plan("voice", "settings")])
    async with watched.running() as task:
        with pytest.raises(ExceptionGroup) as caught:
            await task
    (error,) = caught.value.exceptions
    assert isinstance(error, CommandError)
    assert error.code is Exit.USAGE
    assert "SPLITBRAIN_FAKE_X: wrong" in str(error)


async def test_one_that_never_comes_up_is_given_up(make_plan: Any) -> None:
    watched = Watched([make_plan("voice", "dies")])
    async with watched.running() as task:
        with pytest.raises(ExceptionGroup) as caught:
            await task
    (error,) = caught.value.exceptions
    assert isinstance(error, CommandError)
    assert error.code is Exit.FAILED
    assert "boom" in str(error)
    assert [line for _, line in watched.lines if "starts again" in line] == [
        "ended (exit code 1); it starts again in 0.5 s",
        "ended (exit code 1); it starts again in 1 s",
    ]


async def test_one_that_does_not_end_is_killed(make_plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "STOP_LIMIT_S", 0.2)
    watched = Watched([make_plan("voice", "stubborn")])
    async with watched.running():
        await watched.until(lambda: watched.supervisor.all_ready)
        pid = watched.supervisor.children[0].pid
        await watched.supervisor.stop()
        assert is_gone(pid)
    assert ("voice", "did not stop within 0 s and was killed") in watched.lines


async def test_the_embedded_redis_comes_back_at_its_address(make_plan: Any) -> None:
    with RedisServer() as server:
        watched = Watched([make_plan("edge")], server)
        async with watched.running():
            await watched.until(lambda: watched.supervisor.all_ready)
            assert server.process is not None
            first, url = server.process, server.url
            first.kill()
            await watched.until(lambda: server.process is not first and server.process is not None)
            assert server.url == url
    assert any(label == "redis" and "sessions that it held are lost" in line for label, line in watched.lines)


async def test_not_ready_is_not_ready(make_plan: Any) -> None:
    watched = Watched([make_plan("edge", "unready")])
    async with watched.running():
        await watched.until(lambda: ("edge", "up edge") in watched.lines)
        child = watched.supervisor.children[0]
        assert child.is_alive
        assert not watched.supervisor.all_ready
