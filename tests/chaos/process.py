"""One service process of the world: started, looked at, frozen, killed. It dies with the harness (Linux)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp

from services.command_line.roles import ROLES
from shared.child_process import dies_with
from shared.redis_server import free_port

READY_LIMIT_S = 40.0
STOP_LIMIT_S = 30.0
"""The time of grace that a supervisor gives; that of compose.yaml."""

_LOOK_EVERY_S = 0.05


class ServiceProcess:
    """A service under one label (`voice-1`), over all its restarts. Its output goes to `<folder>/<label>.log`."""

    def __init__(self, label: str, role: str, environment: Mapping[str, str], folder: Path) -> None:
        self.label = label
        self.role = role
        self.log = folder / f"{label}.log"
        self.expected_down = False
        """True from the moment when a fault ends it until it is started again."""
        self.ready = False
        """True from the moment when it said so until it is ended."""
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._health_port = 0
        self.starts = 0

    @property
    def pid(self) -> int:
        """Its process id, 0 while there is none."""
        return self._process.pid if self._process and self._process.returncode is None else 0

    @property
    def exit_code(self) -> int | None:
        """How it ended, None while it lives."""
        return self._process.returncode if self._process else None

    async def start(self) -> None:
        """Start it; it is not ready yet."""
        role = ROLES[self.role]
        self._health_port = free_port()
        ours = {name: value for name, value in os.environ.items() if not name.startswith("SPLITBRAIN_")}
        own = {**self._environment, f"{role.prefix}HEALTH_PORT": str(self._health_port), "PYTHONUNBUFFERED": "1"}
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", role.module),
                env={**ours, **own},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=dies_with(os.getpid(), own_group=True),
            )
        self.starts += 1
        self.expected_down = False

    async def wait_ready(self, http: aiohttp.ClientSession) -> None:
        """Return when it can take work. TimeoutError after READY_LIMIT_S; RuntimeError if it died."""
        async with asyncio.timeout(READY_LIMIT_S):
            while not await self._is_ready(http):
                if self._process and self._process.returncode is not None:
                    raise RuntimeError(f"{self.label} ended with {self.exit_code}: {self.last_lines()}")
                await asyncio.sleep(_LOOK_EVERY_S)  # asks again: readiness is told by an HTTP answer only
        self.ready = True

    async def _is_ready(self, http: aiohttp.ClientSession) -> bool:
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(2), http.get(f"http://127.0.0.1:{self._health_port}/readyz") as answer:
                return answer.status == 200
        return False

    async def wall_s(self, http: aiohttp.ClientSession) -> float | None:
        """Return the process's wall clock in seconds since 1970, as its answers are dated; None if it gives none."""
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(1), http.get(f"http://127.0.0.1:{self._health_port}/healthz") as answer:
                return parsedate_to_datetime(answer.headers["Date"]).timestamp()
        return None

    async def kill(self) -> None:
        """End it without a chance to say anything."""
        self.expected_down = True
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End it as an operator would; SIGKILL after STOP_LIMIT_S."""
        self.expected_down = True
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        process = self._process
        self.ready = False
        if process is None or process.returncode is not None:
            return
        process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def freeze(self) -> None:
        """Stop it where it stands."""
        if self.pid:
            os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self.pid:
            os.kill(self.pid, signal.SIGCONT)

    def n_descriptors(self) -> int:
        """Return how many files and sockets it holds open; 0 while there is no process."""
        with suppress(OSError):
            return len(os.listdir(f"/proc/{self.pid}/fd")) if self.pid else 0
        return 0

    def last_lines(self, n: int = 12) -> str:
        """Return the end of its output."""
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-n:])
        return ""
