"""The listener over recorded voices: real speech and voice activity, a recogniser that says what it is told to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from services.command_line.offline_listener import as_customer, listen
from services.command_line.wav import read_wav
from services.evaluator.evaluation import evaluate_events
from services.evaluator.recording.importing import Said
from services.voice_worker.speech.interfaces import Recognition
from services.voice_worker.speech.words import spread
from shared.audio import FRAME_SAMPLES
from shared.errors import SpeechError
from shared.events import (
    Backchannel,
    Notice,
    Prosody,
    ProsodyMeasured,
    Transcript,
    TurnEnded,
    TurnStarted,
    VoiceToCoach,
)

SPEECH = Path(__file__).parents[2] / "fixtures" / "audio" / "en_human"


class Scripted:
    """Hears the same in whatever is said, after a few turns of the loop; fails if it is told to."""

    def __init__(self, error: SpeechError | None = None) -> None:
        self.calls: list[bool] = []
        self.error = error
        self.closed = False

    async def start(self) -> None:
        if self.error:
            raise self.error

    async def transcribe(self, pcm: np.ndarray, *, language: str, partial: bool) -> Recognition:
        self.calls.append(partial)
        for _ in range(20):
            await asyncio.sleep(0)
        return Recognition("How many people plan this?", spread("How many people plan this?", pcm), 0.9)

    async def aclose(self) -> None:
        self.closed = True


def voices() -> tuple[np.ndarray, np.ndarray]:
    """Return a seller who speaks first, and a customer who speaks behind him."""
    clip = read_wav(sorted(SPEECH.glob("*0880.wav"))[0])[: 2 * 24_000]
    n = (len(clip) + 2 * 24_000) // FRAME_SAMPLES * FRAME_SAMPLES
    seller, customer = np.zeros(2 * n, np.float32), np.zeros(2 * n, np.float32)
    seller[: len(clip)] = clip
    customer[n : n + len(clip)] = clip
    return seller, customer


async def test_both_voices_are_heard_in_their_order_and_the_same_each_time() -> None:
    recogniser = Scripted()
    said = await listen(voices(), "en", transcriber=recogniser)
    assert recogniser.closed
    assert not any(recogniser.calls), "nobody waits for a partial result"
    finals = [each.body for each in said if isinstance(each.body, Transcript) and each.body.final]
    assert [(body.turn, body.speaker) for body in finals] == [("u1", "user"), ("h1", "hugo")]
    assert finals[0].end_ms < finals[1].start_ms
    assert [each.body.turn for each in said if isinstance(each.body, VoiceToCoach)] == ["u1"]
    assert [each.media_ms for each in said] == sorted(each.media_ms for each in said)
    assert await listen(voices(), "en", transcriber=Scripted()) == said
    assert evaluate_events([]).data["turns"] == []


async def test_a_recogniser_that_does_not_start_is_ended() -> None:
    recogniser = Scripted(SpeechError("no model"))
    with pytest.raises(SpeechError):
        await listen(voices(), "en", transcriber=recogniser)
    assert recogniser.closed


def test_what_the_customers_listener_tells_is_hugos() -> None:
    assert as_customer(Said(TurnStarted("u3", "user", 1), 2)) == Said(TurnStarted("h3", "hugo", 1), 2)
    assert as_customer(Said(TurnEnded("u3", "user", 1, 2), 2)) == Said(TurnEnded("h3", "hugo", 1, 2), 2)
    assert as_customer(Said(Backchannel("user", "ja", 1, 2), 2)) == Said(Backchannel("hugo", "ja", 1, 2), 2)
    assert as_customer(Said(ProsodyMeasured("u3", 1, 2, Prosody()), 2)) is None
    notice = Said(Notice("x", "info", "x"), 2)
    assert as_customer(notice) is notice
