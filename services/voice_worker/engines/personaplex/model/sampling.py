"""Sampling for each slot by itself: own temperature, top-k and seed, the same tokens whatever the neighbours do.

A token is drawn by the Gumbel-max rule (Gumbel 1954; Maddison et al. 2014, "A* Sampling"): argmax(logits + T * G)
is distributed as softmax(logits / T), and is the greedy choice at T = 0. The noise G is no stream of a generator but
a hash of (seed, frame, stream, token), so it does not depend on batch size, slot or order. Nothing here syncs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number: splitmix64's increment
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one session samples. Temperature 0 is greedy. PersonaPlex' own defaults (NVIDIA/personaplex, offline.py).

    `padding_bonus` is added to the logit of PAD: above 0 the agent speaks less. `repetition_penalty` 1 is none.
    """

    text_temperature: float = 0.7
    text_top_k: int = 25
    audio_temperature: float = 0.8
    audio_top_k: int = 250
    repetition_penalty: float = 1.0
    padding_bonus: float = 0.0
    seed: int = 42_424_242


GREEDY = Sampling(text_temperature=0.0, text_top_k=1, audio_temperature=0.0, audio_top_k=1)


def key_of(seed: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
    """Return the key of a frame's noise, int64 [B], from `seed` and `frame`, int64 [B]."""
    return _mixed(seed + frame * _GOLDEN)


def uniform(key: torch.Tensor, stream: int, token: torch.Tensor) -> torch.Tensor:
    """Return numbers in (0, 1) of the shape of `token` [B, K]; `key` is that of `key_of`."""
    bits = _mixed(key[:, None] + (token * 64 + stream + 1) * _GOLDEN)
    return (((bits >> 40) & 0xFFFFFF).float() + 0.5) * 2**-24


def sample(
    logits: torch.Tensor,
    temperature: torch.Tensor,
    top_k: torch.Tensor,
    key: torch.Tensor,
    stream: int,
    max_top_k: int,
    ranked: bool = True,
) -> torch.Tensor:
    """Return one token for each row, int64 [B].

    `logits` [B, card]; `temperature` float [B]; `top_k` int [B], at most `max_top_k` of it counts; `key` is
    that of `key_of`; `stream` names which of the 17 streams it is. `ranked` false leaves the order of the tokens
    out, which costs a third of the time: for rows that are greedy or have `max_top_k`. It draws the same tokens.
    """
    k = min(max_top_k, logits.shape[-1])
    values, tokens = _largest(logits.float(), k, ranked)
    noise = -torch.log(-torch.log(uniform(key, stream, tokens)))
    score = values + temperature[:, None] * noise
    if ranked:
        allowed = torch.arange(k, device=logits.device)[None, :] < top_k[:, None]
        score = torch.where(allowed, score, torch.full_like(score, -torch.inf))
    best = score.argmax(dim=-1, keepdim=True)
    return tokens.gather(-1, best)[:, 0]


def penalise(logits: torch.Tensor, recent: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
    """Return `logits` [B, card] with what was said lately made less likely.

    `recent` int64 [B, n], -1 where there is none; `penalty` float [B], 1 for none. Formula: Keskar et al. 2019
    (CTRL), section 4.1: a positive logit is divided by the penalty, a negative one multiplied.
    """
    known = recent >= 0
    index = recent.clamp(min=0)
    old = logits.gather(-1, index)
    factor = penalty[:, None].expand_as(old)
    less = torch.where(known, torch.where(old > 0, old / factor, old * factor) - old, torch.zeros_like(old))
    # A token that stands there twice is penalised once: the change of every place is the same, and the least counts.
    return logits + torch.zeros_like(logits).scatter_reduce(-1, index, less, "amin")


def _largest(logits: torch.Tensor, k: int, ranked: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the `k` largest of each row and where they stand; a NaN counts as the largest.

    On a CPU numpy's vectorised partition takes a third of the time of torch's top-k at 16 rows; it has no order.
    """
    if ranked or logits.device.type != "cpu":
        largest = torch.topk(logits, k, dim=-1, sorted=ranked)
        return largest.values, largest.indices
    tokens = torch.from_numpy(np.argpartition(logits.numpy(), -k, axis=-1)[:, -k:])
    return logits.gather(-1, tokens), tokens


def _mixed(value: torch.Tensor) -> torch.Tensor:
    """splitmix64's finalizer (Steele, Lea, Flood 2014) on int64, whose products wrap as unsigned ones do."""
    value = (value ^ ((value >> 30) & 0x3_FFFF_FFFF)) * _MIX_1
    value = (value ^ ((value >> 27) & 0x1F_FFFF_FFFF)) * _MIX_2
    return value ^ ((value >> 31) & 0x1_FFFF_FFFF)
