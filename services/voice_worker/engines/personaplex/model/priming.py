"""Puts a system prompt into a slot by prefill: voice, silence, persona text, silence. In pieces, if asked to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from services.voice_worker.engines.personaplex.model.generator import BatchGenerator
from services.voice_worker.engines.personaplex.model.voice_files import CodesVoice, EmbeddedVoice
from services.voice_worker.engines.personaplex.tokens import (
    AGENT,
    DELAYS,
    N_STREAMS,
    SILENCE,
    SINE,
    UNKNOWN,
    USER,
    Codes,
    positions_of,
    prompt_frames,
)

Voice = CodesVoice | EmbeddedVoice | None


@dataclass(frozen=True, slots=True)
class Prompt:
    """Who the agent is: its voice, and text tokens that are complete (tags included)."""

    voice: Voice
    text_tokens: tuple[int, ...] = ()

    @property
    def n_frames(self) -> int:
        """Frames of the prompt: voice, two silences, one a token."""
        voice = 0 if self.voice is None else self.voice.n_frames
        return voice + 12 + len(self.text_tokens)


@dataclass(frozen=True, slots=True)
class Boundary:
    """What the last prompt frame's own step needs: the agent's codes (-1: free, the first is) and the user's."""

    agent: Codes
    user: Codes


NO_HISTORY = np.empty((0, N_STREAMS), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Start:
    """How a conversation begins: inputs [T, dim] to prefill, the row of its last given frame, that frame's own step.

    That step chooses the first free text and semantic token; the acoustic codes beside them are still given.
    """

    inputs: torch.Tensor
    row: Codes
    boundary: Boundary


def start_inputs(generator: BatchGenerator, prompt: Prompt, history: Codes = NO_HISTORY) -> Start:
    """Return what puts a prompt, and behind it `history` [H, 17] of a conversation, into a cleared slot."""
    inputs, rows = _inputs(generator, prompt, history)
    boundary = Boundary(np.array((-1, *SILENCE[1:])), np.array(SINE))
    if len(history):
        last = history[-1]
        boundary = Boundary(np.array((-1, *last[AGENT][1:])), last[USER].copy())
    return Start(inputs[:-1], rows[-2], boundary)


def prime(generator: BatchGenerator, slot: int, prompt: Prompt) -> Boundary:
    """Put a whole prompt into a cleared slot at once. The slot's next step must be the boundary's."""
    start = start_inputs(generator, prompt)
    generator.prefill(slot, start.inputs)
    generator.set_row(slot, start.row)
    return start.boundary


def again_inputs(generator: BatchGenerator, prompt: Prompt, history: Codes) -> torch.Tensor:
    """Return the inputs [T, dim] that rebuild a running slot: a prompt, and `history` [H, 17] up to its last frame.

    The slot goes on behind it with the row that it would have seen anyway: nothing is chosen again.
    """
    return _inputs(generator, prompt, history)[0]


def following_inputs(generator: BatchGenerator, before: Codes, frames: Codes) -> torch.Tensor:
    """Return the inputs [n, dim] of `frames` [n, 17] that follow the frame `before` [17]."""
    rows = positions_of(np.concatenate([before[None], frames]), *generator.initial)[1:-1]
    delayed = np.array(DELAYS) == 1
    rows[0, delayed] = before[delayed]  # it is not the first of a conversation
    return generator.embed(rows)


def _inputs(generator: BatchGenerator, prompt: Prompt, history: Codes) -> tuple[torch.Tensor, Codes]:
    voice = prompt.voice
    if isinstance(voice, EmbeddedVoice):
        rows = _rows_after(voice, prompt.text_tokens, history)
        known = generator.embed(rows[:-1])
        return torch.cat([voice.embeddings.to(known), known]), rows
    codes = None if voice is None else voice.codes
    frames = np.concatenate([prompt_frames(codes, prompt.text_tokens), history])
    rows = positions_of(frames, *generator.initial)
    return generator.embed(rows[:-1]), rows


def _rows_after(voice: EmbeddedVoice, text_tokens: tuple[int, ...], history: Codes) -> Codes:
    """Return the rows from position M - 1 on: the inputs before it come ready, its codes are in the voice's ring."""
    frames = np.concatenate([prompt_frames(None, text_tokens), history])
    n = len(frames)
    rows = np.full((n + 2, N_STREAMS), UNKNOWN, dtype=np.int64)
    rows[0] = voice.last
    rows[1] = voice.delayed
    for stream in range(N_STREAMS):
        delay = 0 if rows[1, stream] == UNKNOWN else 1
        rows[1 + delay : 1 + delay + n, stream] = frames[:, stream]
    return rows
