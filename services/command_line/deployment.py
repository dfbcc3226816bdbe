"""A deployment of one's own for the length of a block: `splitbrain up` as a child process on a free port."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from services.command_line.exits import CommandError, Exit

START_LIMIT_S = 240.0
STOP_LIMIT_S = 30.0
_LINE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where it is. `pids` maps a process's label (edge, voice, coach, evaluator; voice-2, ...) to its pid at start."""

    url: str
    redis_url: str
    pids: dict[str, int]

    @property
    def ws_url(self) -> str:
        """The address as clients of the WebSocket name it."""
        return self.url.replace("http", "ws", 1)


@asynccontextmanager
async def own_deployment(*options: str, env: Mapping[str, str] | None = None) -> AsyncIterator[Deployment]:
    """Start `splitbrain up --port 0` with `options`, wait until all is ready, stop it at the end.

    `env` is added to this process's environment. CommandError if it does not come up within START_LIMIT_S.
    """
    up = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "up", "--port", "0", "--json", *options),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **(env or {})},
        limit=_LINE_LIMIT,
    )
    assert up.stdout is not None
    drain: asyncio.Task[None] | None = None
    try:
        deployment = await _until_ready(up.stdout)
        drain = asyncio.create_task(_drain(up.stdout))
        yield deployment
    finally:
        await _stop(up)
        if drain:
            drain.cancel()


async def _until_ready(stream: asyncio.StreamReader) -> Deployment:
    try:
        async with asyncio.timeout(START_LIMIT_S):
            while line := await stream.readline():
                entry = json.loads(line)
                if entry.get("type") == "ready":
                    pids = {process["label"]: process["pid"] for process in entry["processes"]}
                    return Deployment(entry["url"], entry["redisUrl"], pids)
    except TimeoutError as error:
        raise CommandError(Exit.FAILED, f"the services were not ready within {START_LIMIT_S:.0f} s") from error
    raise CommandError(Exit.FAILED, "the services did not come up; `splitbrain up --verbose` shows why")


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.readline():
        pass


async def _stop(up: asyncio.subprocess.Process) -> None:
    if up.returncode is not None:
        return
    with suppress(ProcessLookupError):
        up.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_LIMIT_S):
            await up.wait()
    except TimeoutError:
        up.kill()
        await up.wait()
