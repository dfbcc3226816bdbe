"""`python -m services.edge`: reads the settings, builds the doors and runs. The only composition root."""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
from functools import partial

from aiohttp import web

from services.edge.access_log import RedactedAccessLogger
from services.edge.app import EdgeApp
from services.edge.gate import Gate
from services.edge.hub import Hub
from services.edge.records import SessionRecords
from services.edge.session import Doors
from services.edge.settings import EdgeSettings
from shared.errors import ConfigError
from shared.presence import Status
from shared.runner import ServiceContext, exit_on_config_error, run_service
from shared.settings import load_settings

log = logging.getLogger(__name__)


async def serve(settings: EdgeSettings, context: ServiceContext) -> None:
    """Listen until told to stop, then close every client with 1012 and return."""
    broker = context.broker
    doors = Doors(settings, broker, SessionRecords(broker, settings.retention, settings.max_session_s))

    def on_broker(up: bool) -> None:
        context.ready = up and not context.stopping.is_set()

    hub = Hub(doors, on_broker)
    app = EdgeApp(doors, hub, Gate(settings, broker.client, broker.clock)).application()
    runner = web.AppRunner(app, access_log_class=RedactedAccessLogger, shutdown_timeout=settings.drain_s)
    await runner.setup()
    site = await _listen(runner, settings)
    url = _url(runner, settings)
    _announce(url, settings)

    context.describe = lambda: Status("", hub.session_ids, url=url)
    try:
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(hub.run(), name="hub")
            await context.stopping.wait()
            await site.stop()
            if not await hub.drain(settings.drain_s):
                log.warning("some clients did not close in time")
            keeper.cancel()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: EdgeSettings) -> web.TCPSite:
    site = web.TCPSite(runner, settings.host, settings.port, ssl_context=_tls(settings))
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            f"the edge cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; "
            "set SPLITBRAIN_EDGE_HOST and SPLITBRAIN_EDGE_PORT"
        ) from error
    return site


def _tls(settings: EdgeSettings) -> ssl.SSLContext | None:
    if not settings.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"SPLITBRAIN_EDGE_TLS_CERT or _KEY cannot be read: {error}") from error
    return context


def _url(runner: web.AppRunner, settings: EdgeSettings) -> str:
    host, port = runner.addresses[0][:2]
    scheme = "https" if settings.tls_cert else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _announce(url: str, settings: EdgeSettings) -> None:
    log.info("the edge listens on %s", url)
    if not settings.needs_token:
        log.warning(
            "no token secret is set: everybody on this machine may connect, and nobody else. "
            "Set SPLITBRAIN_EDGE_JWT_SECRET or SPLITBRAIN_EDGE_JWKS to serve others"
        )


def main() -> int:
    """Run the service; `--check` only reads the settings."""

    def run() -> int:
        settings = load_settings(EdgeSettings)
        if "--check" in sys.argv[1:]:
            sys.stdout.write("settings are fine\n")
            return 0
        return run_service("edge", settings, partial(serve, settings))

    return exit_on_config_error(run)


if __name__ == "__main__":
    sys.exit(main())
