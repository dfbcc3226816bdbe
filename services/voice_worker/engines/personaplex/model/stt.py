"""Streaming speech to text for all slots at once, on the codes that the codec gives anyway. One thread only.

The model is one of Kyutai's delayed-streams recognisers: an `LMModel` without a depth transformer that reads 32
codebooks of the user's sound and writes one text token a frame.
"""

from __future__ import annotations

from typing import Any

import torch
from moshi.utils.compile import CUDAGraphed

from services.voice_worker.engines.personaplex.listening.hearing import SttConfig
from services.voice_worker.engines.personaplex.model import streaming
from services.voice_worker.engines.personaplex.model.compiling import compile_only_on_gpu
from shared.errors import EngineError


class BatchStt:
    """`slots` streams in one `LMModel`, stepped as moshi's `LMGen` steps one of them. Every call on one thread."""

    def __init__(self, lm: Any, slots: int, config: SttConfig) -> None:
        """EngineError if the model is no recogniser of `config.n_codebooks` codebooks without delays."""
        if lm.dep_q or lm.n_q != config.n_codebooks or any(lm.delays):
            raise EngineError(
                f"the recogniser reads {lm.n_q} codebooks, writes {lm.dep_q} and delays {sorted(set(lm.delays))};"
                f" {config.n_codebooks}, none and 0 are needed"
            )
        self.device: torch.device = lm.device
        compile_only_on_gpu(self.device)
        self._lm = lm
        self._head = lm.extra_heads[config.pause_head] if config.pause_head < len(lm.extra_heads) else None
        lm.streaming_forever(slots)
        self._states = lm.get_streaming_state()
        self._initial = torch.full((1 + lm.n_q,), lm.initial_token_id, dtype=torch.long, device=self.device)
        self._initial[0] = lm.text_initial_token_id
        self._text = torch.zeros(slots, dtype=torch.long, device=self.device)
        self._begun = torch.zeros(slots, dtype=torch.bool, device=self.device)
        self._forward = CUDAGraphed(self._run, disable=self.device.type != "cuda")

    @torch.no_grad()
    def step(self, codes: torch.Tensor, active: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Advance the slots where `active` (bool [B]) by a frame of the user's codes, int64 [B, n_codebooks].

        Returns the text token, int64 [B], and how likely it is that the user has stopped for a while, float [B].
        A slot that is not active, and one whose state is broken (NaN), has token -1 and probability 0.
        As in `LMGen`, the first step of a slot sees initial tokens only: its frame's sound is lost.
        """
        row = torch.cat([self._text[:, None], codes], dim=1)
        row = torch.where((active & self._begun)[:, None], row, self._initial)
        self._lm.set_exec_mask(active)
        text, pause, finite = self._forward(row)
        self._text = torch.where(active, text, self._text)
        self._begun = self._begun | active
        known = active & finite
        return torch.where(known, text, -1), torch.where(known, pause, 0.0)

    def clear(self, slot: int) -> None:
        """Forget everything of a slot."""
        streaming.clear(self._states, slot)
        self._begun[slot] = False

    def _run(self, row: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Greedy, as Kyutai's configuration asks for (`lm_gen_config`: temperatures 0)."""
        hidden, logits = self._lm.forward_text(row[:, :, None], None, None)
        text = logits[:, 0, 0].float().argmax(dim=-1)
        pause = self._pause(hidden[:, 0])
        return text, pause, torch.isfinite(hidden).all(dim=-1)[:, 0]

    def _pause(self, hidden: torch.Tensor) -> torch.Tensor:
        if self._head is None:
            return torch.zeros(len(hidden), device=self.device)
        classes: torch.Tensor = torch.softmax(self._head(hidden).float(), dim=-1)
        return classes[:, 0]
