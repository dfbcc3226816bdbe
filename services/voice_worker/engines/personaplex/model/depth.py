"""The depth transformer of one step, unrolled over its 8 codebooks.

The same numbers as moshi's `forward_depformer` in a streaming state, with a third of its operations: no ring, no
mask, no offsets, since every codebook sees all before it. At this size the launches cost, not the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

Choose = Callable[[int, torch.Tensor], torch.Tensor]
"""Takes the number of a codebook and its logits [B, card]; returns the token to go on with, int64 [B]."""


class DepthTransformer:
    """Reads the weights of an `LMModel` with weights per step, no positional embedding and no layer scale."""

    def __init__(self, lm: Any) -> None:
        self._lm = lm
        self._layers = list(lm.depformer.layers)
        self._heads: int = self._layers[0].self_attn.num_heads

    def __call__(self, text: torch.Tensor, hidden: torch.Tensor, choose: Choose) -> torch.Tensor:
        """Return the agent's tokens, int64 [B, 8]. `text` int64 [B]; `hidden` [B, 1, dim] of the main transformer."""
        lm = self._lm
        tokens: list[torch.Tensor] = []
        past: list[tuple[list[torch.Tensor], list[torch.Tensor]]] = [([], []) for _ in self._layers]
        previous = text
        for step in range(lm.dep_q):
            embed = lm.depformer_text_emb if step == 0 else lm.depformer_emb[step - 1]
            x = lm.depformer_in[step](hidden) + embed(previous[:, None])
            for layer, seen in zip(self._layers, past, strict=True):
                x = self._run(layer, step, x, seen)
            logits = lm.linears[step](lm.depformer_norms[step](x))[:, 0]
            previous = choose(step, logits)
            tokens.append(previous)
        return torch.stack(tokens, dim=1)

    def _run(
        self, layer: Any, step: int, x: torch.Tensor, seen: tuple[list[torch.Tensor], list[torch.Tensor]]
    ) -> torch.Tensor:
        attention = layer.self_attn
        batch = x.shape[0]
        projected = attention.in_projs[step](layer.norm1(x)).view(batch, 3, self._heads, -1)
        keys, values = seen
        keys.append(projected[:, 1])
        values.append(projected[:, 2])
        query = projected[:, 0].unsqueeze(2)
        mixed = scaled_dot_product_attention(query, torch.stack(keys, dim=2), torch.stack(values, dim=2))
        x = x + attention.out_projs[step](mixed.reshape(batch, 1, -1))
        update: torch.Tensor = layer.gating[step](layer.norm2(x))
        return x + update
