"""Conversations of a real client through a real edge, a real Redis and a worker that echoes."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from services.edge import hub
from shared.audio.ogg import OggOpusMuxer
from shared.broker import Broker
from shared.events import (
    Body,
    Consent,
    ConsentChanged,
    Event,
    Notice,
    ScorecardReady,
    SessionEnded,
    SessionStarted,
    Spoken,
)
from shared.streams import EDGE_SESSIONS_KEY
from shared.testing.echo_worker import EchoWorker
from shared.testing.talker import Talker
from shared.wire import AudioFrame, decode_audio

if TYPE_CHECKING:
    from tests.services.edge.conftest import Edge, EdgeFactory


async def _sid(worker: EchoWorker) -> str:
    await worker.wait(lambda: bool(worker.sessions))
    return next(iter(worker.sessions))


async def _bodies(broker: Broker, sid: str) -> list[Body]:
    events, _ = await broker.history(sid)
    return [event.body for event in events]


async def _event(talker: Talker, kind: str) -> dict[str, Any]:
    """Return the next kind-4 event of this kind."""
    while True:
        value = json.loads(await talker.next(4))
        if value.get("body", value)["kind"] == kind:
            return dict(value)


def _transport(ws: aiohttp.ClientWebSocketResponse) -> Any:
    assert ws._response is not None
    assert ws._response.connection is not None
    return ws._response.connection.transport


class TestTalking:
    async def test_a_stock_client_talks(self, edge: Edge, worker: EchoWorker) -> None:
        async with edge.connect() as ws:
            talker = Talker(ws)
            assert await asyncio.wait_for(ws.receive_bytes(), 5) == b"\x00"
            await talker.send_frame(20)
            assert await talker.audio(80) == talker.sent
            assert {message[0] for message in talker.messages} == {1}
        await worker.wait(lambda: len(worker.ended) == 1)
        assert list(worker.ended.values()) == [SessionEnded("client_closed")]

    async def test_audio_before_the_handshake_is_kept(self, edge: Edge, worker: EchoWorker) -> None:
        worker.hold_ready.clear()
        async with edge.connect() as ws:
            talker = Talker(ws)
            await talker.send_frame(50)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ws.receive(), 0.2)
            worker.hold_ready.set()
            assert await talker.next(0) == b""
            assert await talker.audio(200) == talker.sent

    async def test_each_frame_is_one_message_out(self, edge: Edge, worker: EchoWorker) -> None:
        async with edge.connect() as ws:
            talker = Talker(ws)
            await talker.next(0)
            await talker.next(1)  # the Ogg headers
            await talker.send_frame(10)
            for _ in range(10):
                assert (await talker.next(1)).count(b"OggS") == 1

    async def test_frames_on_the_stream(self, edge: Edge, worker: EchoWorker) -> None:
        async with edge.connect() as ws:
            talker = Talker(ws)
            await talker.send_frame(5)
            sid = await _sid(worker)
            await worker.wait(lambda: len(worker.inputs[sid]) == 5)
        frames = worker.inputs[sid]
        assert [frame.seq for frame in frames] == [0, 1, 2, 3, 4]
        assert [packet for frame in frames for packet in frame.packets] == talker.sent
        assert {frame.n_samples for frame in frames} == {1920}
        assert all(frame.capture_ms > 1_700_000_000_000 for frame in frames)

    async def test_the_first_event_and_the_state(self, edge: Edge, worker: EchoWorker) -> None:
        query = "language=en&locale=en-GB&voice_prompt=NATM1.pt&text_prompt=Hi&seed=7&mode=free&consent_store_audio=1"
        async with edge.connect(query):
            sid = await _sid(worker)
            (started, *_) = await _bodies(worker.broker, sid)
            state = await worker.broker.client.hgetall(worker.broker.keys(sid).state)
        assert started == SessionStarted(
            engine="echo",
            language="en",
            locale="en-GB",
            voice="NATM1.pt",
            persona="Hi",
            profile="workplace",
            consent=Consent(store_audio=True),
            mode="free",
            seed=7,
        )
        assert state[b"status"] == b"live"
        assert (state[b"engine"], state[b"seed"], state[b"user"]) == (b"echo", b"7", b"local")

    async def test_coach_and_evaluator_are_asked(self, edge: Edge, worker: EchoWorker) -> None:
        async with edge.connect() as ws:
            await Talker(ws).next(0)
            sid = await _sid(worker)
            for stream in ("sb:coach", "sb:evaluator"):
                ((_, fields),) = await worker.broker.client.xrange(stream)
                assert fields[b"sid"].decode() == sid

    async def test_words_and_hints(self, edge: Edge, worker: EchoWorker) -> None:
        async with edge.connect() as stock, edge.connect("events=1") as ours:
            await worker.wait(lambda: len(worker.sessions) == 2)
            for sid in worker.sessions:
                worker.publish(sid, Spoken("h1", " Hallo", 0), "voice:spoken:h1:0")
                worker.publish(sid, Spoken("h1", " Hallo", 0), "voice:spoken:h1:0")
                worker.publish(sid, Spoken("h1", " daar", 80), "voice:spoken:h1:1")
            for ws in (stock, ours):
                talker = Talker(ws)
                assert [await talker.next(2), await talker.next(2)] == [b" Hallo", b" daar"]
                kinds = {message[0] for message in talker.messages}
                assert (4 in kinds) == (ws is ours)

    async def test_frames_of_an_older_owner_and_repeats_do_not_reach_the_client(
        self, edge: Edge, worker: EchoWorker
    ) -> None:
        async with edge.connect() as ws:
            talker = Talker(ws)
            sid = await _sid(worker)
            for seq, epoch in [(0, 1), (1, 1), (1, 1), (2, 2), (3, 1), (3, 2)]:
                worker.send(sid, AudioFrame(seq, 1920, (b"\x48%d.%d" % (seq, epoch),), epoch=epoch))
            assert await talker.audio(4) == [b"\x480.1", b"\x481.1", b"\x482.2", b"\x483.2"]


class TestClientsMistakes:
    async def test_text_frames_are_told_once(self, edge: Edge, worker: EchoWorker) -> None:
        async with edge.connect() as ws:
            talker = Talker(ws)
            await talker.next(0)
            await ws.send_str("hello")
            await ws.send_str("hello?")
            assert b"binary" in await talker.next(5)
            await talker.send_frame()
            assert await talker.audio(4) == talker.sent
            assert [message[0] for message in talker.messages].count(5) == 1

    async def test_garbage_then_a_good_stream(self, edge: Edge, worker: EchoWorker) -> None:
        async with edge.connect() as ws:
            talker = Talker(ws)
            await ws.send_bytes(b"\x01" + bytes(1000))
            assert b"Ogg-Opus" in await talker.next(5)
            await talker.send_frame(2)
            assert await talker.audio(8) == talker.sent

    async def test_a_message_beyond_the_limit_closes_with_1009(self, edge: Edge, worker: EchoWorker) -> None:
        async with edge.connect() as ws:
            talker = Talker(ws)
            await talker.next(0)
            await ws.send_bytes(b"\x01" + bytes(70_000))
            assert await talker.closed() == 1009
        await worker.wait(lambda: len(worker.ended) == 1)
        assert next(iter(worker.ended.values())).reason == "limit"

    async def test_too_fast_audio(self, start_edge: EdgeFactory, worker: EchoWorker) -> None:
        edge = await start_edge(input_burst_s=0.8, max_dropped_s=4, messages_per_s=1000)
        async with edge.connect("events=1") as ws:
            talker, muxer = Talker(ws), OggOpusMuxer(1)
            await ws.send_bytes(b"\x01" + muxer.head())
            for _ in range(100):
                await ws.send_bytes(b"\x01" + muxer.pages([b"\x48abc"] * 4, 1920))
            notice = await _event(talker, "notice")
            assert notice["body"]["code"] == "input_too_fast"
            assert await talker.closed() == 1008
        await worker.wait(lambda: len(worker.ended) == 1)
        (sid,) = worker.ended
        await edge.broker.writer.drain()
        entries = await worker.broker.client.xrange(worker.broker.keys(sid).audio_in)
        frames = [decode_audio(fields[b"m"]) for _, fields in entries]
        assert [frame.seq for frame in frames] == list(range(len(frames)))
        assert 10 <= len(frames) <= 20

    async def test_a_client_that_does_not_read_loses_audio_and_then_its_connection(
        self, edge: Edge, worker: EchoWorker
    ) -> None:
        async with edge.connect("events=1") as ws:
            await Talker(ws).next(0)
            sid = await _sid(worker)
            transport = _transport(ws)
            transport.pause_reading()
            for seq in range(1500):
                worker.send(sid, AudioFrame(seq, 1920, (b"\x48" + bytes(1200),), epoch=1))
                if seq % 50 == 0:
                    await worker.broker.writer.drain()
            for n in range(100):
                worker.publish(sid, Spoken("h1", "x" * 20_000, 0), f"voice:spoken:{n}")
            await worker.wait(lambda: sid in worker.ended)
            assert worker.ended[sid].reason == "limit"
            transport.abort()
        told = [body for body in await _bodies(worker.broker, sid) if isinstance(body, Notice)]
        assert [notice.code for notice in told] == ["output_late"] * len(told)
        assert sum(notice.count for notice in told) > 100

    async def test_a_slow_client_gets_the_newest_audio_and_every_word(self, edge: Edge, worker: EchoWorker) -> None:
        async with edge.connect("events=1") as ws:
            talker = Talker(ws)
            await talker.next(0)
            sid = await _sid(worker)
            _transport(ws).pause_reading()
            for seq in range(1500):
                packet = b"\x48" + seq.to_bytes(4, "big") + bytes(1200)
                worker.send(sid, AudioFrame(seq, 1920, (packet,), epoch=1))
                if seq % 50 == 0:
                    worker.publish(sid, Spoken("h1", f" {seq}", 0), f"voice:spoken:{seq}")
                    await worker.broker.writer.drain()
            worker.publish(sid, Spoken("h1", " end", 0), "voice:spoken:end")
            _transport(ws).resume_reading()
            while (await talker.next(2)) != b" end":
                pass
            words = [message[1:].decode() for message in talker.messages if message[0] == 2]
            assert words == [*(f" {seq}" for seq in range(0, 1500, 50)), " end"]
            assert (await _event(talker, "notice"))["body"]["code"] == "output_late"
            audio = talker.packets_so_far()
            numbers = [int.from_bytes(packet[1:5], "big") for packet in audio]
            assert numbers == sorted(set(numbers))
            assert numbers[-1] == 1499
            assert len(numbers) < 1400


class TestCommands:
    async def test_consent(self, start_edge: EdgeFactory, worker: EchoWorker) -> None:
        edge = await start_edge(profile="personal_training")
        async with edge.connect("events=1") as ws:
            talker = Talker(ws)
            sid = await _sid(worker)
            await ws.send_bytes(b'\x04{"type":"consent","storeTranscript":true,"emotion":true}')
            changed = await _event(talker, "consent_changed")
            assert changed["body"]["consent"] == {"storeAudio": False, "storeTranscript": True, "emotion": True}
            await ws.send_bytes(b'\x04{"type":"consent","emotion":false}')
            await _event(talker, "consent_changed")
        await edge.broker.writer.drain()
        bodies = await _bodies(worker.broker, sid)
        assert [body.consent for body in bodies if isinstance(body, ConsentChanged)] == [
            Consent(store_transcript=True, emotion=True),
            Consent(store_transcript=True),
        ]

    async def test_a_consent_that_redis_did_not_take_is_written_later(
        self, start_edge: EdgeFactory, worker: EchoWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hub, "TICK_S", 0.02)
        edge = await start_edge()
        records, failures = edge.app._doors.records, [ConnectionError(), ConnectionError()]
        write = records.set_consent

        async def fail_first(session_id: str, consent: Consent) -> None:
            if failures:
                raise failures.pop()
            await write(session_id, consent)

        monkeypatch.setattr(records, "set_consent", fail_first)
        async with edge.connect("events=1&consent_store_audio=1") as ws:
            state = worker.broker.keys(await _sid(worker)).state
            await ws.send_bytes(b'\x04{"type":"consent","storeAudio":false}')
            await _event(Talker(ws), "consent_changed")
            async with asyncio.timeout(5):
                while await worker.broker.client.hget(state, "consent_store_audio") != b"0":
                    await asyncio.sleep(0)

    @pytest.mark.parametrize("profile", ["workplace", "education"])
    async def test_emotion_stays_off_where_it_is_unlawful(
        self, start_edge: EdgeFactory, worker: EchoWorker, profile: str
    ) -> None:
        edge = await start_edge(profile=profile)
        async with edge.connect("events=1&consent_emotion=1") as ws:
            talker = Talker(ws)
            assert (await _event(talker, "notice"))["body"]["code"] == "emotion_locked"
            await ws.send_bytes(b'\x04{"type":"consent","storeAudio":true,"emotion":true}')
            consent = (await _event(talker, "consent_changed"))["body"]["consent"]
            assert consent == {"storeAudio": True, "storeTranscript": False, "emotion": False}
            (started, *_) = await _bodies(worker.broker, await _sid(worker))
        assert isinstance(started, SessionStarted)
        assert not started.consent.emotion

    async def test_a_bad_command_changes_nothing(self, edge: Edge, worker: EchoWorker) -> None:
        async with edge.connect() as ws:
            talker = Talker(ws)
            sid = await _sid(worker)
            await ws.send_bytes(b'\x04{"type":"consent","everything":true}')
            assert b"everything" in await talker.next(5)
        assert not [body for body in await _bodies(worker.broker, sid) if isinstance(body, ConsentChanged)]

    async def test_end_waits_for_the_scorecard(self, edge: Edge, worker: EchoWorker) -> None:
        async with edge.connect("events=1") as ws:
            talker = Talker(ws)
            await talker.send_frame(3)
            await talker.audio(12)
            await ws.send_bytes(b'\x04{"type":"end"}')
            await worker.wait(lambda: len(worker.ended) == 1)
            sid = next(iter(worker.ended))
            card = Event("evaluator:card", sid, "evaluator", 1, 240, 0, ScorecardReady("1", {"total": 7}))
            worker.broker.publish_event(worker.broker.keys(sid), card)
            assert (await _event(talker, "scorecard"))["body"]["scorecard"] == {"total": 7}
            assert await talker.closed() == 1000
        ended = [body for body in await _bodies(worker.broker, sid) if isinstance(body, SessionEnded)]
        assert ended == [SessionEnded("client_closed")]


class TestLife:
    async def test_an_idle_client_is_sent_away(self, start_edge: EdgeFactory, worker: EchoWorker) -> None:
        edge = await start_edge(idle_s=0.5)
        async with edge.connect() as ws:
            talker = Talker(ws)
            assert await talker.closed() == 1000
            assert b"nothing came from you" in talker.messages[-1]
        await worker.wait(lambda: len(worker.ended) == 1)
        assert next(iter(worker.ended.values())).reason == "idle"

    async def test_the_longest_conversation(self, start_edge: EdgeFactory, worker: EchoWorker) -> None:
        edge = await start_edge(max_session_s=0.5)
        async with edge.connect() as ws:
            assert await Talker(ws).closed() == 1000
        await worker.wait(lambda: len(worker.ended) == 1)
        assert next(iter(worker.ended.values())).reason == "max_time"

    async def test_the_worker_ends_the_session(self, edge: Edge, worker: EchoWorker) -> None:
        async with edge.connect() as ws:
            talker = Talker(ws)
            sid = await _sid(worker)
            worker.publish(sid, SessionEnded("engine_failed", "the model is gone"), "voice:ended")
            assert await talker.closed() == 1011
            assert talker.messages[-1] == b"\x05the model is gone"
        ended = [body for body in await _bodies(worker.broker, sid) if isinstance(body, SessionEnded)]
        assert len(ended) == 1

    async def test_after_the_end_the_keys_expire_and_the_request_is_gone(
        self, start_edge: EdgeFactory, worker: EchoWorker
    ) -> None:
        edge = await start_edge(retention_s=100, retention_without_consent_s=20)
        async with edge.connect() as ws:
            talker = Talker(ws)
            await talker.send_frame()
            await talker.audio(4)
            sid = await _sid(worker)
        await edge.until_idle()
        client = worker.broker.client
        keys = worker.broker.keys(sid)
        for key in (keys.audio_in, keys.audio_out, keys.events, keys.state):
            assert 0 < await client.ttl(key) <= 20
        assert await client.hget(keys.state, "status") == b"ended"
        assert await client.zcard(EDGE_SESSIONS_KEY) == 0
        await worker.wait(lambda: not worker.sessions)

    async def test_a_request_that_nobody_took_is_withdrawn(self, edge: Edge, worker: EchoWorker) -> None:
        worker.hold_ready.clear()
        async with edge.connect():
            pass
        await edge.until_idle()
        assert await worker.broker.client.xlen("sb:voice.echo") == 0
