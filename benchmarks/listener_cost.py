"""CPU that listening costs for each 80 ms frame, step by step, on real speech. Prints a table.

    python -m benchmarks.listener_cost [--repeat 5]

The media thread pays decode, resample, voice activity and pitch; the event loop pays the turn machine and the
bookkeeping. Recognition is not included: it is a model of its own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import soundfile as sf
import soxr

from services.voice_worker.listener.delivery import Delivery, TurnVoice
from services.voice_worker.listener.frame_work import PITCH_FROM, FrameWork, Heard
from services.voice_worker.listener.tape import Tape
from services.voice_worker.listener.turns import TurnMachine, TurnSettings
from services.voice_worker.listener.vad import WINDOW_SAMPLES, ListenResampler, Pcm, SileroVad
from shared.audio import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE
from shared.audio.opus import OpusDecoder, OpusEncoder
from shared.audio.pitch import PitchTracker
from shared.events import Consent
from shared.wire import AudioFrame

CLIPS = Path(__file__).parents[1] / "tests" / "fixtures" / "audio" / "en_human"
T = TypeVar("T")
P = ParamSpec("P")


class Costs:
    """Microseconds of CPU of this thread, by step."""

    def __init__(self) -> None:
        self.us: dict[str, list[float]] = {}

    def of(self, step: str, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Run `work` with what is given and keep what it cost."""
        before = time.thread_time_ns()
        result = work(*given, **named)
        self.us.setdefault(step, []).append((time.thread_time_ns() - before) / 1000)
        return result

    def table(self) -> str:
        rows = [f"{'step':<34}{'median us':>11}{'p99 us':>9}{'mean us':>9}{'% of a core':>13}"]
        for step, costs in self.us.items():
            mean = float(np.mean(costs))
            share = 100 * mean / (FRAME_MS * 1000)
            rows.append(
                f"{step:<34}{np.median(costs):>11.0f}{np.percentile(costs, 99):>9.0f}{mean:>9.0f}{share:>13.2f}"
            )
        return "\n".join(rows)


def speech(repeat: int) -> list[AudioFrame]:
    """Return the recorded clips as stream entries, each followed by a second of near silence."""
    rng = np.random.default_rng(7)
    parts: list[Pcm] = []
    for about in json.loads((CLIPS / "manifest.json").read_text()):
        sound, rate = sf.read(CLIPS / about["file"], dtype="float32")
        parts.append(soxr.resample(sound, rate, SAMPLE_RATE).astype(np.float32))
        parts.append((1e-4 * rng.standard_normal(SAMPLE_RATE)).astype(np.float32))
    whole = np.concatenate(parts * repeat)
    frames = whole[: len(whole) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    with OpusEncoder() as encoder:
        return [AudioFrame(seq, FRAME_SAMPLES, encoder.encode(frame)) for seq, frame in enumerate(frames)]


def measure_steps(entries: list[AudioFrame], costs: Costs) -> None:
    """Each step by itself, as FrameWork strings them together."""
    resampler, vad, pitch = ListenResampler(), SileroVad(), PitchTracker()
    rest: Pcm = np.empty(0, dtype=np.float32)

    def judge(windows: Pcm) -> list[float]:
        return [vad.probability(window) for window in windows]

    def follow(windows: Pcm, chances: list[float]) -> None:
        for window, chance in zip(windows, chances, strict=True):
            pitch.push(window, chance >= PITCH_FROM)

    with OpusDecoder() as decoder:

        def decode(packets: tuple[bytes, ...]) -> Pcm:
            return np.concatenate([decoder.decode(packet) for packet in packets])

        for entry in entries:
            pcm = costs.of("decode (4 packets)", decode, entry.packets)
            rest = np.concatenate((rest, costs.of("resample to 16 kHz", resampler.push, pcm)))
            n = len(rest) // WINDOW_SAMPLES
            windows = rest[: n * WINDOW_SAMPLES].reshape(n, WINDOW_SAMPLES)
            rest = rest[n * WINDOW_SAMPLES :]
            chances = costs.of("voice activity (2.5 windows)", judge, windows)
            costs.of("pitch and loudness", follow, windows, chances)


def measure_whole(entries: list[AudioFrame], costs: Costs) -> None:
    """The media thread's job as it runs, and what a frame then costs the event loop without recognition."""
    settings = TurnSettings()
    machine, tape = TurnMachine("en", settings), Tape(0, 70_000)
    delivery = Delivery("en", "", "workplace", Consent())

    def on_loop(heard: Heard, voice: TurnVoice) -> None:
        for window in heard.windows:
            tape.append(window.pcm)
            machine.on_window(window.start_ms, window.probability)
            voice.track.add(window.hops, window.probability >= settings.speech_off)

    voice, whole_minute = delivery.begin(0), delivery.begin(0)
    with OpusDecoder() as decoder:
        work = FrameWork(decoder, SileroVad(), 0)
        for number, entry in enumerate(entries):
            heard = costs.of("media thread, whole frame", work.process, entry)
            costs.of("event loop, whole frame", on_loop, heard, voice)
            for window in heard.windows:
                whole_minute.track.add(window.hops, window.probability >= settings.speech_off)
            end_ms = voice.track.end_ms
            if number % 12 == 11:
                costs.of("event loop, prosody of a second", delivery.stretch, voice, "u1", end_ms)
            if number % 75 == 74:
                costs.of("event loop, end of a 6 s turn", delivery.turn, voice, "u1", end_ms, "", 0)
                voice = delivery.begin(end_ms)
            if number % 750 == 749:
                minute_ms = whole_minute.track.end_ms
                costs.of("event loop, end of a 60 s turn", delivery.turn, whole_minute, "u1", minute_ms, "", 0)
                whole_minute = delivery.begin(end_ms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="how often the five clips are heard (default 3)")
    entries = speech(parser.parse_args().repeat)
    costs = Costs()
    measure_steps(entries, costs)
    measure_whole(entries, costs)
    print(f"{len(entries)} frames, {len(entries) * FRAME_MS / 1000:.0f} s of speech and pauses")
    print(costs.table())


if __name__ == "__main__":
    main()
