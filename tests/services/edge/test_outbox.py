"""What waits for a slow client, and WebSocket frames."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from services.edge.outbox import Outbox, websocket_frame
from shared.wire import AudioFrame


def _frame(seq: int) -> AudioFrame:
    return AudioFrame(seq, 1920, (b"x",))


def test_order_is_kept() -> None:
    box = Outbox()
    box.put_audio(_frame(0), 0.0)
    assert box.put(b"text")
    box.put_audio(_frame(1), 0.0)
    assert [box.take() for _ in range(len(box))] == [_frame(0), b"text", _frame(1)]
    assert not box


def test_late_audio_gives_way_and_messages_do_not() -> None:
    box = Outbox(max_wait_s=0.2)
    assert box.put(b"first")
    for seq in range(5):
        box.put_audio(_frame(seq), seq * 0.09)
        assert box.put(b"m%d" % seq)
    items = [box.take() for _ in range(len(box))]
    assert items == [b"first", b"m0", b"m1", _frame(2), b"m2", _frame(3), b"m3", _frame(4), b"m4"]
    assert box.shed_frames == 2


def test_many_frames_at_once_are_not_late_and_yet_bounded() -> None:
    box = Outbox(max_wait_s=2.0, max_frames=100)
    for seq in range(100):
        box.put_audio(_frame(seq), 5.0)
    assert box.shed_frames == 0
    box.put_audio(_frame(100), 5.0)
    assert (len(box), box.shed_frames) == (100, 1)
    box.put_audio(_frame(101), 7.1)
    assert [box.take() for _ in range(len(box))] == [_frame(101)]


def test_messages_have_a_bound_too() -> None:
    box = Outbox(max_bytes=10)
    assert box.put(b"12345")
    assert box.put(b"12345")
    assert not box.put(b"1")
    box.take()
    assert box.put(b"1")


@given(st.lists(st.sampled_from(["frame", "message", "take"]), max_size=200))
def test_bounds_always_hold_and_no_message_is_lost(steps: list[str]) -> None:
    box, waiting = Outbox(max_frames=4, max_bytes=40), []
    for n, step in enumerate(steps):
        if step == "frame":
            box.put_audio(_frame(n), n * 0.01)
        elif step == "message":
            message = b"%04d" % n
            waiting += [message] if box.put(message) else []
        elif box and isinstance(item := box.take(), bytes):
            assert item == waiting.pop(0)
        assert len(box) - len(waiting) <= 4
        assert len(waiting) <= 10
    rest = [box.take() for _ in range(len(box))]
    assert [item for item in rest if isinstance(item, bytes)] == waiting


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
async def test_a_real_client_reads_the_frames(size: int) -> None:
    async def handle(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        assert request.transport is not None
        request.transport.write(websocket_frame(b"x" * size) + websocket_frame(b"next"))
        await ws.receive()
        return ws

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestServer(app) as server, TestClient(server) as client, client.ws_connect("/") as ws:
        assert await ws.receive_bytes(timeout=5) == b"x" * size
        assert await ws.receive_bytes(timeout=5) == b"next"
