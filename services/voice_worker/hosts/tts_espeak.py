"""Instant speech in many languages through the `espeak-ng` program (GPL), where it is on the PATH. A fallback voice."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

import numpy as np
import soxr

from services.voice_worker.hosts.serve import Call, HostOptions, Loaded, run
from services.voice_worker.speech import frames
from services.voice_worker.speech.clauses import MAX_TEXT_CHARS
from services.voice_worker.speech.interfaces import SYNTHESIS_HZ, Pcm
from shared.errors import ModelMissing, SpeechError

WORDS_PER_MINUTE: Final = 165
TIMEOUT_S: Final = 10.0
MAX_CLAUSES: Final = 200
LANGUAGES: Final = {"en": "en-us", "nl": "nl"}


def speak(program: str, clause: str, language: str, speed: float) -> Pcm:
    """Return one clause as 24 kHz float32 of shape [n]. SpeechError when the program fails."""
    command = [program, "-v", LANGUAGES[language], "-s", str(round(WORDS_PER_MINUTE * speed)), "--stdin", "--stdout"]
    try:
        done = subprocess.run(  # noqa: S603 - a program found on the PATH; the text goes in by stdin
            command, input=clause.encode(), capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SpeechError(f"espeak-ng failed: {type(error).__name__}") from error
    if done.returncode or len(done.stdout) < 44:
        raise SpeechError(f"espeak-ng ended with code {done.returncode}")
    rate = int.from_bytes(done.stdout[24:28], "little")
    samples = np.frombuffer(done.stdout[44 : len(done.stdout) // 2 * 2], dtype="<i2").astype(np.float32) / 32768.0
    return np.asarray(soxr.resample(samples, rate, SYNTHESIS_HZ), dtype=np.float32)


def load(options: HostOptions) -> Loaded:
    """Find the program. ModelMissing says how to install it."""
    del options  # it has no model file and takes one thread
    program = shutil.which("espeak-ng")
    if program is None:
        raise ModelMissing("the program espeak-ng is not on the PATH; install the package espeak-ng of your system")

    def synthesize(call: Call) -> Iterator[frames.Message]:
        language = call.text("language", 8)
        if language not in LANGUAGES:
            raise SpeechError(f"the espeak-ng voice is not set up for {language!r}")
        speed = call.number("speed", 0.5, 2.0)
        for index, clause in enumerate(call.strings("clauses", MAX_CLAUSES, MAX_TEXT_CHARS)):
            yield {"clause": index, "pcm": frames.pcm_bytes(speak(program, clause, language, speed))}

    return Loaded({"synthesize": synthesize}, {"voices": {language: ["espeak"] for language in LANGUAGES}})


if __name__ == "__main__":
    run("tts_espeak", load)
