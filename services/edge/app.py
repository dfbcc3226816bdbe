"""The aiohttp application: routes, and the one place that turns errors into answers."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.edge import metrics
from services.edge.auth import Identity
from services.edge.client_socket import CLOSE_TIMEOUT_S, ClientSocket
from services.edge.engines import CATALOGUE, Capacity, describe
from services.edge.gate import Gate
from services.edge.hub import Hub
from services.edge.limits import ConnectionLimits
from services.edge.moshi_protocol import HANDSHAKE, CloseCode, MoshiOutput, error_text, session_metadata
from services.edge.opening import Opened, Opener
from services.edge.outbox import Outbox
from services.edge.params import SessionParams, read_params
from services.edge.records import new_resume_secret
from services.edge.session import Doors, EdgeSession
from services.edge.web_page import WebPage, load_page
from shared.broker.connection import TRANSIENT
from shared.errors import AuthError, BadInput, Overloaded
from shared.logs import session_id_var
from shared.streams import new_session_id

log = logging.getLogger(__name__)

HEARTBEAT_S = 20.0
OPEN_TIMEOUT_S = 5.0

_FORBIDDEN = ("bad_origin", "bad_host")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an error as every HTTP endpoint of the edge gives it."""
    metrics.REFUSED.labels(code).inc()
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)


@web.middleware
async def errors_to_answers(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Turn what a handler raises before an upgrade into JSON with a fitting status."""
    try:
        return await handler(request)
    except AuthError as error:
        if error.code == "keys_unavailable":
            return json_error(503, error.code, str(error), {"Retry-After": "60"})
        if error.code in _FORBIDDEN:
            return json_error(403, error.code, str(error))
        return json_error(401, error.code, str(error), {"WWW-Authenticate": "Bearer"})
    except BadInput as error:
        return json_error(400, error.code, str(error))
    except Overloaded as error:
        return json_error(429, "too_many", str(error), {"Retry-After": str(max(1, round(error.retry_after_s)))})
    except web.HTTPException as error:
        return json_error(error.status, "http_error", error.reason)
    except TRANSIENT:
        return json_error(503, "broker_lost", "the broker does not answer: try again soon", {"Retry-After": "5"})
    except Exception:
        log.exception("a request failed")
        return json_error(500, "internal", "something went wrong on this side")


class EdgeApp:
    """Handlers of the edge. One per process."""

    def __init__(self, doors: Doors, hub: Hub, gate: Gate) -> None:
        self._doors = doors
        self._settings = doors.settings
        self._hub = hub
        self._gate = gate
        self._opener = Opener(doors)
        self._clock = doors.broker.clock
        self._limits = ConnectionLimits(doors.settings.connection_bounds())
        self._page = WebPage(load_page())

    @property
    def connections(self) -> int:
        """Clients connected now."""
        return self._limits.total

    def application(self) -> web.Application:
        """Return the aiohttp application with all routes."""
        app = web.Application(middlewares=[errors_to_answers], client_max_size=64 * 1024)
        routes = [
            web.get("/api/chat", self.chat),
            web.get("/t/{token}/api/chat", self.chat),
            web.post("/api/tickets", self.tickets),
            web.get("/api/engines", self.engines),
            web.get("/api/config", self.config),
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/", self._page.index),
            web.get("/static/{path:.+}", self._page.static),
        ]
        if self._settings.public_metrics:
            routes.append(web.get("/metrics", self.metrics))
        app.add_routes(routes)
        return app

    async def healthz(self, _: web.Request) -> web.Response:
        """Alive, whatever Redis does."""
        return web.json_response({"status": "alive"})

    async def readyz(self, _: web.Request) -> web.Response:
        """200 where new conversations can begin."""
        up, draining = self._hub.broker_up, self._hub.draining
        answer = {"ready": up and not draining, "broker": up, "draining": draining}
        return web.json_response(answer, status=200 if answer["ready"] else 503)

    async def metrics(self, _: web.Request) -> web.Response:
        """Prometheus text."""
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def engines(self, request: web.Request) -> web.Response:
        """What a client may ask for, and what has a place now."""
        names = list(self._settings.engine_names)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                found = await self._doors.records.capacities(names)
        except TRANSIENT:
            found = {}
        described = [describe(CATALOGUE[name], Capacity(*found[name]) if name in found else None) for name in names]
        return web.json_response(described, headers={"Cache-Control": "no-store"})

    async def config(self, _: web.Request) -> web.Response:
        """What holds for every conversation here, so that a client can tell its user before the first one."""
        settings = self._settings
        answer = {
            "profile": settings.profile,
            "emotionAllowed": not settings.emotion_locked,
            "keptSeconds": settings.retention.kept_s,
            "withoutConsentSeconds": settings.retention.without_consent_s,
        }
        return web.json_response(answer, headers={"Cache-Control": "no-store"})

    async def tickets(self, request: web.Request) -> web.Response:
        """Trade a token for a one-time ticket."""
        self._gate.check_page(request)
        identity, _ = await self._gate.identify(request)
        ticket = await self._gate.issue_ticket(identity)
        return web.json_response({"ticket": ticket, "expiresInSeconds": 30}, headers={"Cache-Control": "no-store"})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """A Moshi / PersonaPlex client."""
        if self._hub.draining:
            return json_error(503, "draining", "this server restarts: try again", {"Retry-After": "1"})
        self._gate.check_page(request)
        params = read_params(request.query)
        self._opener.engines_for(params)
        identity, subprotocol = await self._gate.identify(request)
        ws = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S,
            max_msg_size=self._settings.max_message_bytes,
            compress=False,
            timeout=CLOSE_TIMEOUT_S,
            protocols=[subprotocol] if subprotocol else [],
        )
        if not ws.can_prepare(request).ok:
            return json_error(426, "websocket_only", "connect with a WebSocket", {"Upgrade": "websocket"})
        address = self._gate.address_of(request)
        self._limits.open(identity.user, address, self._clock.monotonic())
        metrics.CONNECTIONS.inc()
        try:
            await ws.prepare(request)
            await self._converse(request, ws, params, identity)
        finally:
            metrics.CONNECTIONS.dec()
            self._limits.close(identity.user, address)
        return ws

    async def _converse(
        self, request: web.Request, ws: web.WebSocketResponse, params: SessionParams, identity: Identity
    ) -> None:
        output = MoshiOutput(serial=secrets.randbits(32), wants_events=params.wants_events)
        try:
            client = ClientSocket(request, ws, Outbox(), output.page)
        except ConnectionError:
            return
        opened = await self._open(client, params, identity)
        if opened is None:
            return
        session_id_var.set(opened.record.session_id)
        log.info("session begins: engine %s, %s", opened.record.started.engine, opened.record.started.language)
        session = EdgeSession(self._doors, opened.record, opened.position, ws, client, output)
        self._hub.add(session)
        reason = "failed"
        try:
            self._greet(session, client, output, opened, params)
            reason = await session.run()
        except* Exception:
            log.exception("the session failed")
            await client.close(CloseCode.INTERNAL, "something went wrong on this side")
        finally:
            self._hub.remove(session)
            log.info("session leaves this edge: %s", reason)

    async def _open(self, client: ClientSocket, params: SessionParams, identity: Identity) -> Opened | None:
        """Begin or resume; where that cannot be, tell the client why and close."""
        retry = f"try again in {self._settings.retry_after_s} s"
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                if params.resume:
                    record = await self._opener.claim(params, identity)
                    await self._hub.displace(record.session_id)
                    opened = await self._opener.take_up(record, params.resume)
                else:
                    session_id = new_session_id(self._clock.wall_ms())
                    opened = await self._opener.open(params, identity, session_id, new_resume_secret())
            metrics.SESSIONS_OPENED.labels("resumed" if params.resume else "new").inc()
            return opened
        except Overloaded as error:
            text, code, why = f"{error}: {retry}", CloseCode.TRY_AGAIN, "full"
            retry = f"try again in {max(1, round(error.retry_after_s))} s"
        except AuthError as error:
            text, code, why, retry = str(error), CloseCode.POLICY, error.code, str(error)
        except BadInput as error:
            text, code, why, retry = str(error), CloseCode.NORMAL, error.code, str(error)
        except TRANSIENT:
            text, code, why = f"the broker does not answer: {retry}", CloseCode.TRY_AGAIN, "broker_lost"
        metrics.REFUSED.labels(why).inc()
        client.send(error_text(text))
        await client.close(code, retry)
        return None

    def _greet(
        self, session: EdgeSession, client: ClientSocket, output: MoshiOutput, opened: Opened, params: SessionParams
    ) -> None:
        """Tell the client its session, and what it missed since the last event that it names."""
        if params.wants_events:
            client.send(session_metadata(opened.record.session_id, opened.resume_token, self._settings.resume_s))
        names = [event.id for event in opened.history]
        first_missed = names.index(params.last_event) + 1 if params.last_event in names else len(names)
        for event in opened.history[:first_missed]:
            session.prime(event)
        if output.is_ready:
            client.send(HANDSHAKE)
            client.send(output.head())
        for event in opened.history[first_missed:]:
            session.deliver(event)
        for notice in opened.notices:
            session.notice(notice)
