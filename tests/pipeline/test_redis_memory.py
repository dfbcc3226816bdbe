"""What a session costs Redis: so much a minute, never more than the bounds, and nothing after its time."""

from __future__ import annotations

import os

from shared.audio import FRAME_SAMPLES
from shared.broker import Broker
from shared.broker.broker import AUDIO_MAXLEN
from shared.events import Consent, Event, SessionEnded, Transcript
from shared.retention import Retention, consent_to_state
from shared.streams import SessionKeys, new_session_id
from shared.wire import AudioFrame, encode_audio

MINUTES = 5
FRAMES_A_MINUTE = 750
PACKET_BYTES = 80  # 20 ms at 32 kbit/s
KB_A_MINUTE = 650
"""docs/operations.md: 480 KB of packets in both directions, the rest for frames' headers and events."""


def _frame(seq: int) -> AudioFrame:
    packets = tuple(os.urandom(PACKET_BYTES) for _ in range(4))
    return AudioFrame(seq, FRAME_SAMPLES, packets, 1_800_000_000_000 + 80 * seq, 1, "1800000000000-0")


async def _memory(broker: Broker, keys: SessionKeys) -> int:
    return sum([await broker.client.memory_usage(key, samples=0) or 0 for key in keys.all()])


async def _talk(broker: Broker, keys: SessionKeys, session_id: str, minutes: int) -> None:
    for minute in range(minutes):
        for seq in range(minute * FRAMES_A_MINUTE, (minute + 1) * FRAMES_A_MINUTE):
            frame = _frame(seq)
            broker.publish_audio(keys.audio_in, frame)
            broker.publish_audio(keys.audio_out, frame)
            if seq % 4 == 0:  # three events a second: partial transcripts of a fast talker
                body = Transcript(
                    f"u{minute}", "user", "zo ongeveer dertig woorden in een beurt " * 3, False, 0, 1, "nl"
                )
                broker.publish_event(keys, Event(f"t{seq}", session_id, "voice", 1, seq * 80, 0, body))
            if seq % 50 == 0:
                assert await broker.writer.drain()
        assert await broker.writer.drain()


async def test_a_minute_of_a_session_costs_no_more_than_documented(real_broker: Broker) -> None:
    session_id = new_session_id(1)
    keys = real_broker.keys(session_id)
    await _talk(real_broker, keys, session_id, MINUTES)
    assert await real_broker.client.xlen(keys.audio_in) == MINUTES * FRAMES_A_MINUTE
    kb_a_minute = await _memory(real_broker, keys) / 1024 / MINUTES
    assert 2 * FRAMES_A_MINUTE * 4 * PACKET_BYTES / 1024 < kb_a_minute <= KB_A_MINUTE


async def test_a_stream_of_audio_is_never_longer_than_an_hour(real_broker: Broker) -> None:
    key = real_broker.keys(new_session_id(1)).audio_in
    data = encode_audio(AudioFrame(0, FRAME_SAMPLES, (b"\xf8\xff\xfe",)))
    for _ in range(AUDIO_MAXLEN // 5_000 + 2):
        for _ in range(5_000):
            real_broker.writer.add(key, data, maxlen=AUDIO_MAXLEN)
        assert await real_broker.writer.drain(10)
    assert AUDIO_MAXLEN <= await real_broker.client.xlen(key) <= AUDIO_MAXLEN + 200  # trimmed by whole nodes of 100


async def test_no_key_of_an_ended_session_is_there_for_ever(real_broker: Broker) -> None:
    session_id = new_session_id(1)
    keys = real_broker.keys(session_id)
    await _talk(real_broker, keys, session_id, 1)
    real_broker.publish_event(keys, Event("end", session_id, "edge", 1, 0, 0, SessionEnded("client_closed")))
    for key in (keys.scorecard, keys.dead):
        await real_broker.client.set(key, "{}")
    await real_broker.client.hset(keys.state, mapping=consent_to_state(Consent()))
    assert await real_broker.writer.drain()
    await real_broker.let_go(session_id, Retention(100, 30))
    there = [key async for key in real_broker.client.scan_iter(match=f"*{session_id}*")]
    assert len(there) == len(keys.all())
    assert all([0 < await real_broker.client.ttl(key) <= 30 for key in there])
