"""A process shows the wall clock that is set for it, and waits for as long as before."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from tests.chaos.clocks import ClockedRedis, WallClock, find_library
from tests.chaos.process import ServiceProcess

pytestmark = pytest.mark.skipif(find_library() is None, reason="libfaketime is not installed: scripts/setup_system.sh")

WAITS = "import asyncio, uvloop; uvloop.run(asyncio.sleep(0.5))"


async def test_redis_follows_its_clock(tmp_path: Path) -> None:
    clock = WallClock(tmp_path / "redis.clock")
    with ClockedRedis(tmp_path, clock) as server:
        async with Redis.from_url(server.url) as redis:
            for ahead_s in (0.0, 4.0, -3600.0, 0.0):
                clock.set(ahead_s)
                await asyncio.sleep(0.05)  # a server keeps the time that it has just looked at for some milliseconds
                for seconds in ((await redis.time())[0], int(await redis.eval("return redis.call('TIME')[1]", 0))):
                    assert seconds - time.time() == pytest.approx(ahead_s, abs=1.5)


async def test_a_service_follows_its_clock(tmp_path: Path) -> None:
    clock = WallClock(tmp_path / "coach.clock")
    with ClockedRedis(tmp_path, WallClock(tmp_path / "redis.clock")) as server:
        environment = {"SPLITBRAIN_REDIS_URL": server.url, **clock.environment}
        service = ServiceProcess("coach-1", "coach", environment, tmp_path)
        async with aiohttp.ClientSession() as http:
            await service.start()
            try:
                await service.wait_ready(http)
                for ahead_s in (0.0, 3600.0, -60.0):
                    clock.set(ahead_s)
                    shown_s = await service.wall_s(http)
                    assert shown_s is not None
                    assert shown_s - time.time() == pytest.approx(ahead_s, abs=1.5)
            finally:
                await service.kill()


async def test_what_waits_is_not_held_up(tmp_path: Path) -> None:
    clock = WallClock(tmp_path / "clock")
    began_s = time.monotonic()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WAITS, env={**os.environ, **clock.environment})
    await asyncio.sleep(0.3)  # it has begun to wait, on any machine that starts a Python in that time
    clock.set(-3600.0)
    assert await process.wait() == 0
    assert 0.5 <= time.monotonic() - began_s < 10
