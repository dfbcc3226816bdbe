"""How many sessions a card holds, and how fast it could be at best: memory and bandwidth arithmetic. Pure, no torch.

Sizes are in bytes, GB are 10^9 bytes. `splitbrain models size personaplex` prints what this says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

WeightBits = Literal[16, 8]

CONTEXT: Final = 3_000
"""Frames that a session can look back on (240 s); each takes KV memory whether it is used yet or not."""

TICK_MS: Final = 80.0
"""Length of a frame: a tick that takes longer is not real time."""

BUDGET_MS: Final = 60.0
"""What a tick may spend on the language model; the rest is the codec's, the copies' and the host's."""

_GB = 1e9
_BF16 = 2

_DIM = 4_096
_LAYERS = 32
_FEEDFORWARD = 11_264
"""2/3 of 4.125 * 4096: the two halves of a gated layer."""
_TEXT_CARD = 32_000
_AUDIO_CARD = 2_048
_CODEBOOKS = 16
_DEPTH_DIM = 1_024
_DEPTH_LAYERS = 6
_DEPTH_STEPS = 8
_DEPTH_FEEDFORWARD = 2_816

TEMPORAL_PARAMETERS: Final = _LAYERS * (4 * _DIM**2 + 3 * _DIM * _FEEDFORWARD + 2 * _DIM)
"""6.577 billion: attention, gated feed-forward, two norms a layer."""

TEXT_HEAD_PARAMETERS: Final = _TEXT_CARD * _DIM + _DIM
"""0.131 billion, with the last norm."""

DEPTH_PARAMETERS: Final = (
    _DEPTH_STEPS * _DEPTH_LAYERS * (4 * _DEPTH_DIM**2 + 3 * _DEPTH_DIM * _DEPTH_FEEDFORWARD)
    + 2 * _DEPTH_LAYERS * _DEPTH_DIM
    + _DEPTH_STEPS * (_DIM * _DEPTH_DIM + _AUDIO_CARD * _DEPTH_DIM)
    + (_DEPTH_STEPS - 1) * (_AUDIO_CARD + 1) * _DEPTH_DIM
    + (_TEXT_CARD + 1) * _DEPTH_DIM
)
"""0.714 billion: eight steps of six layers with weights of their own, their inputs, heads and embeddings."""

EMBEDDING_PARAMETERS: Final = ((_TEXT_CARD + 1) + _CODEBOOKS * (_AUDIO_CARD + 1)) * _DIM
"""0.265 billion; a tick reads a few rows of them only."""

MODEL_PARAMETERS: Final = TEMPORAL_PARAMETERS + TEXT_HEAD_PARAMETERS + DEPTH_PARAMETERS + EMBEDDING_PARAMETERS
"""7.688 billion. The published file has 8.371: eight more depth steps, which are cut away when it is loaded."""

MODEL_BYTES: Final[dict[WeightBits, int]] = {16: MODEL_PARAMETERS * _BF16, 8: 8_008_619_008}
"""By bits of a weight. With 8 the embeddings and norms stay bf16, and each row has a float32 scale: counted on the
model as it is built."""

CODEC_BYTES: Final = 384_605_572
"""Mimi, 79.3 M parameters in float32 and its buffers."""

CODEC_STATE_BYTES: Final = 16_481_038
"""What Mimi keeps for each slot: 250 positions of 2 * 8 layers in float32, and the tails of its convolutions."""

KV_BYTES_PER_FRAME: Final = 2 * _LAYERS * _DIM * _BF16
"""512 KiB: a key and a value of 4096 numbers in each of 32 layers, bf16."""

KEPT_VOICES_BYTES: Final = 16 * 100 * KV_BYTES_PER_FRAME
"""Voices whose prompt is kept ready: 16 of 100 frames (8 s) each."""

RESERVE_BYTES: Final = 500_000_000
RESERVE_SHARE: Final = 0.06
"""Left alone: the CUDA context, workspaces and graphs, one matrix that is made bf16 from 8 bits, fragmentation. An
estimate; nothing of it is measured."""

READ_PARAMETERS: Final = TEMPORAL_PARAMETERS + TEXT_HEAD_PARAMETERS + DEPTH_PARAMETERS
"""What a tick reads whole, the depth embeddings counted in: 7.42 billion, 14.84 GB in bf16."""

PUBLISHED_TICKS_MS: Final[dict[int, float]] = {2: 28.0, 8: 32.6, 16: 45.0, 32: 70.2}
"""Measured milliseconds of a tick by batch: this model in another server, in lockstep, on one GPU that is not named.
From the thread vllm-project/vllm-omni#7389. Launching kernels dominates there, not reading."""


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU as it is sold: memory in GB, memory bandwidth in GB/s from its data sheet."""

    name: str
    memory_gb: float
    bandwidth_gb_s: float


CARDS: Final[tuple[Card, ...]] = (
    Card("H100 80GB SXM", 80, 3_350),
    Card("H100 80GB PCIe", 80, 2_000),
    Card("H200 141GB", 141, 4_800),
    Card("A100 80GB SXM", 80, 2_039),
    Card("A100 40GB SXM", 40, 1_555),
    Card("L40S 48GB", 48, 864),
    Card("RTX 6000 Ada 48GB", 48, 960),
    Card("RTX A6000 48GB", 48, 768),
    Card("RTX 5090 32GB", 32, 1_792),
    Card("RTX 4090 24GB", 24, 1_008),
    Card("RTX 3090 24GB", 24, 936),
    Card("A10 24GB", 24, 600),
    Card("L4 24GB", 24, 300),
    Card("GB10 128GB", 128, 273),
)

_GENERAL = frozenset(("rtx", "sxm", "pcie"))
_SLOWER = frozenset(("laptop", "max", "mobile"))


@dataclass(frozen=True, slots=True)
class Part:
    """A share of the card's memory, in bytes."""

    name: str
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Fit:
    """What fits a memory: `slots` sessions of `slot_bytes` each, beside the fixed `parts`; 0 if not even these fit."""

    memory_bytes: int
    weight_bits: WeightBits
    context: int
    slots: int
    slot_bytes: int
    parts: tuple[Part, ...]

    @property
    def fixed_bytes(self) -> int:
        """Bytes that are needed before the first session."""
        return sum(part.n_bytes for part in self.parts)

    def needed_bytes(self, slots: int) -> int:
        """Return the bytes that so many slots need in all."""
        return self.fixed_bytes + slots * self.slot_bytes


def kv_bytes(context: int = CONTEXT) -> int:
    """Return the bytes of a session's keys and values: 1.573 GB for 3000 frames."""
    return context * KV_BYTES_PER_FRAME


def fit(memory_bytes: int, *, weight_bits: WeightBits, context: int = CONTEXT) -> Fit:
    """Return how many slots fit `memory_bytes`, and what takes the rest. Says nothing about speed."""
    parts = (
        Part("language model", MODEL_BYTES[weight_bits]),
        Part("codec", CODEC_BYTES),
        Part("spare context", kv_bytes(context)),
        Part("kept voices", KEPT_VOICES_BYTES),
        Part("reserve", RESERVE_BYTES + round(RESERVE_SHARE * memory_bytes)),
    )
    slot_bytes = kv_bytes(context) + CODEC_STATE_BYTES
    left = memory_bytes - sum(part.n_bytes for part in parts)
    return Fit(memory_bytes, weight_bits, context, max(left // slot_bytes, 0), slot_bytes, parts)


def tick_floor_ms(card: Card, batch: int, *, weight_bits: WeightBits = 16, context: int = CONTEXT) -> float:
    """Return the least milliseconds of a tick: its bytes (weights once, `batch` full contexts) by bandwidth.

    A roofline, not a forecast: launches come on top. For 8 bits it supposes kernels that read them as they are;
    `model.quantize` makes each matrix bf16 first, which moves more: there 8 bits save memory and cost time.
    """
    return (_weight_bytes_read(weight_bits) + batch * kv_bytes(context)) / (card.bandwidth_gb_s * _GB) * 1e3


def bandwidth_cap(
    card: Card, budget_ms: float = BUDGET_MS, *, weight_bits: WeightBits = 16, context: int = CONTEXT
) -> int:
    """Return the sessions whose tick could be read within `budget_ms` by the same arithmetic, at least 0."""
    readable = card.bandwidth_gb_s * _GB * budget_ms / 1e3 - _weight_bytes_read(weight_bits)
    return max(int(readable // kv_bytes(context)), 0)


def find_card(name: str) -> Card | None:
    """Return the card that a person or a driver calls `name` ("l40s", "NVIDIA A100-SXM4-80GB"); None if unknown.

    The words of the model itself must all be in `name`; of several cards the one that shares most words is taken,
    else the first. Cards of laptops share names with others and are slower: they are unknown.
    """
    words = _words(name)
    if words & _SLOWER:
        return None
    words |= {f"{word}gb" for word in words if word.isdigit()}
    chosen, most = None, 0
    for card in CARDS:
        own = _words(card.name)
        shared = len(own & words)
        if _model_words(own) <= words and shared > most:
            chosen, most = card, shared
    return chosen


def _weight_bytes_read(weight_bits: WeightBits) -> int:
    return READ_PARAMETERS * weight_bits // 8


def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+\d*[a-z]*|\d+[a-z]*", re.sub(r"sxm\d", "sxm", name.lower())))


def _model_words(words: frozenset[str]) -> frozenset[str]:
    return frozenset(word for word in words - _GENERAL if not re.fullmatch(r"\d+gb", word))
