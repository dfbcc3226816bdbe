"""Linear layers in 8 bits: close to what they were, half the memory, and moshi takes them for linear layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from services.voice_worker.engines.personaplex.model.quantize import Int8Linear


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_are_close(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    exact = nn.Linear(128, 300, bias=False).to(dtype)
    exact.weight.data.normal_(generator=generator)
    layer = Int8Linear.of(exact)
    layer.take(exact.weight.detach())
    x = torch.randn(4, 128, generator=generator).to(dtype)
    due, got = exact(x).float(), layer(x).float()
    assert got.dtype is torch.float32
    assert (got - due).pow(2).mean().sqrt() / due.pow(2).mean().sqrt() < 0.01
    assert layer.weight.dtype is dtype


def test_it_is_half_the_size_of_bf16() -> None:
    layer = Int8Linear(1024, 1024, torch.bfloat16)
    layer.take(torch.randn(1024, 1024))
    n_bytes = sum(buffer.numel() * buffer.element_size() for buffer in layer.buffers())
    assert n_bytes < 0.51 * 1024 * 1024 * 2
    assert list(layer.parameters()) == []


def test_a_row_of_zeros_and_another_shape() -> None:
    layer = Int8Linear(8, 4, torch.float32)
    layer.take(torch.zeros(4, 8))
    assert layer(torch.ones(1, 8)).abs().sum() == 0
    with pytest.raises(ValueError, match="shape"):
        layer.take(torch.zeros(8, 4))


def test_only_large_layers_without_bias_are_replaced() -> None:
    module = nn.Sequential(
        nn.Linear(8, 512, bias=False),
        nn.Linear(8, 512),
        nn.Linear(512, 8, bias=False),
        nn.Sequential(nn.Linear(4, 300, bias=False)),
    )
    Int8Linear.replace_all(module)
    assert [type(layer) is Int8Linear for layer in (module[0], module[1], module[2], module[3][0])] == [
        True,
        False,
        False,
        True,
    ]
