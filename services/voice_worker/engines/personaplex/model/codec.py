"""Mimi for all slots at once: one encode and one decode a tick, a slot cleared so that nothing of it is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from services.voice_worker.engines.personaplex.model import streaming
from services.voice_worker.engines.personaplex.model.compiling import compile_only_on_gpu
from services.voice_worker.engines.personaplex.tokens import N_CODEBOOKS, Codes
from shared.audio import FRAME_SAMPLES

MAX_WHOLE_FRAMES = 1_500
"""Frames that are encoded in one piece (2 min): attention over a piece grows with its square."""


class BatchCodec:
    """`slots` streams through one Mimi. Every call on one thread.

    `n_codebooks` more than 8 are for a recogniser that shares the encoder: the first 8 stay the same.
    """

    def __init__(self, mimi: Any, slots: int, n_codebooks: int = N_CODEBOOKS) -> None:
        self.device = next(mimi.parameters()).device
        compile_only_on_gpu(self.device)
        self._mimi = mimi
        mimi.set_num_codebooks(n_codebooks)
        mimi.streaming_forever(slots)
        self._states = mimi.get_streaming_state()

    @torch.no_grad()
    def encode(self, pcm: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        """Return the codes int64 [B, n_codebooks] of one frame for each slot, `pcm` [B, 1920]; only `active` advance.

        What is no number counts as silence, what is too loud is cut: one caller's NaN must not stay in the state.
        """
        clean = pcm.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).clamp(-1.0, 1.0)
        self._mimi.set_exec_mask(active)
        codes: torch.Tensor = self._mimi.encode(clean[:, None])
        return codes[:, :, 0]

    @torch.no_grad()
    def decode(self, codes: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        """Return sound [B, 1920] for the agent's codes [B, 8]; rows of slots that are not `active` mean nothing.

        Those rows may hold tokens that are no codes; the codec must not be asked for them, masked or not.
        """
        self._mimi.set_exec_mask(active)
        pcm: torch.Tensor = self._mimi.decode(codes.clamp(0, self._mimi.cardinality - 1)[:, :, None])
        return pcm[:, 0]

    def clear(self, slot: int) -> None:
        """Forget everything of a slot, encoder and decoder."""
        streaming.clear(self._states, slot)

    @torch.no_grad()
    def encode_whole(self, pcm: NDArray[np.float32]) -> Codes:
        """Return the codes [n, 8] of a recording [n * 1920], as if heard frame by frame; the slots do not notice."""
        n = len(pcm) // FRAME_SAMPLES
        parts = []
        for start in range(0, n, MAX_WHOLE_FRAMES):
            piece = pcm[start * FRAME_SAMPLES : min(start + MAX_WHOLE_FRAMES, n) * FRAME_SAMPLES]
            sound = torch.from_numpy(np.clip(np.nan_to_num(piece), -1.0, 1.0)).to(self.device)
            with self._at_rest():
                parts.append(self._mimi.encode(sound[None, None])[0, :N_CODEBOOKS].T.cpu().numpy())
        return np.concatenate(parts) if parts else np.empty((0, N_CODEBOOKS), dtype=np.int64)

    def n_state_bytes(self) -> int:
        """Return the bytes of all slots' states."""
        return streaming.n_bytes(self._states)

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        with streaming.using(self._mimi, streaming.no_states(self._states)):
            yield
