"""Speak the turns of a role-play script with a Kokoro voice, one WAV a turn (16 kHz mono, 16 bit).

Run once; its clips are kept beside the script, so that the demo, the tests and the benchmarks need no voice for
the seller. Needs the `speech` extra (the phonemizer is GPL: this script is a program of its own) and a voice file:

    python scripts/make_role_play.py FOLDER --voice-file af_heart.bin --phonemes en-us
"""

from __future__ import annotations

import argparse
import itertools
import json
import wave
from pathlib import Path

import numpy as np
import soxr
from piper.phonemize_espeak import EspeakPhonemizer

from services.voice_worker.hosts.kokoro_tokens import dutch_tokens
from services.voice_worker.hosts.onnx import session
from services.voice_worker.speech import models

RATE = 16_000
PEAK = 0.6
QUIET = 0.0056
"""Level of a pause: 45 dB below full scale."""

MAX_PAUSE_MS = 490
KEPT_PAUSE_MS = 300
"""The voice at times stops longer within a turn than people who go on do; a listener takes that for its end."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with script.json; the clips go there")
    parser.add_argument("--voice-file", type=Path, required=True, help="a Kokoro voice: float32 [510, 1, 256]")
    parser.add_argument("--phonemes", default="en-us", help="espeak-ng voice for the phonemes")
    arguments = parser.parse_args()
    script = json.loads((arguments.folder / "script.json").read_text("utf-8"))
    model = session(models.checked_path("kokoro") / "kokoro.onnx", 2)
    style = np.fromfile(arguments.voice_file, "<f4").reshape(-1, 1, 256)
    phonemizer = EspeakPhonemizer()
    for number, text in enumerate(script["turns"], start=1):
        parts = [p for sentence in phonemizer.phonemize(arguments.phonemes, text) for p in [*sentence, " "]]
        tokens = dutch_tokens(parts[:-1])
        feed = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": style[len(tokens)],
            "speed": np.array([1.0], np.float32),
        }
        pcm = np.ravel(model.run(None, feed)[0]).astype(np.float32)
        spoken = shorten_pauses(soxr.resample(pcm * PEAK / np.abs(pcm).max(), 24_000, RATE))
        write(arguments.folder / f"{number:02d}.wav", spoken)
        print(f"{number:02d}.wav {len(pcm) / 24_000:.1f} s")


def shorten_pauses(pcm: np.ndarray) -> np.ndarray:
    """Return [n] with the pauses inside that last longer than MAX_PAUSE_MS cut to KEPT_PAUSE_MS; the ends stay."""
    step = RATE // 100
    blocks = pcm[: len(pcm) // step * step].reshape(-1, step)
    loud = np.flatnonzero(np.sqrt(np.mean(np.square(blocks), axis=1)) > QUIET)
    pieces, begin = [], 0
    for before, after in itertools.pairwise(loud):
        if (after - before - 1) * 10 > MAX_PAUSE_MS:
            half = KEPT_PAUSE_MS // 20
            pieces.append(pcm[begin : (before + 1 + half) * step])
            begin = (after - half) * step
    return np.concatenate([*pieces, pcm[begin:]])


def write(path: Path, pcm: np.ndarray) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((np.clip(pcm, -1, 1) * 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    main()
