"""Linear layers with 8-bit weights: half the memory of bf16, the same inputs and outputs.

Weight only: each row is an int8 vector and one scale, and becomes bf16 again for its product.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import nn

MIN_ROWS = 256
"""Smaller matrices stay as they are: they save nothing."""


class Int8Linear(nn.Linear):
    """A `nn.Linear` without bias whose `weight` is made from int8 when it is asked for.

    It is a `nn.Linear` to moshi, which reads `weight.dtype` for its caches and `weight` for its gates.
    """

    def __init__(self, in_features: int, out_features: int, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = in_features, out_features
        self._dtype = dtype
        self.register_buffer("rows", torch.empty((out_features, in_features), dtype=torch.int8, device="meta"))
        self.register_buffer("scale", torch.empty((out_features, 1), dtype=torch.float32, device="meta"))
        self.register_parameter("bias", None)

    @property
    def weight(self) -> torch.Tensor:  # type: ignore[override]
        """The weights in the model's own type."""
        rows: torch.Tensor = self.get_buffer("rows")
        scale: torch.Tensor = self.get_buffer("scale")
        return rows.to(self._dtype) * scale.to(self._dtype)

    def take(self, value: torch.Tensor) -> None:
        """Quantise `value` [out, in] to the nearest of 255 steps a row; its device becomes the layer's."""
        if value.shape != (self.out_features, self.in_features):
            raise ValueError(f"shape {tuple(value.shape)} instead of {(self.out_features, self.in_features)}")
        exact = value.float()
        scale = exact.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) / 127
        self.rows = (exact / scale).round().to(torch.int8)
        self.scale = scale

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(input, self.weight)

    @classmethod
    def of(cls, linear: nn.Linear) -> Self:
        """Return an empty one in place of `linear`."""
        return cls(linear.in_features, linear.out_features, linear.weight.dtype)

    @staticmethod
    def replace_all(module: nn.Module) -> None:
        """Put empty 8-bit layers in place of all large linear layers without bias below `module`."""
        for name, child in module.named_children():
            if isinstance(child, nn.Linear) and child.bias is None and child.out_features >= MIN_ROWS:
                setattr(module, name, Int8Linear.of(child))
            else:
                Int8Linear.replace_all(child)
