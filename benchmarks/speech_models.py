"""Time and errors of the local speech models, through their real processes. Prints tables.

    python -m benchmarks.speech_models [--repeat 5] [--fillets /usr/share/games/fillets-ng --clips 70]

English is read by a human being (tests/fixtures). Dutch human speech comes from the Debian packages fillets-ng-data and
fillets-ng-data-nl, where they are installed. Times are what a caller waits, process border included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import statistics
import time
import unicodedata
from pathlib import Path

import jiwer
import numpy as np
import soundfile
import soxr

from services.voice_worker.speech.interfaces import Pcm
from services.voice_worker.speech.local import LocalOptions, LocalSynthesizer, LocalTranscriber, LocalTurnPredictor

ENGLISH = Path(__file__).parents[1] / "tests" / "fixtures" / "audio" / "en_human"
SENTENCES = {
    "en": (
        "That makes sense.",
        "Okay, so what happens if you do nothing?",
        "That sounds frustrating, and what would it cost you over a whole year if nothing changed at all?",
    ),
    "nl": (
        "Dat begrijp ik.",
        "Wat gebeurt er als u niets doet?",
        "Dat klinkt lastig, en wat zou het u kosten als er niets verandert?",
    ),
}


def normal(text: str) -> str:
    """Lower case, no marks, no accents, "mister" for "mr"."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    words = re.sub(r"[^a-z ]", " ", plain.replace("'", "")).split()
    return " ".join("mister" if word == "mr" else word for word in words)


def english() -> list[tuple[Pcm, str]]:
    """Five clips, 16 kHz, with their texts."""
    entries = json.loads((ENGLISH / "manifest.json").read_text(encoding="utf-8"))
    return [(soundfile.read(ENGLISH / entry["file"], dtype="float32")[0], entry["text"]) for entry in entries]


def fillets(root: Path, n_clips: int) -> list[tuple[Pcm, str]]:
    """`n_clips` Dutch sentences of three words and more, drawn with a fixed seed."""
    found: list[tuple[Path, str]] = []
    pattern = re.compile(r'dialogId\("([^"]+)".*?\)\s*dialogStr\("((?:[^"\\]|\\.)*)"\)', re.DOTALL)
    for page in sorted(root.glob("script/*/dialogs_nl.lua")):
        for name, text in pattern.findall(page.read_text(encoding="utf-8", errors="replace")):
            sound = root / "sound" / page.parent.name / "nl" / f"{name}.ogg"
            if sound.is_file() and len(normal(text).split()) >= 3:
                found.append((sound, text))
    random.Random(7).shuffle(found)
    clips = []
    for sound, text in found[:n_clips]:
        pcm, rate = soundfile.read(sound, dtype="float32", always_2d=True)
        clips.append((soxr.resample(pcm.mean(axis=1), rate, 16_000).astype(np.float32), text))
    return clips


async def recognition(name: str, clips: list[tuple[Pcm, str]], language: str, english_by: str, repeat: int) -> None:
    """Print the word error rate, and the time of each length of utterance."""
    transcriber = LocalTranscriber(LocalOptions(languages=(language,), english=english_by))
    began = time.perf_counter()
    await transcriber.start()
    print(f"\n{name}: ready in {time.perf_counter() - began:.1f} s")
    for partial in (True, False):
        heard, times = [], []
        for turn in range(repeat):
            for pcm, _ in clips:
                began = time.perf_counter()
                found = await transcriber.transcribe(pcm, language=language, partial=partial)
                times.append((len(pcm) / 16_000, (time.perf_counter() - began) * 1e3))
                if turn == 0:
                    heard.append(normal(found.text))
        rate = jiwer.wer([normal(text) for _, text in clips], heard)
        short = statistics.median([ms for seconds, ms in times if seconds < 3.5] or [0.0])
        every = [ms for _, ms in times]
        print(
            f"  {'partial' if partial else 'final':8} WER {rate:.3f} (n={len(clips)})   ms: p50 "
            f"{statistics.median(every):.0f} max {max(every):.0f}; utterances under 3.5 s p50 {short:.0f}"
        )
    await transcriber.aclose()


async def speech(language: str, repeat: int) -> None:
    """Print the time to the first audio and the real-time factor of each sentence."""
    synthesizer = LocalSynthesizer(LocalOptions(languages=(language,)))
    began = time.perf_counter()
    await synthesizer.start()
    print(f"\nvoice {synthesizer.voices(language)[0]}: ready in {time.perf_counter() - began:.1f} s")
    for text in SENTENCES[language]:
        firsts, factors = [], []
        for _ in range(repeat):
            began, first, n_samples = time.perf_counter(), 0.0, 0
            async for pcm in synthesizer.synthesize(text, language=language, voice="", speed=1.0):
                first = first or time.perf_counter() - began
                n_samples += len(pcm)
            firsts.append(first * 1e3)
            factors.append((time.perf_counter() - began) / (n_samples / 24_000))
        print(
            f"  first audio ms p50 {statistics.median(firsts):5.0f} max {max(firsts):5.0f}   "
            f"real-time factor {statistics.median(factors):.2f}   {text}"
        )
    await synthesizer.aclose()


async def turns(clips: list[tuple[Pcm, str]], repeat: int) -> None:
    """Print the time of a prediction and its mean for whole and for cut utterances."""
    predictor = LocalTurnPredictor()
    await predictor.start()
    pause, times = np.zeros(3_200, np.float32), []
    means = []
    for share in (1.0, 0.5):
        values = []
        for pcm, _ in clips * repeat:
            began = time.perf_counter()
            cut = pcm[: int(len(pcm) * share)]
            values.append(await predictor.complete_probability(np.concatenate([cut, pause])))
            times.append((time.perf_counter() - began) * 1e3)
        means.append(statistics.mean(values))
    print(f"\nsmart-turn: p50 {statistics.median(times):.0f} ms; mean whole {means[0]:.2f}, cut in half {means[1]:.2f}")
    await predictor.aclose()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--fillets", type=Path)
    parser.add_argument("--clips", type=int, default=70)
    options = parser.parse_args()
    clips = english()
    await recognition("English, Moonshine tiny", clips, "en", "moonshine", options.repeat)
    await recognition("English, Whisper base", clips, "en", "whisper", options.repeat)
    if options.fillets:
        dutch = await asyncio.to_thread(fillets, options.fillets, options.clips)
        await recognition("Dutch, Whisper base", dutch, "nl", "moonshine", 1)
    await speech("en", options.repeat)
    await speech("nl", options.repeat)
    await turns(clips, options.repeat)


if __name__ == "__main__":
    asyncio.run(main())
