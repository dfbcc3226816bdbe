"""The tokens of NVIDIA's own implementation: alone, by one prefill, and in a slot of a busy batch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from services.voice_worker.engines.personaplex.model import parity
from services.voice_worker.engines.personaplex.model.generator import BatchGenerator
from shared.errors import BadInput

CASES = Path(__file__).parents[5] / "fixtures" / "personaplex"


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", ["public_1", "public_2"])
def test_every_token_is_equal(name: str, batch: int) -> None:
    verdict = parity.run_case(parity.read_case(CASES / f"{name}.json"), batch)
    assert (verdict.equal, verdict.total, verdict.first_wrong) == (60, 60, -1)


def test_a_wrong_model_is_noticed() -> None:
    case = parity.read_case(CASES / "public_1.json")
    case.user[10] = case.user[11]
    verdict = parity.run_case(case)
    assert verdict.first_wrong in (10, 11)
    assert verdict.equal < 60


def test_half_precision_is_compared_by_its_logits() -> None:
    case = parity.read_case(CASES / "public_1.json")
    verdict = parity.compare_logits(case, "cpu", torch.bfloat16)
    assert verdict.within
    assert 0 < verdict.median_error < verdict.tolerance
    exact = parity.compare_logits(case, "cpu", torch.float32)
    assert exact.median_error < 1e-4


def test_a_case_runs_on_where_the_ring_wraps() -> None:
    """A prompt longer than the context: prefilled as if stepped."""
    case = parity.read_case(CASES / "public_1.json")
    model = {**case.model, "context": 32}
    short = parity.Case(case.name, model, case.weights, case.voice, case.text_tokens, case.user, case.expected)
    generators = [BatchGenerator(parity.build_model(short, torch.device("cpu"), torch.float32), 1) for _ in range(2)]
    rows = np.random.default_rng(0).integers(0, 400, (50, 17))
    whole = generators[0].prefill(0, generators[0].embed(rows))
    steps = [generators[1].prefill(0, generators[1].embed(rows[n : n + 1])) for n in range(50)]
    torch.testing.assert_close(whole, torch.cat(steps), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "format must be"),
        ({"weights": {"rule": "other", "seed": 1, "tensors": []}}, "unknown rule"),
        ({"user_codes": [[1, 2, 3]]}, "8 columns"),
        ({"prompt": {"voice": {"kind": "pt", "file": "../x.npz"}, "text_tokens": []}}, "beside its case"),
        ({"prompt": {"voice": {"kind": "tape"}, "text_tokens": []}}, "unknown kind"),
        ({"expected": {}}, "frames"),
    ],
)
def test_a_file_that_is_no_case_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    data = json.loads((CASES / "public_1.json").read_text("utf-8")) | change
    path = tmp_path / "case.json"
    path.write_text(json.dumps(data), "utf-8")
    with pytest.raises(BadInput, match=message):
        parity.run_case(parity.read_case(path))


def test_other_weights_than_meant_are_noticed() -> None:
    case = parity.read_case(CASES / "public_2.json")
    with pytest.raises(BadInput, match="another hash"):
        parity.random_weights({**case.weights, "seed": 5})


def test_a_batch_has_room_for_the_cases_slot() -> None:
    with pytest.raises(BadInput, match="at least 3"):
        parity.run_case(parity.read_case(CASES / "public_1.json"), 2)
