"""Piper: a chunk for each clause, and none of sound where there is nothing to say."""

from __future__ import annotations

import numpy as np
import pytest

from services.voice_worker.hosts.serve import Call, HostOptions
from services.voice_worker.hosts.tts_piper import load
from services.voice_worker.speech import frames
from shared.errors import SpeechError


@pytest.mark.models
def test_each_clause_is_a_chunk(options: HostOptions) -> None:
    synthesize = load(options).operations["synthesize"]
    chunks = list(synthesize(Call({"clauses": ["Hello there.", "", "How are you?"], "speed": 1.0})))
    assert [chunk["clause"] for chunk in chunks] == [0, 1, 2]
    first, nothing, last = [frames.pcm_array(chunk["pcm"]) for chunk in chunks]
    for pcm in (first, last):
        assert 0.4 < len(pcm) / 24_000 < 2.5
        assert 0.3 < float(np.abs(pcm).max()) <= 1.0
    assert len(nothing) == 0
    with pytest.raises(SpeechError, match="speed"):
        next(synthesize(Call({"clauses": ["x"], "speed": 9.0})))
