"""Moonshine: its token table, and a human sentence."""

from __future__ import annotations

import numpy as np
import pytest

from services.voice_worker.hosts.serve import Call, HostOptions
from services.voice_worker.hosts.stt_moonshine import load, token_table, written
from services.voice_worker.speech import frames
from shared.errors import SpeechError


def test_token_table_has_lengths_of_one_and_two_bytes() -> None:
    long = b"x" * 300
    data = b"\x02ab" + b"\x00" + bytes([128 + 300 % 128, 300 // 128]) + long
    assert token_table(data) == [b"ab", b"", long]


def test_quotation_marks_go_and_apostrophes_stay() -> None:
    assert (
        written("\"'That's▁it,▁isn't it?'\"  the customers' 'big' plan")
        == "That's it, isn't it? the customers' big' plan"
    )


@pytest.mark.models
def test_a_sentence_silence_and_noise(options: HostOptions, clip: np.ndarray) -> None:
    transcribe = load(options).operations["transcribe"]
    (heard,) = transcribe(Call({"pcm": frames.pcm_bytes(clip)}))
    assert heard["text"] == "He might even have been made amiable himself."
    assert heard["words"] is None
    assert heard["confidence"] > 0.9
    (nothing,) = transcribe(Call({"pcm": b""}))
    assert len(nothing["text"].split()) <= 1
    (stopped,) = transcribe(Call({"pcm": frames.pcm_bytes(clip)}, cancelled=True))
    assert stopped["text"] == ""
    with pytest.raises(SpeechError):
        next(transcribe(Call({"pcm": "text"})))
