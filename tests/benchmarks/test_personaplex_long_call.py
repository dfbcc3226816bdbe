"""A conversation that outlives its context several times: one frame out for each in, nothing grows."""

from __future__ import annotations

import pytest
import torch

from benchmarks.personaplex_long_call import PADDING_BONUS, LongCall, Rebuilt, Record, faults, prompt
from services.voice_worker.engines.personaplex.model.priming import Prompt

CONTEXT = 300


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def call(n_frames: int, given: Prompt, padding_bonus: float) -> Record:
    one = LongCall(CONTEXT, given, padding_bonus=padding_bonus)
    one.take_memory()
    for _ in one.run(n_frames):
        pass
    one.take_memory()
    return one.record


def test_a_call_is_rebuilt_in_calm_moments_and_nobody_notices() -> None:
    record = call(400, prompt(150), PADDING_BONUS)
    assert (record.fed, record.answered, record.muted, record.restarts) == (400, 400, 0, [])
    assert faults(record) == []
    assert len(record.rebuilt) >= 5
    assert not any(one.forced for one in record.rebuilt)
    assert all(0.8 * CONTEXT <= one.position < 0.95 * CONTEXT for one in record.rebuilt)
    assert all(150 <= one.now < one.position for one in record.rebuilt)


def test_a_call_that_is_never_calm_is_rebuilt_before_its_context_is_full() -> None:
    record = call(200, prompt(150), 0.0)
    assert faults(record) == []
    assert len(record.rebuilt) >= 2
    assert all(one.forced for one in record.rebuilt)
    assert all(one.position <= 0.95 * CONTEXT + 1 for one in record.rebuilt)


def test_what_is_wrong_is_told() -> None:
    assert faults(Record(state_bytes=[5, 5], rss_mb=[100.0, 110.0], rebuilt=[Rebuilt(1, 9, 5, True)])) == []
    told = faults(Record(wrong=[7, 9], muted=2, state_bytes=[5, 6], rss_mb=[100.0, 200.0]))
    assert [text.split()[0] for text in told] == ["2", "2", "the", "resident"]
