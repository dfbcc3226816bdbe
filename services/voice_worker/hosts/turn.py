"""End of turn by the sound of the voice, with smart-turn v3 (ONNX). Features are computed here; pipecat is not used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from services.voice_worker.hosts.mel import log_mel
from services.voice_worker.hosts.onnx import session
from services.voice_worker.hosts.serve import Call, HostOptions, Loaded, run
from services.voice_worker.speech import frames, models
from services.voice_worker.speech.interfaces import TRANSCRIBE_HZ, Pcm

WINDOW: Final = 8 * TRANSCRIBE_HZ


def load(options: HostOptions) -> Loaded:
    """Check and load the model, and run it once so that the first call is warm."""
    model = session(models.checked_path("smart-turn", options.models_dir) / "smart-turn.onnx", options.threads)

    def probability(pcm: Pcm) -> float:
        """The last 8 s, silence before it where it is shorter, at zero mean and unit variance."""
        audio = np.pad(pcm[-WINDOW:], (max(0, WINDOW - len(pcm)), 0))
        audio = (audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)
        answer = model.run(None, {"input_features": log_mel(audio.astype(np.float32))[np.newaxis]})[0]
        return float(np.clip(np.ravel(answer)[0], 0.0, 1.0))

    def complete(call: Call) -> Iterator[frames.Message]:
        yield {"probability": probability(frames.pcm_array(call.fields.get("pcm")))}

    probability(np.zeros(TRANSCRIBE_HZ, np.float32))
    return Loaded({"complete": complete}, {})


if __name__ == "__main__":
    run("turn", load)
