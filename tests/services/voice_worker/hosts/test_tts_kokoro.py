"""Kokoro: silence at the ends of a clause goes; one word is spoken by each voice."""

from __future__ import annotations

import numpy as np
import pytest

from services.voice_worker.hosts.serve import Call, HostOptions
from services.voice_worker.hosts.tts_kokoro import PAUSE_S, load, trimmed
from services.voice_worker.speech import frames
from shared.errors import SpeechError


def test_silence_is_cut_to_a_pause() -> None:
    pcm = np.concatenate([np.zeros(12_000), np.full(2_400, 0.5), np.zeros(12_000)]).astype(np.float32)
    left = trimmed(pcm)
    assert 2_400 < len(left) <= 2_400 + 1.3 * PAUSE_S * 24_000
    assert len(trimmed(np.zeros(100, np.float32))) == 0


@pytest.mark.models
def test_both_voices_speak_dutch_only(options: HostOptions) -> None:
    loaded = load(options)
    synthesize = loaded.operations["synthesize"]
    assert loaded.info["real_time_factor"] > 0.0
    for voice in ("im_nicola", "if_sara"):
        call = Call({"clauses": ["Goedemorgen.", "..."], "voice": voice, "language": "nl", "speed": 1.0})
        word, nothing = [frames.pcm_array(chunk["pcm"]) for chunk in synthesize(call)]
        assert 0.4 < len(word) / 24_000 < 2.0
        assert 0.03 < float(np.sqrt(np.mean(np.square(word)))) < 0.25
        assert len(nothing) == 0
    for wrong in ({"voice": "joe", "language": "nl"}, {"voice": "im_nicola", "language": "en"}):
        with pytest.raises(SpeechError, match="Kokoro"):
            next(synthesize(Call({"clauses": ["x"], "speed": 1.0, **wrong})))
