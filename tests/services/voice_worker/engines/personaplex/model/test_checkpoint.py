"""Loading: 16 steps become 8, nothing is missing or too much, 8 bits stay close."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from services.voice_worker.engines.personaplex.model import checkpoint, parity
from services.voice_worker.engines.personaplex.model.quantize import Int8Linear
from shared.errors import EngineError, ModelCorrupt

CASE = parity.read_case(Path(__file__).parents[5] / "fixtures" / "personaplex" / "public_1.json")
CPU = torch.device("cpu")


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return parity.random_weights(CASE.weights)


@pytest.fixture
def file(weights: dict[str, torch.Tensor], tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(weights, path)
    return path


def test_the_later_half_of_the_depth_steps_is_cut(weights: dict[str, torch.Tensor]) -> None:
    cut = dict(checkpoint.eight_steps(weights.items()))
    assert "linears.7.weight" in cut
    assert "linears.8.weight" not in cut
    assert "depformer_emb.6.weight" in cut
    assert "depformer_emb.7.weight" not in cut
    name = "depformer.layers.0.self_attn.in_proj_weight"
    assert torch.equal(cut[name], weights[name][: len(weights[name]) // 2])
    name = "transformer.layers.0.self_attn.in_proj_weight"
    assert torch.equal(cut[name], weights[name])


def test_cutting_twice_changes_nothing(weights: dict[str, torch.Tensor]) -> None:
    once = dict(checkpoint.eight_steps(weights.items()))
    twice = dict(checkpoint.eight_steps(once.items()))
    assert {name: value.shape for name, value in twice.items()} == {name: value.shape for name, value in once.items()}


def test_a_file_loads_to_the_same_model_tensor_by_tensor(file: Path) -> None:
    seen: list[tuple[int, int]] = []
    loaded = checkpoint.load(
        file, CPU, torch.float32, arguments=CASE.model, on_tensor=lambda done, total: seen.append((done, total))
    )
    due = parity.build_model(CASE, CPU, torch.float32)
    mine = loaded.state_dict()
    assert mine.keys() == due.state_dict().keys()
    assert all(torch.equal(mine[name], value) for name, value in due.state_dict().items())
    assert seen[-1][0] >= 100


def test_half_precision_keeps_the_norms_exact(file: Path) -> None:
    loaded = checkpoint.load(file, CPU, torch.bfloat16, arguments=CASE.model)
    assert loaded.text_emb.weight.dtype is torch.bfloat16
    assert loaded.device == CPU


def test_eight_bits_are_close_and_smaller(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.voice_worker.engines.personaplex.model.quantize.MIN_ROWS", 64)
    loaded = checkpoint.load(file, CPU, torch.float32, int8=True, arguments=CASE.model)
    exact = parity.build_model(CASE, CPU, torch.float32)
    layer = loaded.transformer.layers[0].self_attn.in_projs[0]
    assert isinstance(layer, Int8Linear)
    due = exact.transformer.layers[0].self_attn.in_projs[0].weight
    assert (layer.weight - due).abs().max() <= 0.51 * (due.abs().amax() / 127)
    assert not torch.equal(layer.weight, due)


@pytest.mark.parametrize("name", ["out_norm.alpha", "linears.3.weight", "depformer.layers.1.gating.2.linear_in.weight"])
def test_a_missing_tensor_is_named(weights: dict[str, torch.Tensor], tmp_path: Path, name: str) -> None:
    del weights[name]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ModelCorrupt, match=name.replace(".", r"\.")):
        checkpoint.load(tmp_path / "model.safetensors", CPU, torch.float32, arguments=CASE.model)
    with pytest.raises(ModelCorrupt, match="not a PersonaPlex model"):
        checkpoint.fill(checkpoint.build(CASE.model, CPU, torch.float32), weights.items())


def test_a_foreign_tensor_is_named(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_file({**weights, "speaker.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelCorrupt, match=r"speaker\.weight"):
        checkpoint.load(tmp_path / "model.safetensors", CPU, torch.float32, arguments=CASE.model)


def test_a_tensor_of_another_size_is_named(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_file({**weights, "text_emb.weight": torch.zeros(7, 64)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelCorrupt, match=r"text_emb\.weight"):
        checkpoint.load(tmp_path / "model.safetensors", CPU, torch.float32, arguments=CASE.model)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(EngineError, match=r"cannot load model\.safetensors"):
        checkpoint.load(tmp_path / "model.safetensors", CPU, torch.float32, arguments=CASE.model)
