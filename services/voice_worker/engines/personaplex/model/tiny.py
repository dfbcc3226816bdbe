"""A PersonaPlex in miniature: random weights from a seed, a small Mimi and tokenizer. For tests and demos on a CPU.

Everything but the size is that of the real one: the same classes, streams, delays and code paths. What it says and
how it sounds means nothing.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import sentencepiece
import torch
from moshi.models import loaders
from moshi.models.compression import MimiModel
from moshi.models.lm import LMModel

from services.voice_worker.engines.personaplex.model import checkpoint

SEED: Final = 7
VOCABULARY: Final = 400

TINY: Final[Mapping[str, Any]] = {
    **checkpoint.PERSONAPLEX_7B,
    "dim": 64,
    "text_card": VOCABULARY,
    "num_heads": 4,
    "num_layers": 2,
    "context": 600,
    "depformer_dim": 32,
    "depformer_dim_feedforward": 132,
    "depformer_num_heads": 2,
    "depformer_num_layers": 2,
}

MID: Final[Mapping[str, Any]] = {
    **TINY,
    "dim": 1024,
    "num_heads": 8,
    "num_layers": 8,
    "text_card": 4000,
    "depformer_dim": 256,
    "depformer_dim_feedforward": int(4.125 * 256),
    "depformer_num_heads": 4,
    "depformer_num_layers": 3,
}
"""Large enough (240 M parameters) that arithmetic weighs more than calls. For benchmarks."""

_SEANET = {
    "channels": 1,
    "dimension": 32,
    "causal": True,
    "n_filters": 2,
    "n_residual_layers": 1,
    "activation": "ELU",
    "compress": 2,
    "dilation_base": 2,
    "disable_norm_outer_blocks": 0,
    "kernel_size": 7,
    "residual_kernel_size": 3,
    "last_kernel_size": 3,
    "norm": "none",
    "pad_mode": "constant",
    "ratios": [8, 6, 5, 4],
    "true_skip": True,
}
_MIMI = {
    "sample_rate": 24_000,
    "channels": 1,
    "frame_rate": 12.5,
    "seanet": _SEANET,
    "quantizer": {"dimension": 16, "n_q": 32, "bins": 2048, "input_dimension": 32, "output_dimension": 32},
    "transformer": {
        "d_model": 32,
        "num_heads": 4,
        "num_layers": 2,
        "causal": True,
        "layer_scale": 0.01,
        "context": 250,
        "conv_layout": True,
        "max_period": 10_000,
        "gating": "none",
        "norm": "layer_norm",
        "positional_embedding": "rope",
        "dim_feedforward": 64,
        "input_dimension": 32,
        "output_dimensions": [32],
    },
}


def language_model(arguments: Mapping[str, Any] = TINY, seed: int = SEED) -> LMModel:
    """Return a language model with random weights drawn from `seed`, float32 on the CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = checkpoint.build(arguments, "cpu", torch.float32)
        for name, value in model.named_parameters():
            if name.startswith("text_linear"):
                value.mul_(12)  # a random model would else find every token equally likely
    return model


def codec(seed: int = SEED) -> MimiModel:
    """Return a Mimi of 0.1 M parameters with random weights and code books, float32 on the CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mimi = loaders.get_mimi(None, mimi_config=_MIMI, device="cpu")
        for name, value in mimi.named_parameters():
            _liven(name, value.data)
        for half in (mimi.quantizer.rvq_first, mimi.quantizer.rvq_rest):
            for number, layer in enumerate(half.vq.layers):
                layer._codebook.embedding_sum.normal_(std=_LATENT_STD * 0.8**number)
                layer._codebook._initialized.fill_(1.0)
    return mimi.eval().requires_grad_(False)


_LATENT_STD = 0.33
"""What speech at a usual level becomes in the encoder below; the code books are spread alike, so codes vary."""


def _liven(name: str, value: torch.Tensor) -> None:
    """Make up for what random convolutions lose: as initialised, all sound would become one and the same code."""
    if not name.startswith(("encoder.", "decoder.")):
        return
    if name.endswith("bias"):
        value.zero_()
    elif "block" not in name:
        value.mul_(3.5 if name.startswith("encoder.") else 1.9)


@cache
def tokenizer() -> sentencepiece.SentencePieceProcessor:
    """Return a tokenizer of 400 pieces, trained here on our own sentences; ids 0 to 3 mean what they do at Kyutai."""
    text = (files("services.voice_worker.engines.personaplex.model") / "tiny_corpus.txt").read_text("utf-8")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.splitlines()),
        model_writer=model,
        vocab_size=VOCABULARY,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=3,
        model_type="bpe",
        num_threads=1,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
