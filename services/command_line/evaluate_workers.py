"""The worker processes of `splitbrain evaluate FOLDER`: started, started again when one dies, ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress

from services.command_line.exits import CommandError, Exit
from shared.child_process import dies_with

MAX_DEATHS = 12
"""Workers that end one after the other while not one recording is finished: they cannot work at all."""

STOP_LIMIT_S = 3.0


class EvaluateWorkers:
    """`n` processes of one command line. They end with this process, however that ends (Linux)."""

    def __init__(self, n: int, command: Sequence[str], environment: dict[str, str]) -> None:
        self.n = n
        self._command = tuple(command)
        self._environment = {**os.environ, **environment}
        self._processes: list[asyncio.subprocess.Process] = []
        self._deaths = 0

    @property
    def pids(self) -> list[int]:
        """Process ids of those that live."""
        return [process.pid for process in self._processes if process.returncode is None]

    def note_progress(self) -> None:
        """A recording was finished: whatever died before, work goes on."""
        self._deaths = 0

    async def keep(self) -> bool:
        """Start what is missing; true if one had died. Raises CommandError where they die one after the other."""
        dead = [process for process in self._processes if process.returncode is not None]
        self._deaths += len(dead)
        if self._deaths >= MAX_DEATHS:
            raise CommandError(Exit.FAILED, f"the workers end at once (exit code {dead[-1].returncode})")
        self._processes = [process for process in self._processes if process.returncode is None]
        while len(self._processes) < self.n:
            self._processes.append(await self._start())
        return bool(dead)

    async def stop(self) -> None:
        """End them all: SIGTERM, and after STOP_LIMIT_S SIGKILL."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.terminate()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_LIMIT_S):
                await asyncio.gather(*(process.wait() for process in self._processes))
        for process in self._processes:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for this process, which stops its workers
            preexec_fn=dies_with(os.getpid()),
        )
