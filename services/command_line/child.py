"""One service process of `splitbrain up`: started, watched, ended. It dies with this process (Linux)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import aiohttp

from services.command_line.up_plan import ProcessPlan
from shared.child_process import dies_with
from shared.clock import Clock
from shared.redis_server import free_port

STOP_LIMIT_S = 25.0
"""A service has 20 s to hand its sessions over (shared.runner); what lives longer is killed."""

_LAST_WORDS_S = 1.0
_MAX_LINE = 8 * 1024


class Child:
    """A process with its output handed on line by line to `on_line(label, line)`; the last lines are kept."""

    def __init__(self, plan: ProcessPlan, clock: Clock, on_line: Callable[[str, str], None]) -> None:
        self.plan = plan
        self.ready = False
        self.was_ever_ready = False
        self.last_lines: deque[str] = deque(maxlen=15)
        self.started_s = 0.0
        self._clock = clock
        self._on_line = on_line
        self._process: asyncio.subprocess.Process | None = None
        self._health_port = 0

    @property
    def pid(self) -> int:
        """Its process id; 0 while there is none."""
        return self._process.pid if self.is_alive and self._process else 0

    @property
    def is_alive(self) -> bool:
        """True between start and end."""
        return self._process is not None and self._process.returncode is None

    async def run(self) -> int:
        """Start it, hand its output on, and return its exit code (negative: the signal that ended it)."""
        self.ready = False
        self.last_lines.clear()
        self._health_port = free_port()
        environment = {**os.environ, **self.plan.environment, self.plan.health_variable: str(self._health_port)}
        self.started_s = self._clock.monotonic()
        # Not asyncio's own pipe: with that, `wait` waits for everybody who still holds it, grandchildren too.
        ours, theirs = os.pipe()
        try:
            stream, transport = await _reader(ours)
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", self.plan.role.module),
                    env=environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=theirs,
                    stderr=theirs,
                    process_group=0,  # Ctrl-C is for this process, which stops its children in order
                    preexec_fn=dies_with(os.getpid()),
                )
            except BaseException:
                transport.close()
                raise
        finally:
            os.close(theirs)
        return await self._follow(self._process, stream, transport)

    async def _follow(
        self, process: asyncio.subprocess.Process, stream: asyncio.StreamReader, transport: asyncio.ReadTransport
    ) -> int:
        reader = asyncio.create_task(self._read(stream), name=f"{self.plan.label} output")
        try:
            code = await process.wait()
            self._kill_group()  # what it started and did not end itself
            await asyncio.wait({reader}, timeout=_LAST_WORDS_S)
            return code
        finally:
            reader.cancel()
            transport.close()

    async def look(self, http: aiohttp.ClientSession) -> bool:
        """Ask the process whether it is ready, and keep the answer."""
        ready = False
        if self.is_alive:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with asyncio.timeout(2), http.get(f"http://127.0.0.1:{self._health_port}/readyz") as answer:
                    ready = answer.status == 200
        self.ready = ready and self.is_alive
        self.was_ever_ready = self.was_ever_ready or self.ready
        return self.ready

    async def stop(self) -> None:
        """End it: SIGTERM, and after STOP_LIMIT_S SIGKILL. Returns when it is gone."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await process.wait()
        except TimeoutError:
            self._on_line(self.plan.label, f"did not stop within {STOP_LIMIT_S:.0f} s and was killed")
            self.kill()
            await process.wait()

    def kill(self) -> None:
        """End it and what it has started, at once."""
        if self.is_alive:
            self._kill_group()

    def _kill_group(self) -> None:
        if self._process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _read(self, stream: asyncio.StreamReader) -> None:
        """Hand lines on; one that is too long is cut, so that a process cannot fill our memory."""
        rest = b""
        while chunk := await stream.read(4096):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._line(line)
            if len(rest) > _MAX_LINE:
                self._line(rest)
                rest = b""
        if rest:
            self._line(rest)

    def _line(self, raw: bytes) -> None:
        text = raw.decode(errors="replace").rstrip()
        if text:
            self.last_lines.append(text)
            self._on_line(self.plan.label, text)


async def _reader(handle: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    """Return a stream of what comes out of a pipe's read end; the transport closes it."""
    stream = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(stream)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(handle, "rb", 0))
    return stream, transport
