"""The worker for tests does what a voice worker must."""

from __future__ import annotations

import asyncio

from shared.broker import Broker
from shared.broker.reader import Entries
from shared.events import EngineState, Event, SessionEnded
from shared.leases import RequestQueue
from shared.streams import new_session_id
from shared.testing.echo_worker import EchoWorker
from shared.wire import AudioFrame, decode_audio


async def test_it_takes_a_session_echoes_and_lets_go(real_broker: Broker) -> None:
    worker = EchoWorker(real_broker)
    task = asyncio.create_task(worker.run())
    sid = new_session_id(real_broker.clock.wall_ms())
    keys = real_broker.keys(sid)
    echoed: asyncio.Queue[AudioFrame] = asyncio.Queue()

    def on_audio(key: str, entries: Entries) -> None:
        for _, data in entries:
            echoed.put_nowait(decode_audio(data))

    try:
        await RequestQueue(real_broker).admit("sb:voice.echo", sid, {}, by_slots=False)
        real_broker.reader.subscribe(keys.audio_out, "0", on_audio)
        for seq in range(3):
            real_broker.publish_audio(keys.audio_in, AudioFrame(seq, 1920, (b"x%d" % seq,)))
        frames = [await asyncio.wait_for(echoed.get(), 5) for _ in range(3)]
        assert [(frame.seq, frame.epoch, frame.packets) for frame in frames] == [
            (seq, 1, (b"x%d" % seq,)) for seq in range(3)
        ]
        assert all(frame.consumed for frame in frames)
        events, _ = await real_broker.history(sid)
        assert [event.body for event in events] == [EngineState("ready", "echo")]
        end = Event("edge:session_ended", sid, "edge", 1, 240, 0, SessionEnded("client_closed"))
        real_broker.publish_event(keys, end)
        await worker.wait(lambda: sid in worker.ended)
        assert worker.sessions == {}
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
