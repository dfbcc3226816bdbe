"""Runs one service process: logging, event loop, signals, health endpoint, graceful stop.

SIGTERM, SIGINT or `splitbrain drain` sets `stopping`; the service then hands over, closes and returns, and the process
exits 0. A crash is logged and exits 1; wrong settings exit 2.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import uvloop
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.broker import Broker
from shared.broker.writer import WriterLimits
from shared.errors import ConfigError, SplitbrainError
from shared.logs import configure_logging
from shared.presence import Presence, Status
from shared.settings import ServiceSettings

log = logging.getLogger(__name__)

STOP_LIMIT_S = 20.0
"""How long a service may take to stop after the signal; then it is cancelled and exits 1."""


@dataclass(slots=True)
class ServiceContext:
    """What a service gets to run with. `ready` is what /readyz says; set it when work can be taken.

    `describe` may be replaced by the service: it says which sessions are served and whatever else an operator
    should see in `splitbrain ps`. The state in it is filled in here.
    """

    broker: Broker
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    ready: bool = False
    health_url: str = ""
    describe: Callable[[], Status] = lambda: Status("")

    def status(self) -> Status:
        """Return what this process says of itself now."""
        state = "draining" if self.stopping.is_set() else "ready" if self.ready else "starting"
        return replace(self.describe(), state=state)


Serve = Callable[[ServiceContext], Awaitable[None]]


def run_service(name: str, settings: ServiceSettings, serve: Serve, limits: WriterLimits | None = None) -> int:
    """Run `serve` until it returns and return the process's exit code. `limits` are what may wait for Redis."""
    configure_logging(name, settings.log_level, settings.log_format)
    # numpy reads it when it is first imported. Its work here is small: threads would only wait for one another, and on
    # busy cores a sentence that takes 7 ms with one of them took ten times that.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        return uvloop.run(_run(name, settings, serve, limits))
    except KeyboardInterrupt:
        return 130


def exit_on_config_error(main: Callable[[], int]) -> int:
    """Run `main`; wrong settings end with their list on stderr and exit code 2."""
    try:
        return main()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2


async def _run(name: str, settings: ServiceSettings, serve: Serve, limits: WriterLimits | None) -> int:
    context = ServiceContext(Broker.open(settings.redis_url, n_shards=settings.n_shards, limits=limits))
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, _stop, name, context)
    endpoint = await _start_health(settings, context)
    code = 1
    try:
        presence = Presence(
            context.broker,
            name,
            settings.worker_id,
            context.status,
            lambda: _stop(name, context, " as it was asked to"),
        )
        await _serve_until_stopped(context, serve, presence)
        code = 0
    except* SplitbrainError as group:
        for error in _leaves(group):
            log.error("%s stopped: %s", name, error)
    except* Exception:
        log.exception("%s crashed", name)
    finally:
        await endpoint.cleanup()
        await context.broker.aclose()
    log.info("%s ended with code %d", name, code)
    return code


async def _serve_until_stopped(context: ServiceContext, serve: Serve, presence: Presence) -> None:
    beacon = asyncio.create_task(presence.run(), name="presence")
    broker = asyncio.create_task(context.broker.run(), name="broker")
    service = asyncio.ensure_future(serve(context))
    stopping = asyncio.create_task(context.stopping.wait())
    try:
        await asyncio.wait({broker, service, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not service.done() and not broker.done():
            await asyncio.wait({service}, timeout=STOP_LIMIT_S)
        if service.done():
            service.result()
        elif broker.done():
            broker.result()
        else:
            raise SplitbrainError(f"did not stop within {STOP_LIMIT_S:.0f} s; cancelled")
        await context.broker.writer.drain()
    finally:
        tasks = (stopping, service, beacon, broker)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _stop(name: str, context: ServiceContext, why: str = "") -> None:
    if not context.stopping.is_set():
        log.info("%s is stopping%s", name, why)
    context.ready = False
    context.stopping.set()


async def _start_health(settings: ServiceSettings, context: ServiceContext) -> web.AppRunner:
    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def readyz(_: web.Request) -> web.Response:
        up = context.ready and context.broker.writer.up and not context.stopping.is_set()
        return web.json_response({"ready": up, "draining": context.stopping.is_set()}, status=200 if up else 503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, settings.health_host, settings.health_port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            f"the health endpoint cannot listen on {settings.health_host}:{settings.health_port}: {error.strerror}"
        ) from error
    host, port = runner.addresses[0][:2]
    context.health_url = f"http://{host}:{port}"
    return runner


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found
