"""English speech with Piper, clause by clause. This program uses GPL code (piper-tts): a process of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import numpy as np
import soxr
from piper.config import PiperConfig, SynthesisConfig
from piper.voice import PiperVoice

from services.voice_worker.hosts.onnx import session
from services.voice_worker.hosts.serve import Call, HostOptions, Loaded, run
from services.voice_worker.speech import frames, models
from services.voice_worker.speech.clauses import MAX_TEXT_CHARS
from services.voice_worker.speech.interfaces import SYNTHESIS_HZ, Pcm

MAX_CLAUSES: Final = 200
VOICE: Final = "joe"
GAIN: Final = 1.6  # the voice speaks at -25 dBFS with peaks of 0.57; clause-wise normalising would make it pump


class Piper:
    """One Piper voice. Output is 24 kHz whatever the voice's own rate."""

    def __init__(self, options: HostOptions) -> None:
        folder = models.checked_path("piper-joe", options.models_dir)
        config = PiperConfig.from_dict(json.loads((folder / "voice.onnx.json").read_text(encoding="utf-8")))
        self._voice = PiperVoice(session=session(folder / "voice.onnx", options.threads), config=config)
        self._length_scale = float(config.length_scale or 1.0)

    def speak(self, clause: str, speed: float) -> Pcm:
        """Return one clause as 24 kHz float32 of shape [n]; n is 0 when there is nothing to pronounce."""
        settings = SynthesisConfig(length_scale=self._length_scale / speed, normalize_audio=False)
        spoken = [chunk.audio_float_array for chunk in self._voice.synthesize(clause, settings)]
        if not spoken:
            return np.zeros(0, np.float32)
        audio: Pcm = soxr.resample(np.concatenate(spoken), self._voice.config.sample_rate, SYNTHESIS_HZ)
        return np.asarray(np.clip(audio * GAIN, -1.0, 1.0), dtype=np.float32)


def load(options: HostOptions) -> Loaded:
    """Check and load the voice, and speak once so that the first call is warm."""
    piper = Piper(options)

    def synthesize(call: Call) -> Iterator[frames.Message]:
        clauses = call.strings("clauses", MAX_CLAUSES, MAX_TEXT_CHARS)
        speed = call.number("speed", 0.5, 2.0)
        for index, clause in enumerate(clauses):
            yield {"clause": index, "pcm": frames.pcm_bytes(piper.speak(clause, speed))}

    piper.speak("Hello, I am ready when you are.", 1.0)
    return Loaded({"synthesize": synthesize}, {"voices": {"en": [VOICE]}})


if __name__ == "__main__":
    run("tts_piper", load)
