"""What every voice engine keeps, whatever it is: one frame out for each frame in, in order, never waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.voice_worker.engines.base import SessionSpec, VoiceEngine
from services.voice_worker.engines.cascade.engine import CascadeEngine, CascadeSettings
from services.voice_worker.engines.echo import EchoEngine
from services.voice_worker.engines.personaplex.build import build_engine
from services.voice_worker.settings import ENGINES, VoiceSettings
from shared.audio.opus import OpusDecoder
from shared.events import CoachToVoice
from shared.streams import new_session_id
from shared.testing.engine_host import RecordingHost
from shared.testing.tones import ToneSynthesizer
from shared.wire import AudioFrame


def make(name: str) -> VoiceEngine:
    if name == "echo":
        return EchoEngine(slots=3)
    if name == "personaplex":
        return build_engine(VoiceSettings(personaplex_model="tiny", personaplex_slots=3))
    return CascadeEngine(ToneSynthesizer(), CascadeSettings(slots=3, warm_languages=()))


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[VoiceEngine]:
    made = make(request.param)
    await made.start()
    yield made
    await made.aclose()


def spec(n: int = 1) -> SessionSpec:
    return SessionSpec(new_session_id(n), "any", "en")


def frame(n: int) -> AudioFrame:
    import numpy as np

    from shared.audio.opus import OpusEncoder

    return AudioFrame(n, 1920, OpusEncoder().encode(np.zeros(1920, np.float32)))


async def test_gives_one_frame_for_each_frame_in_order(engine: VoiceEngine) -> None:
    host = RecordingHost()
    session = await engine.open(spec(), host)
    for n in range(25):
        if n == 5:
            session.on_coach(CoachToVoice("u1", "Say this now."))
        session.feed(frame(n), f"1-{n}")
    await host.wait_for_frames(25)
    assert [consumed for _, _, consumed in host.frames] == [f"1-{n}" for n in range(25)]
    assert sum(n_samples for _, n_samples, _ in host.frames) == 25 * 1920
    decoder = OpusDecoder()
    for packets, n_samples, _ in host.frames:
        assert sum(len(decoder.decode(packet)) for packet in packets) == n_samples
    await session.close()


async def test_sessions_do_not_hear_each_other(engine: VoiceEngine) -> None:
    first, second = RecordingHost(), RecordingHost()
    one = await engine.open(spec(1), first)
    two = await engine.open(spec(2), second)
    one.on_coach(CoachToVoice("u1", "Only for the first."))
    for n in range(10):
        one.feed(frame(n), f"1-{n}")
        two.feed(frame(n), f"2-{n}")
    await first.wait_for_frames(10)
    await second.wait_for_frames(10)
    assert "first" not in str(second.events)
    assert second.failed == []
    await one.close()
    await two.close()


async def test_nothing_comes_after_close(engine: VoiceEngine) -> None:
    host = RecordingHost()
    session = await engine.open(spec(), host)
    session.feed(frame(0), "1-0")
    await host.wait_for_frames(1)
    await session.close()
    assert len(host.frames) == 1


async def test_says_its_name_and_slots(engine: VoiceEngine) -> None:
    assert engine.name in ENGINES
    assert engine.slots == 3
    assert engine.accepting
