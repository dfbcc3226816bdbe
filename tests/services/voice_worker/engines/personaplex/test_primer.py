"""Prefill in pieces beside running slots: the same state as at once, and nobody notices."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from services.voice_worker.engines.personaplex.model import priming, streaming, tiny
from services.voice_worker.engines.personaplex.model.batch import Batch
from services.voice_worker.engines.personaplex.model.codec import BatchCodec
from services.voice_worker.engines.personaplex.model.generator import BatchGenerator
from services.voice_worker.engines.personaplex.model.priming import Prompt
from services.voice_worker.engines.personaplex.model.sampling import Sampling
from services.voice_worker.engines.personaplex.model.voice_files import CodesVoice, EmbeddedVoice, embedded_voice
from services.voice_worker.engines.personaplex.primer import Primer
from services.voice_worker.engines.personaplex.slot import Conversation, Phase
from services.voice_worker.engines.personaplex.steering.words import WordAssembler
from services.voice_worker.engines.personaplex.tokens import positions_of, prompt_frames
from shared.audio import FRAME_SAMPLES

torch.set_num_threads(1)


def batch(slots: int) -> Batch:
    return Batch(
        BatchGenerator(tiny.language_model({**tiny.TINY, "context": 100}), slots), BatchCodec(tiny.codec(), slots)
    )


def conversation(slot: int) -> Conversation:
    return Conversation(slot, "free", WordAssembler(tiny.tokenizer().id_to_piece))


def prompt(n_voice: int = 14, n_text: int = 8) -> Prompt:
    rng = np.random.default_rng(0)
    return Prompt(CodesVoice("anna", rng.integers(0, 2048, (n_voice, 8))), tuple(rng.integers(4, 400, n_text).tolist()))


def sound() -> Iterator[np.ndarray]:
    rng = np.random.default_rng(1)
    while True:
        yield rng.normal(0, 0.1, FRAME_SAMPLES).astype(np.float32)


def talk(primer: Primer, batch: Batch, one: Conversation, n_frames: int, **kept: Prompt) -> None:
    """Run ticks with prefill between them, as the model loop does."""
    noise = sound()
    for _ in range(n_frames):
        if one.phase is Phase.LIVE:
            one.feed(next(noise), "1-1")
        tick(primer, batch, one)
        if "refresh" in kept and one.phase is Phase.LIVE:
            primer.refresh(one, kept["refresh"])


def tick(primer: Primer, batch: Batch, *talks: Conversation) -> None:
    inputs = {one.slot: given for one in talks if (given := one.next_input(False))}
    if inputs:
        outputs = batch.tick(inputs)
        for one in talks:
            if one.slot in outputs:
                one.take(outputs[one.slot])
    primer.work()


def keys(batch: Batch, slot: int) -> list[torch.Tensor]:
    states = streaming.view(batch.generator._states, slot)
    return streaming.keys_and_values(states, batch.generator.position(slot))


def test_a_prompt_in_pieces_is_the_prompt_at_once() -> None:
    whole, pieces = batch(1), batch(1)
    priming.prime(whole.generator, 0, prompt())
    primer, one = Primer(pieces, budget=7), conversation(0)
    primer.start(one, prompt(), Sampling())
    n_calls = 0
    while primer.busy:
        primer.work()
        n_calls += 1
    assert n_calls >= 2
    assert one.phase is Phase.BOUNDARY
    for mine, due in zip(keys(pieces, 0), keys(whole, 0), strict=True):
        torch.testing.assert_close(mine, due, atol=1e-4, rtol=1e-4)
    assert torch.equal(pieces.generator._row, whole.generator._row)


def test_a_voice_is_prefilled_once_and_serves_every_session() -> None:
    shared, fresh = batch(2), batch(1)
    primer = Primer(shared)
    first, second = conversation(0), conversation(1)
    primer.start(first, prompt(n_text=3), Sampling())
    while primer.busy:
        primer.work()
    primer.start(second, prompt(n_text=8), Sampling())
    while primer.busy:
        primer.work()
    priming.prime(fresh.generator, 0, prompt(n_text=8))
    for mine, due in zip(keys(shared, 1), keys(fresh, 0), strict=True):
        torch.testing.assert_close(mine, due, atol=1e-4, rtol=1e-4)
    assert list(primer._voices) == ["anna"]


def test_a_slot_whose_context_runs_full_goes_on_without_a_gap() -> None:
    running = batch(1)
    primer, one = Primer(running, budget=16), conversation(0)
    primer.start(one, prompt(), Sampling())
    positions = []
    noise = sound()
    out = fed = 0
    for _ in range(230):
        if one.phase is Phase.LIVE:
            one.feed(next(noise), "1-1")
            fed += 1
        tick(primer, running, one)
        out += len(one.collect())
        if one.phase is Phase.LIVE:
            primer.refresh(one, prompt())
        positions.append(running.generator.position(0))
    exchanges = sum(later < earlier for earlier, later in itertools.pairwise(positions))
    assert exchanges >= 3
    assert max(positions) < 100
    assert out == fed


def test_a_rebuilt_slot_remembers_prompt_and_history_exactly() -> None:
    running, due = batch(1), batch(1)
    primer, one = Primer(running, budget=16), conversation(0)
    primer.start(one, prompt(), Sampling())
    noise = sound()
    before = after = 0
    while not before or after >= before:
        if one.phase is Phase.LIVE:
            one.feed(next(noise), "1-1")
        tick(primer, running, one)
        before, after = after, running.generator.position(0)
        if one.phase is Phase.LIVE and after >= before:
            primer.refresh(one, prompt())
    n_history = after - prompt().n_frames
    history = one.history[-n_history:]
    due.generator.prefill(0, priming.again_inputs(due.generator, prompt(), history))
    for mine, other in zip(keys(running, 0), keys(due, 0), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


def test_what_is_over_is_not_primed() -> None:
    running = batch(2)
    primer = Primer(running, budget=4)
    first, second = conversation(0), conversation(1)
    primer.start(first, prompt(), Sampling())
    primer.start(second, prompt(), Sampling())
    primer.work()
    primer.forget(first)
    while primer.busy:
        primer.work()
    assert first.phase is Phase.PRIMING
    assert second.phase is Phase.BOUNDARY


def test_a_prompt_may_fill_half_of_the_context() -> None:
    primer = Primer(batch(1))
    assert primer.fits(prompt(n_voice=30, n_text=8))
    assert not primer.fits(prompt(n_voice=30, n_text=9))


@pytest.mark.parametrize("n_text", [0, 9])
def test_a_published_voice_gives_the_state_of_its_codes(n_text: int) -> None:
    """The same voice as codes, and as the finished inputs and ring of a published file."""
    codes = prompt(n_voice=20).voice
    assert isinstance(codes, CodesVoice)
    tokens = tuple(range(10, 10 + n_text))
    first, second = batch(1), batch(1)
    priming.prime(first.generator, 0, Prompt(codes, tokens))
    priming.prime(second.generator, 0, Prompt(published(second, codes), tokens))
    for mine, due in zip(keys(second, 0), keys(first, 0), strict=True):
        torch.testing.assert_close(mine, due, atol=1e-4, rtol=1e-4)
    assert torch.equal(first.generator._row, second.generator._row)


def published(batch: Batch, voice: CodesVoice) -> EmbeddedVoice:
    n = voice.n_frames
    rows = positions_of(prompt_frames(voice.codes, ()), *batch.generator.initial)
    ring = np.full((17, 4), 7)
    for position in (n - 1, n):
        ring[:, position % 4] = rows[position]
    inputs = batch.generator.embed(rows[: n - 1])
    return embedded_voice("anna.pt", inputs[:, None, None], torch.from_numpy(ring)[None])
