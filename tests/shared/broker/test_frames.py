"""What counts in an audio stream that more than one owner has written to."""

from __future__ import annotations

from shared.broker import Broker
from shared.broker.frames import FrameFilter, fence, frames_that_count, newest_frame
from shared.wire import AudioFrame


def _frame(seq: int, epoch: int = 1) -> AudioFrame:
    return AudioFrame(seq, 1920, (b"x",), epoch=epoch)


def test_what_an_older_owner_writes_behind_a_fence_is_void() -> None:
    first, second, stale, new = _frame(0), _frame(1), _frame(2), _frame(2, epoch=2)
    assert frames_that_count([first, second, fence(2), stale, new, new]) == [first, second, new]


def test_numbers_begin_again_with_a_newer_owner() -> None:
    late, new = _frame(7), _frame(7, epoch=2)
    assert frames_that_count([late, new, _frame(6, epoch=2)]) == [late, new]


def test_the_filter_goes_on_behind_the_last_frame_taken_in() -> None:
    frames = FrameFilter(_frame(7, epoch=2))
    assert [frames.accepts(each) for each in (_frame(8), _frame(7, epoch=2), _frame(8, epoch=2))] == [
        False,
        False,
        True,
    ]


async def test_a_fence_is_not_the_newest_frame(broker: Broker) -> None:
    for each in (_frame(7), fence(2), _frame(8)):
        broker.publish_audio("a", each)
    assert await broker.writer.drain()
    assert await newest_frame(broker.client, "a", "audio.in") == _frame(7)


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
