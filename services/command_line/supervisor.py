"""Keeps the processes of `splitbrain up` alive, and stops them in order. Prints nothing by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import aiohttp

from services.command_line.child import Child
from services.command_line.exits import CommandError, Exit
from services.command_line.up_plan import ProcessPlan, RestartPolicy
from shared.clock import Clock
from shared.errors import BrokerError
from shared.redis_server import RedisServer

_LOOK_EVERY_S = 0.2
_WRONG_SETTINGS = 2


class Supervisor:
    """The children and their Redis. `on_line(label, line)`: their output; `on_change()`: somebody's state changed."""

    def __init__(
        self,
        plans: Sequence[ProcessPlan],
        redis: RedisServer | None,
        clock: Clock,
        *,
        on_line: Callable[[str, str], None],
        on_change: Callable[[], None],
    ) -> None:
        self.children = [Child(plan, clock, on_line) for plan in plans]
        self._redis = redis
        self._clock = clock
        self._on_line = on_line
        self._on_change = on_change
        self._stopping = False

    @property
    def all_ready(self) -> bool:
        """True if every process says that it can take work."""
        return all(child.ready for child in self.children)

    async def run(self) -> None:
        """Keep all alive until cancelled. Raises CommandError if one cannot come up at all."""
        async with asyncio.TaskGroup() as group, aiohttp.ClientSession() as http:
            for child in self.children:
                group.create_task(self._keep(child), name=child.plan.label)
            looking = group.create_task(self._look(http), name="readiness")
            if self._redis:
                group.create_task(self._keep_redis(self._redis), name="redis")
            await looking

    async def stop(self) -> None:
        """End the processes role by role, the edge first; the ones of a role together."""
        self._stopping = True
        for role in dict.fromkeys(child.plan.role.name for child in self.children):
            of_role = [child.stop() for child in self.children if child.plan.role.name == role]
            await asyncio.gather(*of_role)

    def kill(self) -> None:
        """End all at once."""
        self._stopping = True
        for child in self.children:
            child.kill()

    async def _keep(self, child: Child) -> None:
        policy = RestartPolicy()
        while True:
            code = await child.run()
            if self._stopping:
                return
            child.ready = False
            self._on_change()
            delay_s = policy.after_death(self._clock.monotonic() - child.started_s, child.was_ever_ready)
            if delay_s is None or (code == _WRONG_SETTINGS and not child.was_ever_ready):
                raise CommandError(*_why(child, code))
            self._on_line(child.plan.label, f"ended ({_ending(code)}); it starts again in {delay_s:g} s")
            await self._clock.sleep(delay_s)
            if self._stopping:
                return

    async def _look(self, http: aiohttp.ClientSession) -> None:
        while True:
            for child in self.children:
                before = child.ready
                if await child.look(http) != before:
                    self._on_change()
            await self._clock.sleep(1.0 if self.all_ready else _LOOK_EVERY_S)

    async def _keep_redis(self, server: RedisServer) -> None:
        while True:
            await self._clock.sleep(0.5)
            if self._stopping or server.process is None or server.process.poll() is None:
                continue
            self._on_line("redis", "ended; it starts again, and the sessions that it held are lost")
            try:
                # In this thread: the kernel ends the server with the thread that started it.
                server.start()
            except BrokerError as error:
                raise CommandError(Exit.FAILED, str(error)) from error


def _why(child: Child, code: int) -> tuple[Exit, str]:
    lines = "\n".join(f"  {line}" for line in child.last_lines) or "  (it said nothing)"
    exit_code = Exit.USAGE if code == _WRONG_SETTINGS else Exit.FAILED
    return exit_code, f"the {child.plan.label} process does not come up ({_ending(code)}):\n{lines}"


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
