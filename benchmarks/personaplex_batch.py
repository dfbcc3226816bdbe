"""One batch of PersonaPlex sessions against the same sessions one after the other, and against moshi's own server loop.

    python -m benchmarks.personaplex_batch [--sessions 1 4 8 16 32] [--ticks 40] [--mid] [--profile 16]

Random weights, the same for all; one torch thread on the CPU. All take turns, a few ticks each, so that what else runs
on the machine meets all of them alike. Opus and sockets are left out everywhere.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import torch
from moshi.models import LMGen
from moshi.utils.compile import no_compile
from numpy.typing import NDArray
from torch.profiler import ProfilerActivity, profile

from benchmarks.figures import number, percentile, table
from services.voice_worker.engines.personaplex.inputs import SlotInput, SlotOutput
from services.voice_worker.engines.personaplex.model import generator, tiny
from services.voice_worker.engines.personaplex.model.batch import Batch
from services.voice_worker.engines.personaplex.model.codec import BatchCodec
from services.voice_worker.engines.personaplex.model.generator import BatchGenerator
from services.voice_worker.engines.personaplex.model.sampling import Sampling
from services.voice_worker.engines.personaplex.tokens import EPAD, N_CODEBOOKS, PAD
from shared.audio import FRAME_MS, FRAME_SAMPLES

Pcm: TypeAlias = NDArray[np.float32]

SESSIONS: Final = (1, 4, 8, 16, 32)
WARM_TICKS: Final = 4
BLOCK_TICKS: Final = 5
"""Ticks of one contestant before the next has its turn."""

GOAL: Final = 6.0
"""Times as many frames a second in a batch of 16 as one after the other, on the tiny model."""

HEADS: Final = (
    "sessions, how", "tick ms p50", "p99", "CPU ms p50", "p99", "of 80 ms %", "frames/s", "frames/CPU s",
    "x in turn, CPU", "x wall", "x moshi's",
)  # fmt: skip


class Contestant(Protocol):
    """Advances all its sessions by one frame."""

    def tick(self, sounds: list[Pcm]) -> object: ...


class OneBatch:
    """Our batch, all sessions in it."""

    def __init__(self, lm: Any, mimi: Any, n_sessions: int, seed: int = 0) -> None:
        self.batch = make_batch(lm, mimi, n_sessions)
        for slot in range(n_sessions):
            self.batch.generator.configure(slot, Sampling(seed=seed + slot))

    def tick(self, sounds: list[Pcm]) -> list[SlotOutput]:
        outputs = self.batch.tick({slot: SlotInput(sound) for slot, sound in enumerate(sounds)})
        return list(outputs.values())


class InTurn:
    """Our batch of one, as many as there are sessions, one after the other."""

    def __init__(self, lm: Any, mimi: Any, n_sessions: int) -> None:
        self.singles = [OneBatch(lm, mimi, 1, seed) for seed in range(n_sessions)]

    def tick(self, sounds: list[Pcm]) -> list[SlotOutput]:
        return [single.tick([sound])[0] for single, sound in zip(self.singles, sounds, strict=True)]


@dataclass(frozen=True, slots=True)
class Sent:
    """What moshi's server sends of a frame: tokens [9], of which it sends the text, and the sound [1920]."""

    tokens: NDArray[np.int64]
    pcm: Pcm
    text: str


class MoshiServer:
    """One session as moshi 0.2.13 serves it: `handle_chat` of its server.py from the sound to the sound.

    Encode, step and decode with a wait for the device after each frame's sound and after its text.
    """

    def __init__(self, lm: Any, mimi: Any, **sampling: Any) -> None:
        self.skip_frames = 1
        self._mimi = twin(mimi)
        self._mimi.set_num_codebooks(N_CODEBOOKS)
        self._generator = LMGen(twin(lm), **sampling)
        self._mimi.streaming_forever(1)
        self._generator.streaming_forever(1)
        self._tokenizer = tiny.tokenizer()

    def tick(self, sounds: list[Pcm]) -> list[list[Sent]]:
        with torch.no_grad(), no_compile():
            return [self._chat(sound) for sound in sounds]

    def _chat(self, sound: Pcm) -> list[Sent]:
        """Return what the server would send for a frame; nothing for the first."""
        sent = []
        codes = self._mimi.encode(torch.from_numpy(sound)[None, None])
        if self.skip_frames:
            self._mimi.reset_streaming()
            self.skip_frames -= 1
        for step in range(codes.shape[-1]):
            tokens = self._generator.step(codes[:, :, step : step + 1])
            if tokens is None:
                continue
            pcm = self._mimi.decode(tokens[:, 1:]).cpu()[0, 0].numpy()
            token = tokens[0, 0, 0].item()
            piece = token % tiny.VOCABULARY  # the mid-size model knows more tokens than the tiny tokenizer
            text = "" if token in (EPAD, PAD) else self._tokenizer.id_to_piece(piece).replace("▁", " ")
            sent.append(Sent(tokens[0, :, 0].numpy(), pcm, text))
        return sent


@dataclass
class Costs:
    """Milliseconds of each tick: by the clock, and of this process' CPU."""

    n_sessions: int
    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def measure(self, work: Callable[[], object]) -> None:
        """Run `work` and keep what it cost."""
        wall_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
        work()
        self.cpu_ms.append((time.process_time_ns() - cpu_ns) / 1e6)
        self.wall_ms.append((time.perf_counter_ns() - wall_ns) / 1e6)

    @property
    def wall(self) -> float:
        return statistics.median(self.wall_ms)

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpu_ms)

    def cpu_gain(self, other: Costs) -> float:
        """Return how many times as many frames this makes of a second of CPU as `other`: medians."""
        return other.cpu / other.n_sessions / (self.cpu / self.n_sessions)

    def wall_gain(self, other: Costs) -> float:
        """Return the same by the clock."""
        return other.wall / other.n_sessions / (self.wall / self.n_sessions)

    def row(self, how: str, in_turn: Costs | None, moshi: Costs) -> list[str]:
        """Return the table's row; `in_turn` is None for what is compared with."""
        ticks = len(self.wall_ms)
        return [
            f"{self.n_sessions:>2} {how}",
            number(self.wall),
            number(percentile(self.wall_ms, ticks, 0.99)),
            number(self.cpu),
            number(percentile(self.cpu_ms, ticks, 0.99)),
            number(100 * self.wall / FRAME_MS, 1),
            number(1000 * self.n_sessions / self.wall, 0),
            number(1000 * self.n_sessions / self.cpu, 0),
            number(self.cpu_gain(in_turn), 1) if in_turn else "-",
            number(self.wall_gain(in_turn), 1) if in_turn else "-",
            number(self.cpu_gain(moshi), 1) if self is not moshi else "-",
        ]


def make_batch(lm: Any, mimi: Any, slots: int) -> Batch:
    """Return a batch of its own on the weights of `lm` and `mimi`."""
    return Batch(BatchGenerator(twin(lm), slots), BatchCodec(twin(mimi), slots))


def twin(module: Any) -> Any:
    """Return a module that shares the weights of `module`, which must not stream, and has a state of its own."""
    shared = [*module.parameters(), *module.buffers()]
    return copy.deepcopy(module, {id(value): value for value in shared})


def sounds(n: int, seed: int = 0) -> list[Pcm]:
    """Return `n` frames of noise that swells and fades."""
    rng = np.random.default_rng(seed)
    loudness = 0.15 * np.abs(np.sin(np.arange(n) / 5)) + 0.001
    return [(each * rng.standard_normal(FRAME_SAMPLES)).clip(-1, 1).astype(np.float32) for each in loudness]


def compare(arguments: Mapping[str, Any], sessions: list[int], ticks: int) -> tuple[list[list[str]], dict[int, float]]:
    """Return the table's rows, and by number of sessions the gain of a batch over one after the other, in CPU."""
    lm, mimi = tiny.language_model(arguments), tiny.codec()
    server, server_costs = MoshiServer(lm, mimi), Costs(1)
    rows: list[list[str]] = []
    gains: dict[int, float] = {}
    for n in sessions:
        batch, in_turn, moshi = Costs(n), Costs(n), Costs(1)
        take_turns([(OneBatch(lm, mimi, n), batch), (InTurn(lm, mimi, n), in_turn), (server, moshi)], ticks)
        rows += [batch.row("in a batch", in_turn, moshi), in_turn.row("in turn", None, moshi)]
        gains[n] = batch.cpu_gain(in_turn)
        server_costs.wall_ms += moshi.wall_ms
        server_costs.cpu_ms += moshi.cpu_ms
    return [*rows, server_costs.row("moshi's server loop", None, server_costs)], gains


def take_turns(runs: list[tuple[Contestant, Costs]], ticks: int) -> None:
    """Measure `ticks` ticks of each, a block at a time."""
    heard = sounds(ticks + WARM_TICKS + max(costs.n_sessions for _, costs in runs))
    for contestant, costs in runs:
        for tick in range(WARM_TICKS):
            contestant.tick(heard[tick : tick + costs.n_sessions])
    for start in range(WARM_TICKS, WARM_TICKS + ticks, BLOCK_TICKS):
        for contestant, costs in runs:
            for tick in range(start, min(start + BLOCK_TICKS, WARM_TICKS + ticks)):
                costs.measure(partial(contestant.tick, heard[tick : tick + costs.n_sessions]))


class Stopwatch:
    """CPU milliseconds of calls, by name."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}

    def on(self, owner: Any, attribute: str, name: str) -> None:
        """Measure all calls of `owner.attribute` from now on."""
        work = getattr(owner, attribute)
        self.ms[name] = 0.0

        def measured(*given: Any) -> Any:
            before_ns = time.process_time_ns()
            try:
                return work(*given)
            finally:
                self.ms[name] += (time.process_time_ns() - before_ns) / 1e6

        setattr(owner, attribute, measured)


def parts(arguments: Mapping[str, Any], n_sessions: int, ticks: int) -> str:
    """Return where a tick of a batch goes, in CPU time: by part, and by operation, the largest first."""
    one = OneBatch(tiny.language_model(arguments), tiny.codec(), n_sessions)
    heard = sounds(n_sessions + ticks + WARM_TICKS)
    for tick in range(WARM_TICKS):
        one.tick(heard[tick : tick + n_sessions])

    def run() -> None:
        for tick in range(ticks):
            one.tick(heard[tick : tick + n_sessions])

    with profile(activities=[ProfilerActivity.CPU]) as seen:
        run()
    events = sorted(seen.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    operations = [
        [
            event.key,
            number(event.count / ticks, 0),
            number(event.self_cpu_time_total / ticks / 1000, 3),
            number(100 * event.self_cpu_time_total / total, 1),
        ]
        for event in events[:12]
    ]
    watch = Stopwatch()
    for owner, attribute, name in (
        (one, "tick", "whole tick"),
        (one.batch.codec, "encode", "encode"),
        (one.batch.generator, "step", "step of the language model"),
        (generator, "sample", "of it sampling, 9 times"),
        (one.batch.codec, "decode", "decode"),
    ):
        watch.on(owner, attribute, name)
    run()
    whole = watch.ms["whole tick"]
    by_part = [[name, number(ms / ticks), number(100 * ms / whole, 1)] for name, ms in watch.ms.items()]
    return "\n\n".join(
        [
            table(("part", "ms a tick", "%"), by_part),
            table(("operation", "calls a tick", "ms a tick", "%"), operations),
            "Operations: their own time, made longer by the profiler.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=list(SESSIONS))
    parser.add_argument("--ticks", type=int, default=40, help="measured ticks of each (default 40)")
    parser.add_argument(
        "--mid", action="store_true", help="a language model of 240 M parameters instead of the tiny one"
    )
    parser.add_argument("--profile", type=int, default=0, metavar="N", help="print where a tick of N sessions goes")
    given = parser.parse_args()
    torch.set_num_threads(1)
    name, arguments = ("mid-size", tiny.MID) if given.mid else ("tiny", tiny.TINY)
    if given.profile:
        print(f"{name} language model, {given.profile} sessions\n")
        print(parts(arguments, given.profile, given.ticks))
        return
    rows, gains = compare(arguments, given.sessions, given.ticks)
    print(f"{name} language model and tiny codec, random weights, one thread, medians of {given.ticks} ticks\n")
    print(table(HEADS, rows))
    print(
        "\nx: frames for the same time, against the same sessions in turn and against one of moshi's server loop (CPU)."
    )
    if 16 in gains and not given.mid:
        verdict = "met" if gains[16] >= GOAL else "not met"
        print(f"Goal of {GOAL:.0f} x in turn at 16 sessions: {gains[16]:.2f}, {verdict}")


if __name__ == "__main__":
    main()
