"""An edge on a port of its own, as `splitbrain edge` runs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from services.edge.app import EdgeApp
from services.edge.gate import Gate
from services.edge.hub import Hub
from services.edge.records import SessionRecords
from services.edge.session import Doors
from services.edge.settings import EdgeSettings
from shared.broker import Broker


@asynccontextmanager
async def serving_edge(broker: Broker, settings: EdgeSettings) -> AsyncIterator[str]:
    """Yield the edge's address; drains it at the end.

    Not aiohttp's test server: that cancels the handler of a caller who vanishes, the edge's own does not.
    """
    doors = Doors(settings, broker, SessionRecords(broker, settings.retention, settings.max_session_s))
    hub = Hub(doors)
    app = EdgeApp(doors, hub, Gate(settings, broker.client, broker.clock)).application()
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    keeper = asyncio.create_task(hub.run())
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        await hub.drain(5)
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        await runner.cleanup()
