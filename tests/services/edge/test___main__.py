"""The process: starts, says where it is, refuses wrong settings, and stops within seconds."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from shared.testing.echo_worker import EchoWorker
from shared.testing.talker import Talker

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def _running(*arguments: str, **environment: str) -> AsyncIterator[Process]:
    """Run the service; whatever happens, nothing of it is left afterwards."""
    process = await _start(*arguments, **environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _finished(*arguments: str, **environment: str) -> tuple[int | None, bytes, bytes]:
    """Run the service to its end; return code, stdout, stderr."""
    async with _running(*arguments, **environment) as process:
        out, errors = await asyncio.wait_for(process.communicate(), 20)
        return process.returncode, out, errors


async def _start(*arguments: str, **environment: str) -> Process:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SPLITBRAIN")}
    named = {f"SPLITBRAIN_{name}": value for name, value in environment.items()}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.edge", *arguments, cwd=ROOT, env=clean | named, stderr=PIPE, stdout=PIPE
    )


async def _until(process: Process, pattern: str) -> re.Match[str]:
    assert process.stderr is not None
    async with asyncio.timeout(20):
        async for line in process.stderr:
            if found := re.search(pattern, line.decode()):
                return found
    raise AssertionError(f"the process never said {pattern}")


async def test_sigterm_closes_clients_with_1012_and_exits_0(real_redis_url: str, worker: EchoWorker) -> None:
    async with _running(REDIS_URL=real_redis_url, EDGE_PORT="0", EDGE_ENGINES="echo") as process:
        base = (await _until(process, r"listens on (http://[\d.:]+)"))[1]
        await _until(process, "no token secret is set")
        async with aiohttp.ClientSession() as client, client.ws_connect(f"{base}/api/chat") as ws:
            talker = Talker(ws)
            await talker.next(0)
            await talker.send_frame(3)
            assert await talker.audio(12) == talker.sent
            process.send_signal(signal.SIGTERM)
            assert await talker.closed() == 1012
        assert await asyncio.wait_for(process.wait(), 15) == 0


async def test_it_runs_without_redis_and_stops() -> None:
    async with _running(REDIS_URL="redis://127.0.0.1:1/0", EDGE_PORT="0") as process:
        base = (await _until(process, r"listens on (http://[\d.:]+)"))[1]
        async with aiohttp.ClientSession() as client:
            async with client.get(f"{base}/healthz") as answer:
                assert answer.status == 200
            async with client.get(f"{base}/readyz") as answer:
                assert answer.status == 503
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0


async def test_it_refuses_to_listen_to_others_without_a_secret() -> None:
    code, _, errors = await _finished(EDGE_HOST="0.0.0.0")
    assert code == 2
    assert b"loopback only" in errors


async def test_a_taken_port_is_said_plainly(real_redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, errors = await _finished(REDIS_URL=real_redis_url, EDGE_PORT=str(port))
    assert code == 1
    assert f"cannot listen on 127.0.0.1:{port}".encode() in errors
    assert b"Traceback" not in errors


async def test_check_reads_the_settings_only() -> None:
    good = await _finished("--check", EDGE_JWT_SECRET="s" * 32, EDGE_HOST="0.0.0.0")
    assert good[:2] == (0, b"settings are fine\n")
    code, _, errors = await _finished("--check", EDGE_PORT="many", EDGE_MAX_PER_USER="0")
    assert code == 2
    assert b"SPLITBRAIN_EDGE_PORT" in errors
    assert b"SPLITBRAIN_EDGE_MAX_PER_USER" in errors
