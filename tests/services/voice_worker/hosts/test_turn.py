"""smart-turn: a probability for any length of audio."""

from __future__ import annotations

import numpy as np
import pytest

from services.voice_worker.hosts.serve import Call, HostOptions
from services.voice_worker.hosts.turn import load
from services.voice_worker.speech import frames
from shared.errors import ModelMissing


@pytest.mark.models
def test_any_length_gives_a_probability(options: HostOptions, clip: np.ndarray) -> None:
    try:
        complete = load(options).operations["complete"]
    except ModelMissing:
        pytest.skip("smart-turn is optional: `splitbrain models install` brings it")
    for pcm in (clip, clip[:1_000], clip[:0], np.tile(clip, 5)):
        (answer,) = complete(Call({"pcm": frames.pcm_bytes(pcm)}))
        assert 0.0 <= answer["probability"] <= 1.0
