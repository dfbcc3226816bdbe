"""Sessions on the tiny model: who gets a slot, with which voice and words, and what happens when the model fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from services.voice_worker.engines.base import Past, SessionSpec
from services.voice_worker.engines.personaplex.build import build_engine
from services.voice_worker.engines.personaplex.engine import OPEN_LIMIT_S
from services.voice_worker.engines.personaplex.model.batch import Batch
from services.voice_worker.engines.personaplex.model.priming import Prompt
from services.voice_worker.engines.personaplex.model.voice_files import CodesVoice
from services.voice_worker.engines.personaplex.primer import Primer
from services.voice_worker.settings import VoiceSettings
from shared.audio import FRAME_SAMPLES
from shared.audio.opus import OpusEncoder
from shared.errors import EngineError, SplitbrainError
from shared.events import CoachToVoice, DeliveryHints, Tone
from shared.wire import AudioFrame
from tests.services.voice_worker.engines.personaplex.conftest import Caller, MakeEngine


async def test_every_frame_is_answered_in_order(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine()).open()
    await caller.talk(20)
    assert [consumed for _, _, consumed in caller.host.frames] == [f"1-{n}" for n in range(20)]
    await caller.session.close()


async def test_another_language_is_refused(make_engine: MakeEngine) -> None:
    engine = await make_engine()
    caller = Caller(engine)
    caller._spec = type(caller._spec)("x" * 26, "personaplex", "nl")
    with pytest.raises(EngineError, match="English only"):
        await caller.open()


async def test_a_full_engine_says_so_and_a_slot_that_is_left_is_free_at_once(make_engine: MakeEngine) -> None:
    engine = await make_engine(slots=2)
    first, second = await Caller(engine, number=1).open(), await Caller(engine, number=2).open()
    with pytest.raises(EngineError, match="all slots"):
        await Caller(engine, number=3).open()
    await first.session.close()
    third = await Caller(engine, number=3).open()
    await third.talk(2)
    await second.talk(2)


async def test_a_session_says_the_same_whoever_is_beside_it(make_engine: MakeEngine) -> None:
    """Seed and sound decide; slots and neighbours do not."""
    alone = await Caller(await make_engine(slots=1, padding_bonus=0.0), seed=5).open()
    engine = await make_engine(slots=3, padding_bonus=0.0)
    neighbours = [await Caller(engine, number=n, seed=n).open() for n in (2, 3)]
    beside = await Caller(engine, seed=5).open()
    for _ in range(25):  # all at once: a frame that came late would be silence to the model
        for caller in (alone, *neighbours, beside):
            caller.send()
    for caller in (alone, neighbours[0], beside):
        await caller.host.wait_for_frames(25)
    assert beside.host.frames == alone.host.frames
    assert neighbours[0].host.frames[5:] != alone.host.frames[5:]


@pytest.mark.parametrize("voice", ["nobody", "../secret", "/etc/passwd", "a/b.pt", "x\x00y"])
async def test_unknown_voices_and_paths_are_refused(make_engine: MakeEngine, tmp_path: Path, voice: str) -> None:
    torch.save({"codes": torch.randint(0, 2048, (6, 8))}, tmp_path / "anna.pt")
    engine = await make_engine(voices=str(tmp_path))
    with pytest.raises(EngineError, match="anna"):
        await Caller(engine, voice=voice).open()
    assert len(engine._free) == 2


async def test_voices_are_read_at_the_start_and_a_bad_one_is_left_out(make_engine: MakeEngine, tmp_path: Path) -> None:
    clip = next((Path(__file__).parents[4] / "fixtures" / "audio" / "en_human").glob("*.wav"))
    (tmp_path / "reader.wav").write_bytes(clip.read_bytes())
    (tmp_path / "broken.pt").write_bytes(b"no voice")
    engine = await make_engine(voices=str(tmp_path))
    assert list(engine._library._loaded) == ["reader.wav"]
    await (await Caller(engine, voice="reader").open()).talk(2)
    with pytest.raises(EngineError, match="of no use"):
        await Caller(engine, voice="broken").open()


async def test_a_persona_that_does_not_fit_is_refused(make_engine: MakeEngine) -> None:
    engine = await make_engine()
    with pytest.raises(EngineError, match="too long"):
        await Caller(engine, persona="You sell bicycles to zebras. " * 60).open()
    await (await Caller(engine).open()).talk(2)


async def test_the_tone_chooses_the_voice_of_the_next_priming(make_engine: MakeEngine, tmp_path: Path) -> None:
    for name in ("anna.pt", "anna.challenging.pt"):
        torch.save({"codes": torch.randint(0, 2048, (6, 8))}, tmp_path / name)
    caller = await Caller(await make_engine(voices=str(tmp_path)), voice="anna").open()
    message = CoachToVoice("u1", "Why?", DeliveryHints(tone="challenging"), summary="You talked about price.")
    n_tokens = len(caller.session.seat.prompt.text_tokens)
    caller.session.on_coach(message)
    await caller.talk_until(lambda: _voice(caller) == "anna.challenging.pt")
    assert len(caller.session.seat.prompt.text_tokens) > n_tokens + 5


def _voice(caller: Caller) -> str:
    voice = caller.session.seat.prompt.voice
    assert isinstance(voice, CodesVoice)
    return voice.name


async def test_a_session_from_elsewhere_brings_its_past(make_engine: MakeEngine) -> None:
    rng = np.random.default_rng(3)
    encoder = OpusEncoder()
    frames = tuple(
        AudioFrame(n, FRAME_SAMPLES, encoder.encode(rng.normal(0, 0.1, FRAME_SAMPLES).astype(np.float32)), 0, 1, "7-7")
        for n in range(60)
    )
    past = Past(frames, frames, ((1600, "Hello"), (2000, "there")))
    caller = await Caller(await make_engine(), past=past, start_frame=60, hugo_turns=3).open()
    talk = caller.session.seat.talk
    assert talk.n_history == 60
    assert (talk.history[:, 0] != 3).sum() >= 3
    await caller.talk(3)
    assert talk.n_history == 63


async def test_a_model_that_fails_fails_its_sessions_and_admits_nobody(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await make_engine()
    caller = await Caller(engine).open()
    await caller.talk(2)

    def fail(batch: Batch, inputs: Any) -> Any:
        raise RuntimeError("the device is lost")

    monkeypatch.setattr(Batch, "tick", fail)
    caller.send()
    await _until(lambda: caller.host.failed)
    assert "the device is lost" in caller.host.failed[0]
    assert not engine.accepting
    await caller.session.close()
    assert "the device is lost" in engine.broken
    with pytest.raises(EngineError, match="restart"):
        await Caller(engine).open()


async def test_a_model_that_fails_while_it_is_primed_refuses_at_once(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await make_engine()

    def fail(primer: Primer) -> None:
        raise RuntimeError("the device is lost")

    monkeypatch.setattr(Primer, "work", fail)
    async with asyncio.timeout(OPEN_LIMIT_S / 2):
        with pytest.raises(EngineError, match="the device is lost"):
            await Caller(engine).open()
    assert len(engine._free) == 2


async def test_of_two_prompts_the_one_wanted_last_counts(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first takes longer to prepare than the second."""
    engine = await make_engine()
    caller = await Caller(engine).open()
    prepare, second_is_there = engine._prompt, asyncio.Event()

    async def slowly(spec: SessionSpec, tone: Tone, summary: str) -> Prompt:
        if summary == "First.":
            await second_is_there.wait()
        return await prepare(spec, tone, summary)

    monkeypatch.setattr(engine, "_prompt", slowly)
    caller.session.on_coach(CoachToVoice("u1", "Why?", summary="First."))
    (first,) = engine._renewing
    caller.session.on_coach(CoachToVoice("u2", "How?", summary="Second, and longer."))
    (second,) = engine._renewing - {first}
    await second
    wanted = caller.session.seat.prompt
    second_is_there.set()
    await first
    assert caller.session.seat.prompt is wanted


async def test_a_wrong_folder_of_voices_leaves_no_model_running(tmp_path: Path) -> None:
    engine = build_engine(VoiceSettings(personaplex_model="tiny", personaplex_voices=str(tmp_path / "none")))
    with pytest.raises(SplitbrainError, match="none"):
        await engine.start()
    assert not engine._loop._thread.is_alive()


async def _until(is_there: Any) -> None:
    async with asyncio.timeout(10):
        while not is_there():
            await asyncio.sleep(0.01)


async def test_a_model_that_cannot_be_found_is_named(tmp_path: Path) -> None:
    engine = build_engine(VoiceSettings(personaplex_model=str(tmp_path), personaplex_device="cpu"))
    with pytest.raises(EngineError, match="personaplex cannot start"):
        await engine.start()
    await engine.aclose()
