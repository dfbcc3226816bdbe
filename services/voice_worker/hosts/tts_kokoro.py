"""Dutch speech: Kokoro-82M with espeak's Dutch phonemes. Uses GPL code (piper-tts' phonemizer): a process of its own.

Kokoro was never taught Dutch: it speaks it understandably, with an accent. On two cores it computes about twice as fast
as it talks, so it works in short clauses, and says at start how fast this machine is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import numpy as np
from piper.phonemize_espeak import EspeakPhonemizer

from services.voice_worker.hosts.kokoro_tokens import dutch_tokens
from services.voice_worker.hosts.onnx import session
from services.voice_worker.hosts.serve import Call, HostOptions, Loaded, run
from services.voice_worker.speech import frames, models
from services.voice_worker.speech.clauses import MAX_TEXT_CHARS
from services.voice_worker.speech.interfaces import SYNTHESIS_HZ, Pcm
from shared.errors import SpeechError

MAX_CLAUSES: Final = 200
VOICES: Final = ("im_nicola", "if_sara")
PAUSE_S: Final = 0.12  # kept of the silence at each end of a clause
SILENCE: Final = 0.01
GAINS: Final = {"im_nicola": 0.8, "if_sara": 0.45}  # to about -20 dBFS; if_sara clips at 1.0


class Kokoro:
    """The model, its voices and the phonemizer. Output is 24 kHz."""

    def __init__(self, options: HostOptions) -> None:
        folder = models.checked_path("kokoro", options.models_dir)
        self._model = session(folder / "kokoro.onnx", options.threads)
        self._styles = {voice: np.fromfile(folder / f"{voice}.bin", "<f4").reshape(-1, 1, 256) for voice in VOICES}
        self._phonemizer = EspeakPhonemizer()

    def speak(self, clause: str, voice: str, speed: float) -> Pcm:
        """Return one clause as float32 of shape [n]; n is 0 when there is nothing to pronounce."""
        phonemes = [phoneme for sentence in self._phonemizer.phonemize("nl", clause) for phoneme in [*sentence, " "]]
        tokens = dutch_tokens(phonemes[:-1])
        if not tokens or not any(map(str.isalnum, clause)):
            return np.zeros(0, np.float32)
        audio = self._model.run(
            None,
            {
                "tokens": np.array([[0, *tokens, 0]], np.int64),
                "style": self._styles[voice][len(tokens)],
                "speed": np.array([speed], np.float32),
            },
        )[0]
        return trimmed(np.clip(np.ravel(audio) * GAINS[voice], -1.0, 1.0).astype(np.float32))


def real_time_factor(kokoro: Kokoro) -> float:
    """Return seconds of computing for each second of speech, for one short clause."""
    began = time.perf_counter()
    spoken = kokoro.speak("Waar loopt u nu tegenaan?", VOICES[0], 1.0)
    return (time.perf_counter() - began) / (len(spoken) / SYNTHESIS_HZ)


def trimmed(pcm: Pcm) -> Pcm:
    """Return `pcm` with at most PAUSE_S of silence at each end: the model adds up to half a second."""
    loud = np.flatnonzero(np.abs(pcm) > SILENCE)
    if not len(loud):
        return pcm[:0]
    margin = int(PAUSE_S * SYNTHESIS_HZ)
    return pcm[max(0, int(loud[0]) - margin // 4) : int(loud[-1]) + margin]


def load(options: HostOptions) -> Loaded:
    """Check and load the model, and report its real-time factor: the better of two, since a start is busy."""
    kokoro = Kokoro(options)

    def synthesize(call: Call) -> Iterator[frames.Message]:
        voice = call.text("voice", 32)
        if voice not in VOICES:
            raise SpeechError(f"Kokoro has no voice {voice!r} here; voices: {', '.join(VOICES)}")
        if call.text("language", 8) != "nl":
            raise SpeechError("Kokoro speaks Dutch here, nothing else")
        speed = call.number("speed", 0.5, 2.0)
        for index, clause in enumerate(call.strings("clauses", MAX_CLAUSES, MAX_TEXT_CHARS)):
            yield {"clause": index, "pcm": frames.pcm_bytes(kokoro.speak(clause, voice, speed))}

    kokoro.speak("Goedemorgen.", VOICES[0], 1.0)
    factor = min(real_time_factor(kokoro) for _ in range(2))
    return Loaded({"synthesize": synthesize}, {"voices": {"nl": list(VOICES)}, "real_time_factor": factor})


if __name__ == "__main__":
    run("tts_kokoro", load)
