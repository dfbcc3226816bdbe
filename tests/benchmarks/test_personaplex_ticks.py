"""The row of one batch, and the models it runs on."""

from __future__ import annotations

import torch

from benchmarks.personaplex_ticks import HEADS, measure, models


def test_a_batch_of_each_size_is_measured_on_the_same_models() -> None:
    torch.set_num_threads(1)
    lm, mimi = models("tiny", "", torch.device("cpu"))
    rows = [measure(lm, mimi, slots, ticks=3) for slots in (1, 2)]
    assert [row[0] for row in rows] == ["1", "2"]
    assert all(len(row) == len(HEADS) for row in rows)
    assert all(float(figure) > 0 for row in rows for figure in (*row[1:4], *row[5:]))
