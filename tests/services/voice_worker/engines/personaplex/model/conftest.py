"""A tiny batch that is driven by hand: sessions are primed into slots and stepped with sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from services.voice_worker.engines.personaplex.inputs import SlotInput, SlotOutput
from services.voice_worker.engines.personaplex.model import tiny
from services.voice_worker.engines.personaplex.model.batch import Batch
from services.voice_worker.engines.personaplex.model.codec import BatchCodec
from services.voice_worker.engines.personaplex.model.generator import BatchGenerator
from services.voice_worker.engines.personaplex.model.priming import Prompt, prime
from services.voice_worker.engines.personaplex.model.sampling import Sampling
from services.voice_worker.engines.personaplex.model.voice_files import CodesVoice
from shared.audio import FRAME_SAMPLES

Pcm = NDArray[np.float32]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


def tiny_batch(slots: int) -> Batch:
    return Batch(BatchGenerator(tiny.language_model(), slots), BatchCodec(tiny.codec(), slots))


@dataclass
class Life:
    """One session from its prompt to its end: what it hears, and what came of it."""

    number: int
    sound: list[Pcm]
    heard: list[SlotOutput] = field(default_factory=list)

    @property
    def prompt(self) -> Prompt:
        rng = np.random.default_rng(self.number)
        voice = CodesVoice(f"v{self.number}", rng.integers(0, 2048, (5, 8)))
        return Prompt(voice, tuple(int(t) for t in rng.integers(4, 400, 6)))

    @property
    def over(self) -> bool:
        return len(self.heard) >= len(self.sound)

    def begin(self, batch: Batch, slot: int) -> None:
        batch.clear(slot)
        batch.generator.configure(slot, Sampling(seed=self.number))
        boundary = prime(batch.generator, slot, self.prompt)
        batch.tick({slot: SlotInput(None, user=boundary.user, agent=boundary.agent, silent=True)})

    def next_input(self) -> SlotInput:
        return SlotInput(self.sound[len(self.heard)])

    def alone(self) -> list[SlotOutput]:
        """Return what the session hears in a batch of its own."""
        batch, twin = tiny_batch(1), Life(self.number, self.sound)
        twin.begin(batch, 0)
        while not twin.over:
            step(batch, {0: twin})
        return twin.heard


def life(number: int, n_frames: int) -> Life:
    rng = np.random.default_rng(1000 + number)
    return Life(number, [rng.normal(0, 0.1, FRAME_SAMPLES).astype(np.float32) for _ in range(n_frames)])


def step(batch: Batch, lives: Mapping[int, Life]) -> None:
    for slot, output in batch.tick({slot: one.next_input() for slot, one in lives.items()}).items():
        lives[slot].heard.append(output)


def assert_same(heard: list[SlotOutput], due: list[SlotOutput]) -> None:
    """All tokens equal; sound equal to within the rounding of another batch size."""
    assert len(heard) == len(due)
    for number, (one, other) in enumerate(zip(heard, due, strict=True)):
        assert (one.text, one.next_text) == (other.text, other.next_text), number
        assert np.array_equal(one.agent, other.agent), number
        assert np.array_equal(one.user, other.user), number
        assert np.abs(one.pcm - other.pcm).max() < 1e-6, number
