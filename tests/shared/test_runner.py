"""A service process: exit codes, signals, and what its health endpoint says. Real processes throughout."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from shared.broker import Broker
from shared.presence import ask_to_drain, list_processes

SERVICE = """
import asyncio, sys
from pydantic_settings import SettingsConfigDict
from shared.errors import SplitbrainError
from shared.runner import ServiceContext, exit_on_config_error, run_service
from shared.settings import ServiceSettings, load_settings

class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SPLITBRAIN_DEMO_")
    how: str = "well"

async def serve(context: ServiceContext) -> None:
    how = sys.argv[1]
    if how == "crash":
        raise RuntimeError("boom")
    if how == "known":
        raise SplitbrainError("the door is locked")
    if how == "done":
        return
    context.broker.writer.add("sb:{00}:s:events", b"hello", maxlen=9)
    context.ready = True
    print(context.health_url, flush=True)
    await context.stopping.wait()
    if how == "stuck":
        await asyncio.sleep(3600)
    if how == "slow":
        print("stopping", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    context.broker.writer.add("sb:{00}:s:events", b"bye", maxlen=9)

def main() -> int:
    import shared.runner
    shared.runner.STOP_LIMIT_S = 0.5 if sys.argv[1] == "stuck" else 20.0
    return run_service("demo", load_settings(Settings), serve)

sys.exit(exit_on_config_error(main))
"""


@asynccontextmanager
async def process(tmp_path: Path, how: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    script = tmp_path / "service.py"
    script.write_text(SERVICE, encoding="utf-8")
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), how),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
    )
    try:
        async with asyncio.timeout(30):
            yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def ended(child: asyncio.subprocess.Process) -> tuple[int, str]:
    """Return the exit code and what was logged."""
    _, errors = await child.communicate()
    assert child.returncode is not None
    return child.returncode, errors.decode()


async def line(child: asyncio.subprocess.Process) -> str:
    assert child.stdout is not None
    return (await child.stdout.readline()).decode().strip()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_all_written_and_code_0(
    tmp_path: Path, real_redis_url: str, redis_server: object, sig: signal.Signals
) -> None:
    from redis.asyncio import Redis

    async with process(tmp_path, "wait", SPLITBRAIN_REDIS_URL=real_redis_url) as child:
        assert (await line(child)).startswith("http://127.0.0.1:")
        child.send_signal(sig)
        code, logged = await ended(child)
    assert code == 0
    messages = [json.loads(each)["message"] for each in logged.splitlines()]
    assert messages == ["demo is stopping", "demo ended with code 0"]
    async with Redis.from_url(real_redis_url) as client:
        assert [fields[b"m"] for _, fields in await client.xrange("sb:{00}:s:events")] == [b"hello", b"bye"]


async def test_a_request_to_drain_ends_it_like_a_signal(
    tmp_path: Path, real_broker: Broker, real_redis_url: str
) -> None:
    environment = {"SPLITBRAIN_REDIS_URL": real_redis_url, "SPLITBRAIN_DEMO_WORKER_ID": "d1"}
    async with process(tmp_path, "wait", **environment) as child:
        await line(child)
        while not (found := await list_processes(real_broker)):
            await asyncio.sleep(0)
        await ask_to_drain(real_broker, found[0])
        code, logged = await ended(child)
    assert code == 0
    messages = [json.loads(each)["message"] for each in logged.splitlines()]
    assert messages == ["demo is stopping as it was asked to", "demo ended with code 0"]
    assert [fields[b"m"] for _, fields in await real_broker.client.xrange("sb:{00}:s:events")] == [b"hello", b"bye"]
    assert await list_processes(real_broker) == []


async def test_health_tells_alive_ready_and_draining(tmp_path: Path, real_redis_url: str) -> None:
    async with process(tmp_path, "slow", SPLITBRAIN_REDIS_URL=real_redis_url) as child, aiohttp.ClientSession() as web:
        url = await line(child)
        async with web.get(f"{url}/healthz") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "alive"})
        async with web.get(f"{url}/readyz") as answer:
            assert (answer.status, await answer.json()) == (200, {"ready": True, "draining": False})
        async with web.get(f"{url}/metrics") as answer:
            text = await answer.text()
        assert "splitbrain_broker_writes_total" in text
        assert "process_cpu_seconds_total" in text
        child.terminate()
        assert await line(child) == "stopping"
        async with web.get(f"{url}/healthz") as answer:
            assert answer.status == 200
        async with web.get(f"{url}/readyz") as answer:
            assert (answer.status, await answer.json()) == (503, {"ready": False, "draining": True})
        assert child.stdin is not None
        child.stdin.write(b"\n")
        assert (await ended(child))[0] == 0


async def test_it_is_not_ready_while_redis_is_away(tmp_path: Path) -> None:
    url = "redis://127.0.0.1:1/0"
    async with process(tmp_path, "wait", SPLITBRAIN_REDIS_URL=url) as child, aiohttp.ClientSession() as web:
        health = await line(child)
        while True:
            async with web.get(f"{health}/readyz") as answer:
                if answer.status == 503:
                    break
        assert child.returncode is None
        child.terminate()
        code, logged = await ended(child)
    assert code == 0
    assert "Redis does not take writes" in logged


async def test_a_service_that_is_done_ends_with_0(tmp_path: Path, real_redis_url: str) -> None:
    async with process(tmp_path, "done", SPLITBRAIN_REDIS_URL=real_redis_url) as child:
        assert (await ended(child))[0] == 0


async def test_a_crash_is_logged_whole_and_ends_with_1(tmp_path: Path, real_redis_url: str) -> None:
    async with process(tmp_path, "crash", SPLITBRAIN_REDIS_URL=real_redis_url) as child:
        code, logged = await ended(child)
    assert code == 1
    (crash, _) = (json.loads(each) for each in logged.splitlines())
    assert crash["message"] == "demo crashed"
    assert "RuntimeError: boom" in crash["error"]


async def test_an_error_of_ours_is_told_in_one_line_and_ends_with_1(tmp_path: Path, real_redis_url: str) -> None:
    async with process(tmp_path, "known", SPLITBRAIN_REDIS_URL=real_redis_url) as child:
        code, logged = await ended(child)
    assert code == 1
    assert json.loads(logged.splitlines()[0])["message"] == "demo stopped: the door is locked"
    assert "Traceback" not in logged


async def test_a_service_that_will_not_stop_is_stopped_with_1(tmp_path: Path, real_redis_url: str) -> None:
    async with process(tmp_path, "stuck", SPLITBRAIN_REDIS_URL=real_redis_url) as child:
        await line(child)
        child.terminate()
        code, logged = await ended(child)
    assert code == 1
    assert "did not stop" in logged


async def test_wrong_settings_end_with_2_and_the_whole_list(tmp_path: Path) -> None:
    wrong = {"SPLITBRAIN_REDIS_URL": "ftp://x", "SPLITBRAIN_SHARDS": "0"}
    async with process(tmp_path, "wait", **wrong) as child:
        code, logged = await ended(child)
    assert code == 2
    assert [each.split(":")[0].strip() for each in logged.splitlines()] == [
        "wrong settings",
        "SPLITBRAIN_REDIS_URL",
        "SPLITBRAIN_SHARDS",
    ]


async def test_a_taken_health_port_ends_with_2(tmp_path: Path, real_redis_url: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with process(
            tmp_path, "wait", SPLITBRAIN_REDIS_URL=real_redis_url, SPLITBRAIN_DEMO_HEALTH_PORT=port
        ) as child:
            code, logged = await ended(child)
    assert code == 2
    assert port in logged
