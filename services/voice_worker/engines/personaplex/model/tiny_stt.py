"""A streaming recogniser in miniature, seeded random weights: the shape of kyutai/stt-1b-en_fr, and no meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from moshi.models.lm import LMModel

from services.voice_worker.engines.personaplex.model import tiny

TINY_STT: Final[Mapping[str, Any]] = {
    "card": 2048,
    "n_q": 32,
    "dep_q": 0,
    "delays": [0] * 33,
    "dim": 64,
    "text_card": tiny.VOCABULARY,
    "existing_text_padding_id": 3,
    "num_heads": 4,
    "num_layers": 2,
    "hidden_scale": 4.125,
    "causal": True,
    "layer_scale": None,
    "context": 40,
    "max_period": 100_000.0,
    "gating": "silu",
    "norm": "rms_norm_f32",
    "positional_embedding": "rope",
    "depformer_dim": 64,
    "depformer_num_heads": 2,
    "depformer_num_layers": 1,
    "depformer_multi_linear": True,
    "depformer_pos_emb": "none",
    "depformer_weights_per_step": True,
    "extra_heads_num_heads": 4,
    "extra_heads_dim": 6,
}


def tiny_stt(arguments: Mapping[str, Any] = TINY_STT, seed: int = tiny.SEED) -> LMModel:
    """Return a recogniser with random weights drawn from `seed`, float32 on the CPU. It reads `tiny.tokenizer`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LMModel(device="cpu", dtype=torch.float32, **arguments)
        for name, value in model.named_parameters():
            if name.startswith(("text_linear", "extra_heads")):
                value.data.mul_(12)  # else every token would be about as likely as the next
    return model.eval().requires_grad_(False)
