"""HTTP: who gets in, what is answered, and what a log never holds."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from shared.streams import EDGE_SESSIONS_KEY
from shared.testing.echo_worker import EchoWorker
from shared.testing.talker import Talker

if TYPE_CHECKING:
    from tests.services.edge.conftest import Edge, EdgeFactory

SECRET = "s" * 40


def _token(user: str = "anna", secret: str = SECRET, **changes: Any) -> str:
    return jwt.encode({"sub": user, "aud": "splitbrain", "exp": int(time.time()) + 60, **changes}, secret)


async def _refused(edge: Edge, query: str = "", **options: Any) -> tuple[int, str]:
    """Try an upgrade that must fail; return status and error code."""
    path = options.pop("path", "/api/chat")
    url = f"{edge.base}{path}{'?' + query if query else ''}"
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **options.pop("headers", {}),
    }
    async with edge.client.get(url, headers=headers, **options) as answer:
        error = (await answer.json())["error"]
        assert error["message"]
        return answer.status, error["code"]


@pytest.fixture
async def guarded(start_edge: EdgeFactory) -> Edge:
    return await start_edge(jwt_secret=SECRET)


class TestTokens:
    async def test_without_a_token(self, guarded: Edge) -> None:
        assert await _refused(guarded) == (401, "no_token")

    async def test_the_answer_says_how(self, guarded: Edge) -> None:
        async with guarded.client.get(f"{guarded.base}/api/chat") as answer:
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert "/t/<token>/api/chat" in (await answer.json())["error"]["message"]

    @pytest.mark.parametrize(
        ("token", "code"),
        [
            (_token(secret="t" * 40), "bad_token"),
            (_token(aud="other"), "bad_token"),
            (_token(exp=1), "token_expired"),
            (jwt.encode({"sub": "anna", "aud": "splitbrain", "exp": 9e9}, None, "none"), "bad_token"),
            ("rubbish", "bad_token"),
        ],
    )
    async def test_bad_tokens(self, guarded: Edge, token: str, code: str) -> None:
        assert await _refused(guarded, headers={"Authorization": f"Bearer {token}"}) == (401, code)
        assert await _refused(guarded, path=f"/t/{token}/api/chat") == (401, code)
        assert await _refused(guarded, f"worker_auth_id={token}") == (401, code)

    async def test_a_token_in_the_query_is_refused(self, guarded: Edge) -> None:
        assert await _refused(guarded, f"token={_token()}") == (401, "token_in_query")

    @pytest.mark.parametrize("way", ["header", "path", "query", "subprotocol"])
    async def test_all_ways_in(self, guarded: Edge, worker: EchoWorker, way: str) -> None:
        options: dict[str, Any] = {
            "header": {"headers": {"Authorization": f"Bearer {_token()}"}},
            "path": {"path": f"/t/{_token()}/api/chat"},
            "query": {"query": f"worker_auth_id={_token()}"},
            "subprotocol": {"protocols": ("splitbrain", f"bearer.{_token()}")},
        }[way]
        async with guarded.connect(**options) as ws:
            assert await Talker(ws).next(0) == b""
            assert ws.protocol == ("splitbrain" if way == "subprotocol" else None)
        raw = await worker.broker.client.hgetall(worker.broker.keys(next(iter(worker.inputs))).state)
        assert raw[b"user"] == b"anna"

    async def test_a_ticket_opens_one_connection_on_any_edge(
        self, guarded: Edge, start_edge: EdgeFactory, worker: EchoWorker
    ) -> None:
        other = await start_edge(jwt_secret=SECRET)
        headers = {"Authorization": f"Bearer {_token()}"}
        async with guarded.client.post(f"{guarded.base}/api/tickets", headers=headers) as answer:
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"
            ticket = (await answer.json())["ticket"]
        async with other.connect(f"ticket={ticket}") as ws:
            assert await Talker(ws).next(0) == b""
        assert await _refused(guarded, f"ticket={ticket}") == (401, "bad_ticket")

    async def test_tickets_need_a_token(self, guarded: Edge) -> None:
        async with guarded.client.post(f"{guarded.base}/api/tickets") as answer:
            assert answer.status == 401

    async def test_nothing_secret_is_logged(
        self, guarded: Edge, worker: EchoWorker, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        token = _token()
        query = f"text_prompt=my-secret-prompt&worker_auth_id={token}"
        async with guarded.connect(query, path=f"/t/{token}/api/chat") as ws:
            await Talker(ws).next(0)
        await _refused(guarded, query, path="/t/rubbish-token/api/chat")
        text = "\n".join(record.getMessage() for record in caplog.records)
        assert "GET /t/***/api/chat 401" in text
        for secret in (token, token.split(".")[2], "my-secret-prompt", "rubbish-token"):
            assert secret not in text


class TestPages:
    async def test_a_foreign_origin_is_refused(self, edge: Edge) -> None:
        assert await _refused(edge, headers={"Origin": "https://evil.example"}) == (403, "bad_origin")

    async def test_a_foreign_page_gets_no_ticket(self, guarded: Edge) -> None:
        headers = {"Origin": "https://evil.example", "Authorization": f"Bearer {_token()}"}
        async with guarded.client.post(f"{guarded.base}/api/tickets", headers=headers) as answer:
            assert answer.status == 403

    async def test_the_edge_s_own_page_and_allowed_ones_are_let_in(
        self, start_edge: EdgeFactory, worker: EchoWorker
    ) -> None:
        edge = await start_edge(origins="https://app.example")
        for origin in (edge.base, "https://app.example"):
            async with edge.connect(headers={"Origin": origin}) as ws:
                await Talker(ws).next(0)

    async def test_without_tokens_a_rebound_name_is_refused(self, edge: Edge) -> None:
        headers = {"Host": "rebound.example", "Origin": "http://rebound.example"}
        assert await _refused(edge, headers=headers) == (403, "bad_host")


class TestParameters:
    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("voice_prompt=../../etc/passwd", "bad_voice_prompt"),
            ("voice_prompt=%2Fetc%2Fpasswd", "bad_voice_prompt"),
            ("text_prompt=" + "x" * 4001, "bad_text_prompt"),
            ("seed=x", "bad_seed"),
            ("mode=chatty", "bad_mode"),
            ("language=fr", "bad_language"),
            ("engine=personaplex", "unknown_engine"),
            ("events=perhaps", "bad_events"),
        ],
    )
    async def test_bad_parameters(self, edge: Edge, query: str, code: str) -> None:
        assert await _refused(edge, query) == (400, code)

    async def test_a_plain_request_is_told_to_upgrade(self, edge: Edge) -> None:
        async with edge.client.get(f"{edge.base}/api/chat") as answer:
            assert answer.status == 426

    async def test_unknown_paths_are_json_too(self, edge: Edge) -> None:
        async with edge.client.get(f"{edge.base}/nothing") as answer:
            assert answer.status == 404
            assert (await answer.json())["error"]["code"] == "http_error"


class TestLimits:
    async def test_connections_of_a_user(self, start_edge: EdgeFactory, worker: EchoWorker) -> None:
        edge = await start_edge(max_per_user=1)
        async with edge.connect() as ws:
            await Talker(ws).next(0)
            assert await _refused(edge) == (429, "too_many")
        await edge.until_idle()
        async with edge.connect() as ws:
            await Talker(ws).next(0)

    async def test_new_sessions_a_minute(self, start_edge: EdgeFactory, worker: EchoWorker) -> None:
        edge = await start_edge(new_per_minute=1)
        async with edge.connect() as ws:
            await Talker(ws).next(0)
        async with edge.client.get(f"{edge.base}/api/chat") as plain:
            assert plain.status == 426  # a request that is no WebSocket uses nothing up
        assert await _refused(edge) == (429, "too_many")


class TestOperations:
    async def test_health_and_readiness(self, edge: Edge) -> None:
        async with edge.client.get(f"{edge.base}/healthz") as answer:
            assert answer.status == 200
        async with edge.client.get(f"{edge.base}/readyz") as answer:
            assert (answer.status, await answer.json()) == (200, {"ready": True, "broker": True, "draining": False})

    async def test_without_redis(self, start_edge: EdgeFactory) -> None:
        edge = await start_edge(redis_url="redis://127.0.0.1:1/0")
        async with edge.client.get(f"{edge.base}/healthz") as answer:
            assert answer.status == 200
        async with edge.client.get(f"{edge.base}/readyz") as answer:
            assert answer.status == 503
        async with edge.client.get(f"{edge.base}/api/engines") as answer:
            assert [engine["available"] for engine in await answer.json()] == [False]
        async with edge.connect() as ws:
            talker = Talker(ws)
            assert await talker.closed() == 1013
            assert talker.messages[0].startswith(b"\x05the broker does not answer")

    async def test_tickets_without_redis(self, start_edge: EdgeFactory) -> None:
        edge = await start_edge(redis_url="redis://127.0.0.1:1/0", jwt_secret=SECRET)
        headers = {"Authorization": f"Bearer {_token()}"}
        async with edge.client.post(f"{edge.base}/api/tickets", headers=headers) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")

    async def test_engines(self, edge: Edge, worker: EchoWorker) -> None:
        async with edge.client.get(f"{edge.base}/api/engines") as answer:
            (echo,) = await answer.json()
        assert echo["id"] == "echo"
        assert echo["available"] is True
        assert echo["slots"] == 4

    @pytest.mark.parametrize(("profile", "allowed"), [("workplace", False), ("personal_training", True)])
    async def test_what_holds_here_is_told_before_a_call(
        self, start_edge: EdgeFactory, profile: str, *, allowed: bool
    ) -> None:
        edge = await start_edge(profile=profile, retention_s=600)
        async with edge.client.get(f"{edge.base}/api/config") as answer:
            assert await answer.json() == {
                "profile": profile,
                "emotionAllowed": allowed,
                "keptSeconds": 600,
                "withoutConsentSeconds": 120,
            }

    async def test_metrics(self, edge: Edge, worker: EchoWorker, start_edge: EdgeFactory) -> None:
        async with edge.connect() as ws:
            talker = Talker(ws)
            await talker.send_frame()
            await talker.audio(4)
            async with edge.client.get(f"{edge.base}/metrics") as answer:
                text = await answer.text()
        assert "splitbrain_edge_connections 1.0" in text
        assert next(iter(worker.inputs)) not in text
        closed = await start_edge(public_metrics=False)
        async with closed.client.get(f"{closed.base}/metrics") as answer:
            assert answer.status == 404

    async def test_the_page_and_its_files(self, edge: Edge) -> None:
        async with edge.client.get(f"{edge.base}/") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Referrer-Policy"] == "no-referrer"
        async with edge.client.get(f"{edge.base}/static/main.js") as answer:
            assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
            etag = answer.headers["ETag"]
        async with edge.client.get(f"{edge.base}/static/main.js", headers={"If-None-Match": etag}) as answer:
            assert answer.status == 304

    @pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/"])
    async def test_nothing_else_is_served(self, edge: Edge, path: str) -> None:
        from yarl import URL

        async with edge.client.get(URL(edge.base + path, encoded=True)) as answer:
            assert answer.status == 404

    async def test_large_bodies_and_broken_requests_do_not_hurt(self, edge: Edge) -> None:
        async with edge.client.post(f"{edge.base}/api/tickets", data=b"x" * 200_000) as answer:
            assert answer.status == 200  # the body is never read
        assert await _refused(edge, headers={"Sec-WebSocket-Version": "99"}) == (426, "websocket_only")


class TestFullAndAway:
    async def test_nobody_serves(self, edge: Edge) -> None:
        async with edge.connect() as ws:
            talker = Talker(ws)
            assert await talker.closed() == 1013
            assert talker.messages == [b"\x05no voice worker serves echo now: try again in 5 s"]
        assert await edge.broker.client.keys("sb:{*") == []
        assert await edge.broker.client.zcard(EDGE_SESSIONS_KEY) == 0

    async def test_all_places_are_taken(self, edge: Edge, worker: EchoWorker) -> None:
        sockets = [await edge.connect() for _ in range(4)]
        for ws in sockets:
            await Talker(ws).next(0)
        async with edge.connect() as ws:
            talker = Talker(ws)
            assert await talker.closed() == 1013
            assert talker.messages[0].startswith(b"\x05all places are taken")
        await sockets[0].close()
        await worker.wait(lambda: len(worker.ended) == 1)
        async with edge.connect() as ws:
            assert await Talker(ws).next(0) == b""
        for ws in sockets:
            await ws.close()

    async def test_without_a_wish_the_next_engine_is_tried(self, start_edge: EdgeFactory, worker: EchoWorker) -> None:
        edge = await start_edge(engines="cascade,echo")
        async with edge.connect() as ws:
            assert await Talker(ws).next(0) == b""
        async with edge.connect("engine=cascade") as ws:
            assert await Talker(ws).closed() == 1013

    async def test_an_engine_that_never_gets_ready(self, start_edge: EdgeFactory, worker: EchoWorker) -> None:
        worker.hold_ready.clear()
        edge = await start_edge(start_timeout_s=0.2)
        async with edge.connect() as ws:
            talker = Talker(ws)
            assert await talker.closed() == 1013
            assert b"not ready" in talker.messages[-1]
        worker.hold_ready.set()
