"""One step: rows move on, forced tokens stay, positions and samplings belong to their slot."""

from __future__ import annotations

import numpy as np
import torch

from services.voice_worker.engines.personaplex.inputs import N_RECENT
from services.voice_worker.engines.personaplex.model import tiny
from services.voice_worker.engines.personaplex.model.generator import BatchGenerator, StepControl, StepOut
from services.voice_worker.engines.personaplex.model.priming import Prompt, prime
from services.voice_worker.engines.personaplex.model.sampling import GREEDY, Sampling
from services.voice_worker.engines.personaplex.tokens import PAD, SILENCE

FREE = -1


def step(
    generator: BatchGenerator, *, active: tuple[int, ...] = (0,), forced: int = FREE, recent: tuple[int, ...] = ()
) -> StepOut:
    slots = generator.slots
    mask = torch.zeros(slots, dtype=torch.bool)
    mask[list(active)] = True
    said = torch.full((slots, N_RECENT), -1)
    said[:, : len(recent)] = torch.tensor(recent, dtype=torch.long)
    control = StepControl(
        torch.full((slots,), forced), torch.full((slots,), forced), torch.full((slots, 8), FREE), said
    )
    return generator.step(torch.tensor(SILENCE).expand(slots, -1), mask, list(active), control)


def primed(slots: int = 1, sampling: Sampling = GREEDY) -> BatchGenerator:
    generator = BatchGenerator(tiny.language_model(), slots)
    for slot in range(slots):
        generator.configure(slot, sampling)
        prime(generator, slot, Prompt(None, (5, 6)))
        step(generator, active=(slot,))
    return generator


def test_only_active_slots_move_on() -> None:
    generator = primed(2)
    before = [generator.position(slot) for slot in (0, 1)]
    row = generator._row[1].clone()
    step(generator, active=(0,))
    assert [generator.position(slot) for slot in (0, 1)] == [before[0] + 1, before[1]]
    assert torch.equal(generator._row[1], row)


def test_the_text_chosen_in_one_step_is_that_of_the_next_frame() -> None:
    generator = primed()
    chosen = step(generator).next_text
    assert int(step(generator).frame[0, 0]) == int(chosen)
    forced = step(generator, forced=77).next_text
    assert int(forced) == 77
    assert int(step(generator).frame[0, 0]) == 77


def test_a_bonus_makes_the_agent_silent() -> None:
    generator = primed(sampling=Sampling(padding_bonus=500.0))
    assert [int(step(generator).next_text) for _ in range(5)] == [PAD] * 5


def test_what_was_said_lately_is_penalised_only_where_asked() -> None:
    plain, strict = primed(), primed(sampling=Sampling(text_temperature=0, text_top_k=1, repetition_penalty=50.0))
    favourite = int(step(plain).next_text)
    assert int(step(strict, recent=(favourite,)).next_text) != favourite
    again = primed()
    assert int(step(again, recent=(favourite,)).next_text) == favourite


def test_a_seed_decides_and_another_decides_otherwise() -> None:
    def said(seed: int) -> list[int]:
        generator = primed(sampling=Sampling(seed=seed))
        return [int(step(generator).next_text) for _ in range(12)]

    assert said(2**70 + 5) == said(2**70 + 5)
    assert said(1) != said(2)


def test_a_cleared_slot_is_as_new() -> None:
    generator = primed()
    due = [int(step(generator).next_text) for _ in range(6)]
    generator.clear(0)
    assert generator.position(0) == 0
    generator.configure(0, GREEDY)
    prime(generator, 0, Prompt(None, (5, 6)))
    step(generator)
    assert [int(step(generator).next_text) for _ in range(6)] == due


def test_what_is_kept_serves_another_slot() -> None:
    generator = BatchGenerator(tiny.language_model(), 2)
    inputs = generator.embed(np.random.default_rng(0).integers(0, 400, (10, 17)))
    whole = generator.prefill(0, inputs)
    generator.clear(0)
    generator.prefill(0, inputs[:6])
    generator.put(1, generator.keep(0))
    assert generator.position(1) == 6
    torch.testing.assert_close(generator.prefill(1, inputs[6:]), whole[6:], atol=1e-4, rtol=1e-4)


def test_it_tells_what_its_state_takes() -> None:
    assert (
        BatchGenerator(tiny.language_model(), 4).n_state_bytes()
        > BatchGenerator(tiny.language_model(), 2).n_state_bytes()
    )


def test_a_neighbour_with_another_top_k_changes_nothing() -> None:
    def said(neighbour: Sampling) -> list[list[int]]:
        generator = primed(2, Sampling(seed=3))
        generator.configure(1, neighbour)
        return [step(generator, active=(0, 1)).frame[0].tolist() for _ in range(6)]

    assert said(Sampling(seed=9)) == said(Sampling(seed=9, audio_top_k=20))
