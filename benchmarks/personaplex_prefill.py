"""What a prompt on its way into a slot costs the neighbours: a running model loop, eight callers in real time.

    python -m benchmarks.personaplex_prefill [--rounds 8] [--prompt 400] [--spread-ms 0]

Three events, each with a loop of its own: a ninth session is primed; one of the eight is primed again from nothing;
the eight are rebuilt beside their talk as their context runs full. Tiny model, random weights, one torch thread.
A frame's time is from the moment at which it was due to be fed until its output is handed out.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
import torch

from benchmarks.figures import number, percentile, table
from benchmarks.personaplex_batch import Pcm, make_batch, sounds
from services.voice_worker.engines.personaplex.model import tiny
from services.voice_worker.engines.personaplex.model.batch import Batch
from services.voice_worker.engines.personaplex.model.priming import Prompt
from services.voice_worker.engines.personaplex.model.sampling import Sampling
from services.voice_worker.engines.personaplex.model.voice_files import CodesVoice
from services.voice_worker.engines.personaplex.model_loop import ModelLoop, Seat
from services.voice_worker.engines.personaplex.pacing import TICK_S
from services.voice_worker.engines.personaplex.slot import Conversation, FrameOut
from services.voice_worker.engines.personaplex.steering.words import WordAssembler
from services.voice_worker.engines.personaplex.tokens import N_STREAMS, Codes

CALLERS: Final = 8
VOICE_FRAMES: Final = 100
LIMIT_MS: Final = 1000 * TICK_S
"""What a prefill may add to a neighbour's frame: one tick."""

LONG_CONTEXT: Final = 3_000
SHORT_CONTEXT: Final = 900
"""So short that all eight are rebuilt within half a minute."""

SOUNDS: Final = sounds(100)
FIRST_EVENT_S: Final = 4
READY_LIMIT_S: Final = 60.0
REBUILT_S: Final = 32
LAST_FRAMES_S: Final = 10.0
"""How long the last frames are waited for; what has not come by then is lost."""

HEADS = ("event", "neighbours' frames", "frames", "lost", "p50 ms", "p99 ms", "worst ms")


class WatchedLoop(ModelLoop):
    """A model loop that notes when it was busy with prefill."""

    def __init__(self, make: Callable[[], Batch]) -> None:
        super().__init__(make, lambda reason: print(f"the model failed: {reason}"))
        self.busy: list[tuple[float, float]] = []

    def _turn(self) -> None:
        began_s, was_busy = time.monotonic(), self.primer.busy
        super()._turn()
        if was_busy or self.primer.busy:
            self.busy.append((began_s, time.monotonic()))


@dataclass
class Caller:
    """One session; `due` and `got` are seconds of each of its frames."""

    talk: Conversation
    prompt: Prompt
    due: list[float] = field(default_factory=list)
    got: dict[int, float] = field(default_factory=dict)
    ready: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        sampling = Sampling(seed=self.talk.slot)
        self.seat = Seat(self.talk, self.prompt, sampling, self._frames, lambda state, why: self.ready.set())

    def next_sound(self, due_s: float) -> tuple[Pcm, str]:
        """Return the next frame and its name; it is due at `due_s`."""
        number_ = len(self.due)
        self.due.append(due_s)
        return SOUNDS[(number_ + 7 * self.talk.slot) % len(SOUNDS)], str(number_)

    def _frames(self, frames: list[FrameOut]) -> None:
        now_s = time.monotonic()
        for frame in frames:
            self.got[int(frame.consumed)] = now_s


@dataclass
class Times:
    """Milliseconds of frames, and how many never came."""

    ms: list[float] = field(default_factory=list)
    lost: int = 0

    def add(self, due_s: float, got_s: float | None) -> None:
        if got_s is None:
            self.lost += 1
        else:
            self.ms.append(1000 * (got_s - due_s))

    def at(self, share: float) -> float:
        """Return the percentile, lost frames counted in."""
        return percentile(self.ms, len(self.ms) + self.lost, share)

    def row(self, event: str, when: str) -> list[str]:
        figures = [number(self.at(share), 1) for share in (0.5, 0.99, 1.0)] if self.ms or self.lost else ["-"] * 3
        return [event, when, str(len(self.ms) + self.lost), str(self.lost), *figures]


@dataclass
class Sorted:
    """Neighbours' frames: those before the first prefill, those that one overlapped, and those in between and after."""

    before: Times = field(default_factory=Times)
    during: Times = field(default_factory=Times)
    after: Times = field(default_factory=Times)

    @property
    def added_ms(self) -> float:
        """What prefill added at worst: the slowest frame during one, less the median before. NaN: nothing to judge."""
        if not self.before.ms or not (self.during.ms or self.during.lost):
            return float("nan")
        return self.during.at(1.0) - self.before.at(0.5)

    @property
    def fine(self) -> bool:
        return self.added_ms <= LIMIT_MS


def sort_frames(callers: list[Caller], busy: list[tuple[float, float]]) -> Sorted:
    """Sort the callers' frames by the spans, in order, in which the loop was busy with prefill."""
    frames = Sorted()
    for caller in callers:
        for number_, due_s in enumerate(caller.due):
            got_s = caller.got.get(number_)
            end_s = due_s + LAST_FRAMES_S if got_s is None else got_s
            if any(began_s < end_s and ended_s > due_s for began_s, ended_s in busy):
                frames.during.add(due_s, got_s)
            elif busy and due_s > busy[0][0]:
                frames.after.add(due_s, got_s)
            else:
                frames.before.add(due_s, got_s)
    return frames


class Call:
    """A loop with its callers, fed in real time by `feed`."""

    def __init__(self, context: int, n_prompt: int, spread_ms: float) -> None:
        lm, mimi = tiny.language_model({**tiny.TINY, "context": context}), tiny.codec()
        self._spread_s = spread_ms / 1000
        self._n_prompt = n_prompt
        self.callers: list[Caller] = []
        self.loop = WatchedLoop(lambda: make_batch(lm, mimi, CALLERS + 1))

    @contextmanager
    def running(self, n_history: int) -> Iterator[None]:
        """Seat the eight, with up to `n_history` frames of history (each has less than the one before)."""
        self.loop.start()
        self.loop.loaded.result(READY_LIMIT_S)
        try:
            for slot in range(CALLERS):
                self.callers.append(self.sit(slot, n_history * (CALLERS - slot) // CALLERS))
            for caller in self.callers:
                _wait(caller)
            self.loop.call(self.loop.busy.clear).result(READY_LIMIT_S)
            yield
        finally:
            self.loop.stop()

    def sit(self, slot: int, n_history: int = 0) -> Caller:
        """Begin to prime a new session, with a voice that no session had before."""
        caller = Caller(_talk(slot), prompt(self._n_prompt))
        self.loop.post(partial(self.loop.sit, caller.seat, random_frames(n_history)))
        return caller

    def _moments(self) -> list[tuple[float, list[Caller]]]:
        """Return who is fed when within a tick: all by one command, or one after the other over the spread."""
        if not self._spread_s:
            return [(0.0, self.callers)]
        return [(self._spread_s * slot / CALLERS, [caller]) for slot, caller in enumerate(self.callers)]

    def feed(self, seconds: float, at_second: Callable[[int], None] = lambda second: None) -> None:
        """Feed all eight for `seconds`; `at_second` is called at the beginning of each second."""
        begin_s = time.monotonic() + TICK_S
        for frame in range(round(seconds / TICK_S)):
            if int(frame * TICK_S) > int((frame - 1) * TICK_S):
                at_second(int(frame * TICK_S))
            for offset_s, callers in self._moments():
                due_s = begin_s + frame * TICK_S + offset_s
                time.sleep(max(due_s - time.monotonic(), 0))  # callers send in real time: that is what is measured
                self.loop.post(partial(_feed, callers, [caller.next_sound(due_s) for caller in callers]))
        deadline_s = time.monotonic() + LAST_FRAMES_S
        while time.monotonic() < deadline_s and any(len(caller.got) < len(caller.due) for caller in self.callers):
            time.sleep(TICK_S)  # looks again; after the measured frames


def ninth(call: Call, rounds: int) -> list[Caller]:
    """A ninth session is primed every other second, and leaves before the next comes."""
    guests: list[Caller] = []

    def at_second(second: int) -> None:
        if second >= FIRST_EVENT_S and second % 2 == 0:
            if guests:
                call.loop.post(partial(call.loop.leave, guests.pop().seat))
            guests.append(call.sit(CALLERS))

    with call.running(0):
        call.feed(FIRST_EVENT_S + 2 * rounds, at_second)
    return call.callers


def again(call: Call, rounds: int) -> list[Caller]:
    """The first of the eight is primed again every other second, as after a loop; the seven others are measured."""

    def spoil() -> None:
        call.callers[0].talk.trouble = "text_loop"

    def at_second(second: int) -> None:
        if second >= FIRST_EVENT_S and second % 2 == 0:
            call.loop.post(spoil)

    with call.running(0):
        call.feed(FIRST_EVENT_S + 2 * rounds, at_second)
    return call.callers[1:]


def rebuilt(call: Call, _: int) -> list[Caller]:
    """All eight run full, one after the other, and are rebuilt while they talk."""
    with call.running(SHORT_CONTEXT):
        call.feed(REBUILT_S)
    return call.callers


def prompt(n_positions: int) -> Prompt:
    """Return a prompt of so many positions, with a voice that has no other's name."""
    rng = np.random.default_rng()
    voice = CodesVoice(rng.bytes(8).hex(), rng.integers(0, 2048, (VOICE_FRAMES, 8)))
    n_text = max(n_positions - Prompt(voice).n_frames, 1)
    return Prompt(voice, tuple(int(token) for token in rng.integers(4, tiny.VOCABULARY, n_text)))


def random_frames(n: int) -> Codes:
    """Return frames [n, 17] of a talk that never was."""
    rng = np.random.default_rng(n)
    frames = rng.integers(0, 2048, (n, N_STREAMS))
    frames[:, 0] = rng.integers(4, tiny.VOCABULARY, n)
    return frames


def _feed(callers: list[Caller], frames: list[tuple[Pcm, str]]) -> None:
    for caller, (sound, name) in zip(callers, frames, strict=True):
        caller.talk.feed(sound, name)


def _talk(slot: int) -> Conversation:
    return Conversation(slot, "free", WordAssembler(tiny.tokenizer().id_to_piece))


def _wait(caller: Caller) -> None:
    if not caller.ready.wait(READY_LIMIT_S):
        raise SystemExit("a session was not primed in time")


EVENTS: Final = (
    ("a ninth is primed", ninth, LONG_CONTEXT),
    ("one is primed again", again, LONG_CONTEXT),
    ("the eight are rebuilt", rebuilt, SHORT_CONTEXT),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="how often a session is primed (default 8)")
    parser.add_argument("--prompt", type=int, default=400, help="positions of a prompt (default 400)")
    parser.add_argument("--spread-ms", type=float, default=0.0, help="time over which the callers' frames are spread")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows, ends = [], []
    for event, run, context in EVENTS:
        call = Call(context, given.prompt, given.spread_ms)
        neighbours = run(call, given.rounds)
        frames = sort_frames(neighbours, call.loop.busy)
        rows += [
            frames.before.row(event, "before"),
            frames.during.row(event, "during"),
            frames.after.row(event, "between, after"),
        ]
        ends.append(f"{event}: {number(frames.added_ms, 1)} ms: {'OK' if frames.fine else 'NOT OK'}")
    print(f"{CALLERS} callers, prompts of {given.prompt} positions, frames spread over {given.spread_ms:.0f} ms\n")
    print(table(HEADS, rows))
    print(f"\nAdded to a frame at worst (slowest during, less median before); {LIMIT_MS:.0f} ms are allowed:")
    print("\n".join(ends))


if __name__ == "__main__":
    main()
