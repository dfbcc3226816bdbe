"""Local speech with real models in real processes: errors of words, first audio, and a death in mid-sentence."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import pytest_asyncio
import soxr

from services.voice_worker.speech import frames, local
from services.voice_worker.speech.host_life import HostSpec
from services.voice_worker.speech.local import (
    KOKORO,
    MOONSHINE,
    PIPER,
    LocalHosts,
    LocalOptions,
    LocalSynthesizer,
    LocalTranscriber,
    LocalTurnPredictor,
)
from shared.clock import ManualClock
from shared.errors import ModelCorrupt, ModelMissing, SpeechError, SpeechHostDied

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

ENGLISH = "That makes sense to me. And what happens if nothing changes over the next year, do you think? Tell me more."


def normal(text: str) -> str:
    words = re.sub(r"[^a-z ]", " ", text.lower().replace("'", "")).split()
    return " ".join("mister" if word == "mr" else word for word in words)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def transcriber() -> AsyncIterator[LocalTranscriber]:
    made = LocalTranscriber(LocalOptions(languages=("en",), nice=0))
    await made.start()
    yield made
    await made.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def synthesizer() -> AsyncIterator[LocalSynthesizer]:
    made = LocalSynthesizer(LocalOptions(languages=("en",), nice=0))
    await made.start()
    yield made
    await made.aclose()


async def spoken(synthesizer: LocalSynthesizer, text: str, language: str) -> np.ndarray:
    chunks = [pcm async for pcm in synthesizer.synthesize(text, language=language, voice="", speed=1.0)]
    return np.concatenate(chunks)


async def test_english_errors_of_words(transcriber: LocalTranscriber, clips: tuple) -> None:
    heard = [await transcriber.transcribe(clip.pcm, language="en", partial=False) for clip in clips]
    rate = jiwer.wer([normal(clip.text) for clip in clips], [normal(found.text) for found in heard])
    assert rate <= 0.10
    for clip, found in zip(clips, heard, strict=True):
        assert found.confidence is not None
        assert found.confidence > 0.5
        assert " ".join(word.text for word in found.words) == found.text
        assert 0.0 <= found.words[0].start_s < 0.6
        assert found.words[-1].end_s <= len(clip.pcm) / 16_000


async def test_silence_and_no_audio_have_no_words(transcriber: LocalTranscriber) -> None:
    for pcm in (np.zeros(0, np.float32), np.zeros(1_000, np.float32)):
        heard = await transcriber.transcribe(pcm, language="en", partial=True)
        assert len(heard.text.split()) <= 1


async def test_audio_that_is_longer_than_a_model_takes_is_heard_whole(
    transcriber: LocalTranscriber, clips: tuple
) -> None:
    pcm = np.concatenate([clip.pcm for clip in clips])
    heard = await transcriber.transcribe(pcm, language="en", partial=False)
    assert jiwer.wer(normal(" ".join(clip.text for clip in clips)), normal(heard.text)) <= 0.15


async def test_a_recogniser_killed_at_work_is_asked_again(transcriber: LocalTranscriber, clips: tuple) -> None:
    host = transcriber._hosts.started(MOONSHINE)
    assert host is not None
    assert host.pid is not None
    task = asyncio.create_task(transcriber.transcribe(clips[0].pcm, language="en", partial=False))
    await asyncio.sleep(0)
    os.kill(host.pid, signal.SIGKILL)
    assert "dashwood" in normal((await task).text)


async def test_english_speech_is_understood(synthesizer: LocalSynthesizer, transcriber: LocalTranscriber) -> None:
    pcm = await spoken(synthesizer, ENGLISH, "en")
    assert 4.0 < len(pcm) / 24_000 < 12.0
    assert 0.05 < float(np.sqrt(np.mean(np.square(pcm)))) < 0.2
    heard = await transcriber.transcribe(soxr.resample(pcm, 24_000, 16_000), language="en", partial=False)
    assert jiwer.wer(normal(ENGLISH), normal(heard.text)) <= 0.15


async def test_a_voice_killed_in_mid_sentence_goes_on_without_a_word_twice(
    synthesizer: LocalSynthesizer, transcriber: LocalTranscriber
) -> None:
    host = synthesizer._hosts.started(PIPER)
    assert host is not None
    chunks = []
    async with aclosing(synthesizer.synthesize(ENGLISH, language="en", voice="joe", speed=1.0)) as voice:
        async for pcm in voice:
            if not chunks:
                assert host.pid is not None
                os.kill(host.pid, signal.SIGKILL)
            chunks.append(pcm)
    assert host.restarts == 1
    heard = await transcriber.transcribe(
        soxr.resample(np.concatenate(chunks), 24_000, 16_000), language="en", partial=False
    )
    assert jiwer.wer(normal(ENGLISH), normal(heard.text)) <= 0.15


async def test_speed_changes_the_length(synthesizer: LocalSynthesizer) -> None:
    lengths = []
    for speed in (1.5, 0.75):
        voice = synthesizer.synthesize("How many people work there?", language="en", voice="joe", speed=speed)
        lengths.append(sum([len(pcm) async for pcm in voice]))
    assert lengths[0] * 1.5 < lengths[1]


async def test_wrong_requests_are_refused_with_the_choice(synthesizer: LocalSynthesizer) -> None:
    for language, voice, words in (("en", "anna", "joe"), ("fr", "", "en, nl")):
        with pytest.raises(SpeechError, match=words):
            await anext(synthesizer.synthesize("Hello", language=language, voice=voice, speed=1.0))
    with pytest.raises(SpeechError, match="in sentences"):
        await anext(synthesizer.synthesize("a " * 2_000, language="en", voice="", speed=1.0))
    assert [pcm async for pcm in synthesizer.synthesize(" ", language="en", voice="", speed=1.0)] == []


async def test_dutch_is_spoken_and_understood() -> None:
    options = LocalOptions(languages=("nl",), nice=0)
    synthesizer, transcriber = LocalSynthesizer(options), LocalTranscriber(options)
    try:
        await asyncio.gather(synthesizer.start(), transcriber.start())
        voice = synthesizer.synthesize(
            "Ik begrijp dat de prijs hoog lijkt.", language="nl", voice="im_nicola", speed=1.0
        )
        pcm = soxr.resample(np.concatenate([chunk async for chunk in voice]), 24_000, 16_000)
        heard = await transcriber.transcribe(pcm, language="nl", partial=False)
        assert {"begrijp", "prijs", "hoog"} <= set(normal(heard.text).split())
        assert all(word.confidence is not None for word in heard.words)
        assert heard.words[-1].end_s <= len(pcm) / 16_000 + 0.05
        partial = await transcriber.transcribe(pcm, language="nl", partial=True)
        assert "prijs" in normal(partial.text)
        assert 0.0 < synthesizer._hosts.started(KOKORO).info["real_time_factor"] < 10.0  # type: ignore[union-attr]
    finally:
        await synthesizer.aclose()
        await transcriber.aclose()


async def test_a_turn_that_is_cut_is_less_complete(clips: tuple) -> None:
    predictor = LocalTurnPredictor(LocalOptions(nice=0))
    try:
        await predictor.start()
    except ModelMissing:
        pytest.skip("smart-turn is optional: `splitbrain models install` brings it")
    pause = np.zeros(3_200, np.float32)
    try:
        whole = [await predictor.complete_probability(np.concatenate([c.pcm, pause])) for c in clips]
        cut = [await predictor.complete_probability(np.concatenate([c.pcm[: len(c.pcm) // 2], pause])) for c in clips]
    finally:
        await predictor.aclose()
    assert np.mean(whole) > np.mean(cut)
    assert all(0.0 <= probability <= 1.0 for probability in whole + cut)


async def test_a_corrupt_model_is_refused_and_a_missing_one_is_named(tmp_path: Path) -> None:
    installed = local.models.default_models_dir()
    local.models.ensure(["moonshine-tiny-en"])
    shutil.copytree(installed / "moonshine-tiny-en", tmp_path / "moonshine-tiny-en")
    with (tmp_path / "moonshine-tiny-en" / "encoder_model.ort").open("r+b") as weights:
        weights.seek(100)
        weights.write(b"\0tampered")
    clock = ManualClock()
    hosts = LocalHosts(LocalOptions(models_dir=tmp_path), clock)
    with pytest.raises(ModelCorrupt, match="expected 94e90a46"):
        await hosts.get(MOONSHINE)
    (tmp_path / "moonshine-tiny-en" / "encoder_model.ort").unlink()
    with pytest.raises(ModelCorrupt):
        await hosts.get(MOONSHINE)  # not tried again at once
    await clock.advance(local.RETRY_S + 1.0)
    host = await hosts.get(MOONSHINE)  # brought again from its package
    assert host.pid is not None
    await hosts.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(host.pid or 0, 0)


class StubHost:
    """A voice that speaks one sample for each clause, and dies before the clauses called in `deadly`."""

    def __init__(self, said: list[str], deadly: set[str], real_time_factor: float = 0.1) -> None:
        self.said, self.deadly, self.info = said, deadly, {"real_time_factor": real_time_factor}

    async def stream(
        self, op: str, fields: dict[str, Any], *, timeout_s: float
    ) -> AsyncGenerator[dict[str, Any], None]:
        for clause in fields["clauses"]:
            if clause in self.deadly:
                raise SpeechHostDied("killed")
            self.said.append(f"{fields['voice']}: {clause}")
            yield {"pcm": frames.pcm_bytes(np.ones(1, np.float32))}


def stubbed(monkeypatch: pytest.MonkeyPatch, hosts: dict[str, StubHost]) -> LocalSynthesizer:
    async def get(self: LocalHosts, spec: HostSpec) -> StubHost:
        if spec.module not in hosts:
            raise ModelMissing(f"{spec.module} is not here")
        return hosts[spec.module]

    monkeypatch.setattr(LocalHosts, "get", get)
    return LocalSynthesizer()


async def test_a_clause_that_kills_a_voice_twice_is_spoken_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    hosts = {"tts_kokoro": StubHost(said, {"Twee."}), "tts_espeak": StubHost(said, set())}
    synthesizer = stubbed(monkeypatch, hosts)
    async for _ in synthesizer.synthesize("Een. Twee. Drie.", language="nl", voice="", speed=1.0):
        pass
    assert said == ["im_nicola: Een.", "espeak: Twee.", "espeak: Drie."]


async def test_without_another_voice_the_death_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    synthesizer = stubbed(monkeypatch, {"tts_piper": StubHost(said, {"Two."})})
    with pytest.raises(SpeechHostDied):
        async for _ in synthesizer.synthesize("One. Two. Three.", language="en", voice="", speed=1.0):
            pass
    assert said == ["joe: One."]


@pytest.mark.parametrize(("fallback", "voice"), [(True, "espeak"), (False, "im_nicola")])
async def test_a_voice_slower_than_speech_gives_way_where_another_is(
    monkeypatch: pytest.MonkeyPatch, fallback: bool, voice: str
) -> None:
    said: list[str] = []
    hosts = {"tts_kokoro": StubHost(said, set(), real_time_factor=3.0)}
    if fallback:
        hosts["tts_espeak"] = StubHost(said, set())
    async for _ in stubbed(monkeypatch, hosts).synthesize("Hallo.", language="nl", voice="", speed=1.0):
        pass
    assert said == [f"{voice}: Hallo."]
