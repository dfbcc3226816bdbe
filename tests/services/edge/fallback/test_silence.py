"""Silence for each frame in, on the streams."""

from __future__ import annotations

from services.edge.fallback.silence import SilentVoice
from shared.audio.silence import SILENT_PACKETS
from shared.broker import Broker
from shared.broker.append import FIELD
from shared.streams import new_session_id
from shared.wire import AudioFrame, decode_audio


async def test_each_frame_in_is_answered_once_and_named(real_broker: Broker) -> None:
    broker = real_broker
    keys = broker.keys(new_session_id(1))
    voice = SilentVoice(broker, keys)
    for seq, epoch in ((3, 1), (4, 1), (4, 1), (5, 1), (5, 2), (6, 1)):  # 5 again: the client's next connection
        broker.publish_audio(keys.audio_in, AudioFrame(seq, 1920, (b"\x48a",), epoch=epoch))
    await broker.writer.drain()
    ids = [entry_id.decode() for entry_id, _ in await broker.client.xrange(keys.audio_in)]
    assert not voice.is_active
    voice.start(ids[0], 7, epoch=5)
    assert voice.is_active
    out: list[AudioFrame] = []
    while len(out) < 3:
        await broker.client.xread({keys.audio_out: "0"}, block=1000)
        out = [decode_audio(fields[FIELD]) for _, fields in await broker.client.xrange(keys.audio_out)]
    voice.stop()
    assert [(frame.seq, frame.epoch, frame.consumed) for frame in out] == [
        (7, 5, ids[1]),
        (8, 5, ids[3]),
        (9, 5, ids[4]),
    ]
    assert {frame.packets for frame in out} == {SILENT_PACKETS}
