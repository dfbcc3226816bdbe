"""One long conversation: does every frame get its answer, does memory stay, when is the slot rebuilt? Prints a table.

    python -m benchmarks.personaplex_long_call [--frames 15000] [--context 3000]

15,000 frames are 20 minutes. Conversation, primer and batch are driven as the model loop drives them, by its own turn,
but with a clock that is moved by hand: as fast as it goes. Tiny model, random weights, one torch thread.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch

from benchmarks.figures import number, table
from benchmarks.personaplex_batch import sounds
from benchmarks.personaplex_prefill import VOICE_FRAMES
from services.voice_worker.engines.personaplex.model import tiny
from services.voice_worker.engines.personaplex.model.batch import Batch, RestingBatch
from services.voice_worker.engines.personaplex.model.codec import BatchCodec
from services.voice_worker.engines.personaplex.model.generator import BatchGenerator
from services.voice_worker.engines.personaplex.model.priming import Prompt
from services.voice_worker.engines.personaplex.model.sampling import Sampling
from services.voice_worker.engines.personaplex.model.voice_files import CodesVoice
from services.voice_worker.engines.personaplex.model_loop import ModelLoop, Seat
from services.voice_worker.engines.personaplex.pacing import TICK_S
from services.voice_worker.engines.personaplex.primer import HARD_SHARE, Primer
from services.voice_worker.engines.personaplex.slot import Conversation, FrameOut, Phase
from services.voice_worker.engines.personaplex.steering.words import WordAssembler
from shared.audio import FRAME_MS

FRAMES: Final = 15_000
REPORT_FRAMES: Final = 1_000
SPEECH_FRAMES: Final = 30
PAUSE_FRAMES: Final = 45
TEXT_TEMPERATURE: Final = 3.0
TEXT_TOP_K: Final = 64
PADDING_BONUS: Final = 60.0
"""With these the tiny model pads 9 frames of 10 and says many things; left to itself it talks in every frame."""

READY_TURNS: Final = 100
MAX_GROWTH_MB: Final = 16.0
"""Resident memory that may come after the first 1,000 frames: what the allocator keeps for itself, not a leak."""

HEADS = ("frames", "minutes", "answered", "muted", "RSS MB", "states MB", "rebuilt", "restarted", "ms a frame")


class SteppedLoop(ModelLoop):
    """A model loop without a thread, whose clock is moved by hand: a turn each time, on the caller's thread."""

    def __init__(self, batch: Batch) -> None:
        self._time_s = 0.0
        super().__init__(lambda: batch, lambda reason: None, now=lambda: self._time_s)
        self.batch = batch
        self.primer = Primer(batch)

    def turn(self) -> None:
        """Let one tick's time pass and do what the loop does in it. What goes wrong in it is raised here."""
        self._time_s += TICK_S
        self._turn()


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The slot was exchanged for one built beside it: after so many frames, at this position, now at that one."""

    frame: int
    position: int
    now: int
    forced: bool


@dataclass(slots=True)
class Record:
    """What became of the frames. `wrong` are those that were not answered once, at once and in order.

    `restarts` tell the frame and what a guard saw in the model's talk; the frames until the slot is primed are muted.
    """

    fed: int = 0
    answered: int = 0
    muted: int = 0
    restarts: list[str] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)
    rebuilt: list[Rebuilt] = field(default_factory=list)
    state_bytes: list[int] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)


class LongCall:
    """A caller who speaks and pauses, with a model that speaks and pauses, in slot 0 of a batch of `slots`."""

    def __init__(self, context: int, prompt: Prompt, slots: int = 1, padding_bonus: float = PADDING_BONUS) -> None:
        lm = tiny.language_model({**tiny.TINY, "context": context})
        self.batch = RestingBatch(BatchGenerator(lm, slots), BatchCodec(tiny.codec(), slots))
        self.record = Record()
        self._sounds = sounds(SPEECH_FRAMES)
        self._silence = np.zeros_like(self._sounds[0])
        self._out: list[FrameOut] = []
        self._talk = Conversation(0, "free", WordAssembler(tiny.tokenizer().id_to_piece))
        self._loop = SteppedLoop(self.batch)
        self._ready = False
        self._loop.sit(
            Seat(
                self._talk,
                prompt,
                Sampling(TEXT_TEMPERATURE, TEXT_TOP_K, padding_bonus=padding_bonus, seed=1),
                self._out.extend,
                self._on_state,
            )
        )
        for _ in range(READY_TURNS):
            if self._ready:
                break
            self._loop.turn()
        else:
            raise RuntimeError("the slot was not primed")

    def run(self, n_frames: int) -> Iterator[int]:
        """Feed so many frames and keep the record; yields their count after each."""
        for _ in range(n_frames):
            self._feed(self.record.fed)
            yield self.record.fed

    def take_memory(self) -> None:
        """Note what the process and the states take now."""
        self.record.rss_mb.append(resident_mb())
        self.record.state_bytes.append(self.batch.generator.n_state_bytes() + self.batch.codec.n_state_bytes())

    def _on_state(self, state: str, why: str) -> None:
        self._ready = True
        if state == "restarted":
            self.record.restarts.append(f"{self.record.fed}: {why}")

    def _feed(self, frame: int) -> None:
        at = frame % (SPEECH_FRAMES + PAUSE_FRAMES)
        if at == 0:
            self._talk.user_speaks(True)
        if at == SPEECH_FRAMES:
            self._talk.user_speaks(False)
            self._talk.user_turn_over()
        self._talk.feed(self._sounds[at] if at < SPEECH_FRAMES else self._silence, str(frame))
        before = self.batch.generator.position(0) if self._talk.phase is Phase.LIVE else 0
        self._loop.turn()
        self._judge(frame, before)

    def _judge(self, frame: int, before: int) -> None:
        """`before` is the slot's position before the turn; 0 if it did not talk then."""
        record = self.record
        record.fed += 1
        if [out.consumed for out in self._out] == [str(frame)]:
            record.answered += 1
        else:
            record.wrong.append(frame)
        record.muted += sum(out.pcm is None for out in self._out)
        self._out.clear()
        now = self.batch.generator.position(0)
        if self._talk.phase is Phase.LIVE and now <= before:
            forced = before + 1 >= HARD_SHARE * self.batch.generator.context
            record.rebuilt.append(Rebuilt(frame, before + 1, now, forced))


def resident_mb() -> float:
    """Return the memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def prompt(n_positions: int) -> Prompt:
    """Return a prompt of so many positions, most of it voice."""
    rng = np.random.default_rng(5)
    voice = CodesVoice("long", rng.integers(0, 2048, (VOICE_FRAMES, 8)))
    n_text = max(n_positions - Prompt(voice).n_frames, 1)
    return Prompt(voice, tuple(int(token) for token in rng.integers(4, tiny.VOCABULARY, n_text)))


def faults(record: Record) -> list[str]:
    """Return what is wrong with a call; nothing if all is well."""
    found = []
    if record.wrong:
        found.append(f"{len(record.wrong)} frames without just one answer, the first is {record.wrong[0]}")
    if record.muted and not record.restarts:
        found.append(f"{record.muted} frames were muted for no reason")
    if len(set(record.state_bytes)) > 1:
        found.append(f"the states grew from {record.state_bytes[0]} to {record.state_bytes[-1]} bytes")
    if len(record.rss_mb) > 1 and record.rss_mb[-1] - record.rss_mb[0] > MAX_GROWTH_MB:
        found.append(f"resident memory grew by {record.rss_mb[-1] - record.rss_mb[0]:.1f} MB")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--context", type=int, default=3_000, help="positions that the model looks back on")
    parser.add_argument("--prompt", type=int, default=200, help="positions of the prompt (default 200)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    call = LongCall(given.context, prompt(given.prompt))
    rows = []
    cpu_s = time.process_time()
    for frame in call.run(given.frames):
        if frame % REPORT_FRAMES and frame != given.frames:
            continue
        call.take_memory()
        record = call.record
        n_frames = frame % REPORT_FRAMES or REPORT_FRAMES
        rows.append(
            [
                str(frame),
                number(frame * FRAME_MS / 60_000, 1),
                str(record.answered),
                str(record.muted),
                number(record.rss_mb[-1], 1),
                number(record.state_bytes[-1] / 1e6, 2),
                str(len(record.rebuilt)),
                str(len(record.restarts)),
                number(1000 * (time.process_time() - cpu_s) / n_frames, 1),
            ]
        )
        cpu_s = time.process_time()
    print(f"context {given.context}, prompt of {given.prompt} positions, tiny model\n")
    print(table(HEADS, rows))
    moments = [
        f"{one.frame}: {one.position} -> {one.now}{' (forced)' if one.forced else ''}" for one in call.record.rebuilt
    ]
    print(f"\nRebuilt (after frame: from position -> to position): {', '.join(moments) or 'never'}")
    print(f"Restarted by a guard (frame: reason): {', '.join(call.record.restarts) or 'never'}")
    wrong = faults(call.record)
    print("; ".join(wrong) + ": NOT OK" if wrong else "one frame out for each in, nothing grew: OK")


if __name__ == "__main__":
    main()
