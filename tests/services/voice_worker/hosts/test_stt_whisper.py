"""Whisper: a human sentence with times of words, and long audio in windows."""

from __future__ import annotations

import numpy as np
import pytest

from services.voice_worker.hosts.serve import Call, HostOptions
from services.voice_worker.hosts.stt_whisper import _is_language, _joined, _windows, load
from services.voice_worker.speech import frames
from shared.errors import SpeechError


def test_language_tokens() -> None:
    assert [_is_language(token) for token in ("<|nl|>", "<|haw|>", "<|transcribe|>", "nl")] == [
        True,
        True,
        False,
        False,
    ]


def test_windows_keep_their_place_and_empty_ones_vanish() -> None:
    offsets = [offset for offset, _ in _windows(np.zeros(60 * 16_000, np.float32))]
    assert offsets[0] == 0.0
    assert len(offsets) >= 3
    heard = [
        (0.0, {"text": "a", "confidence": 0.9, "words": [("a", 0.1, 0.2, 0.9)]}),
        (20.0, {"text": "", "confidence": None, "words": []}),
        (40.0, {"text": "b", "confidence": 0.5, "words": [("b", 0.1, 0.2, 0.5)]}),
    ]
    joined = _joined(heard, partial=False)
    assert (joined["text"], joined["confidence"]) == ("a b", 0.5)
    assert joined["words"] == [("a", 0.1, 0.2, 0.9), ("b", 40.1, 40.2, 0.5)]
    assert _joined([], partial=False) == {"text": "", "confidence": None, "words": []}


@pytest.mark.models
def test_a_sentence(options: HostOptions, clip: np.ndarray) -> None:
    transcribe = load(options).operations["transcribe"]
    pcm = frames.pcm_bytes(clip)
    (final,) = transcribe(Call({"pcm": pcm, "language": "en", "partial": False}))
    (partial,) = transcribe(Call({"pcm": pcm, "language": "en", "partial": True}))
    assert final["text"] == partial["text"] == "He might even have been made amiable himself."
    assert partial["words"] is None
    times = {text: (start, end) for text, start, end, _ in final["words"]}
    assert 1.1 < times["made"][0] < 1.6
    assert 2.0 < times["himself."][0] < 2.4
    (silence,) = transcribe(Call({"pcm": frames.pcm_bytes(np.zeros(16_000, np.float32)), "language": "nl"}))
    assert len(silence["text"].split()) <= 2
    with pytest.raises(SpeechError, match="another language"):
        next(transcribe(Call({"pcm": pcm, "language": "xx"})))
