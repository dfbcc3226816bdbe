"""The newest frame is that of the newest owner, not the last one written."""

from __future__ import annotations

from shared.broker import Broker
from shared.broker.frames import newest_frame
from shared.wire import AudioFrame


async def test_what_an_older_owner_wrote_behind_it_does_not_count(broker: Broker) -> None:
    for seq, epoch in ((7, 1), (8, 2), (9, 1)):
        broker.publish_audio("a", AudioFrame(seq, 1920, (b"x",), epoch=epoch))
    assert await broker.writer.drain()
    newest = await newest_frame(broker.client, "a", "audio.in")
    assert newest is not None
    assert (newest.seq, newest.epoch) == (8, 2)


async def test_what_cannot_be_read_is_passed_over(broker: Broker) -> None:
    assert await newest_frame(broker.client, "a", "audio.in") is None
    broker.writer.add("a", b"garbage", maxlen=10)
    assert await broker.writer.drain()
    await broker.client.xadd("a", {"other": "field"})
    assert await newest_frame(broker.client, "a", "audio.in") is None
