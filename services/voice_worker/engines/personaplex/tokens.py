"""The model's token layout and the frames of a prompt, as numbers. Pure: numpy only.

17 streams: text, the agent's 8 codebooks, the user's 8. *Frame* f holds what is said in one 80 ms step; the model
works on *positions*: streams with delay 0 (text, agent 0, user 0) of frame f stand at position f, the other ones
at position f + 1. Source of the numbers: NVIDIA/personaplex, `moshi/models/lm.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Codes: TypeAlias = NDArray[np.int64]

PAD: Final = 3
"""Text token of a frame in which no word begins or goes on."""

EPAD: Final = 0
"""Text token of the last padding before a word."""

N_STREAMS: Final = 17
N_CODEBOOKS: Final = 8
AGENT: Final = slice(1, 9)
USER: Final = slice(9, 17)
DELAYS: Final = (0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1)
UNKNOWN: Final = -2
"""Not known yet."""

SILENCE: Final = (948, 243, 1178, 546, 1736, 1030, 1978, 2008)
"""Mimi codes of silence."""

SINE: Final = (430, 1268, 381, 1611, 1095, 1495, 56, 472)
"""Mimi codes of a 440 Hz tone: stands for the user while the model is told who it is."""

SILENCE_FRAMES: Final = 6
"""Half a second of silence after the voice and after the text."""


def frames_of(*, text: int, agent: Sequence[int] | Codes, user: Sequence[int], n: int) -> Codes:
    """Return `n` equal frames, shape [n, 17]; `agent` may instead be [n, 8]."""
    frames = np.empty((n, N_STREAMS), dtype=np.int64)
    frames[:, 0] = text
    frames[:, AGENT] = agent
    frames[:, USER] = user
    return frames


def prompt_frames(voice: Codes | None, text_tokens: Sequence[int]) -> Codes:
    """Return the frames of a system prompt: voice, silence, text, silence; shape [N, 17].

    `voice` holds Mimi codes of the voice to speak with, shape [M, 8]; None leaves the phase out. N = M + 12 + the
    number of text tokens.
    """
    parts = []
    if voice is not None:
        parts.append(frames_of(text=PAD, agent=voice, user=SINE, n=len(voice)))
    silence = frames_of(text=PAD, agent=SILENCE, user=SINE, n=SILENCE_FRAMES)
    spoken = frames_of(text=PAD, agent=SILENCE, user=SINE, n=len(text_tokens))
    spoken[:, 0] = text_tokens
    return np.concatenate([*parts, silence, spoken, silence])


def positions_of(frames: Codes, text_initial: int, audio_initial: int) -> Codes:
    """Return the model's inputs for frames from the first of a conversation, shape [N + 1, 17].

    Row 0 holds the initial tokens whatever the first frame says. The last row (position N) holds only the delayed
    streams, of the last frame; the others are UNKNOWN: they belong to a frame that is not there yet.
    """
    n = len(frames)
    rows = np.full((n + 1, N_STREAMS), UNKNOWN, dtype=np.int64)
    for stream, delay in enumerate(DELAYS):
        rows[delay : delay + n, stream] = frames[:, stream]
    initial = np.full(N_STREAMS, audio_initial, dtype=np.int64)
    initial[0] = text_initial
    rows[0] = initial
    delayed = np.array(DELAYS) == 1
    if n >= 1:
        rows[1, delayed] = audio_initial  # nothing of frame 0 is ever seen
    return rows
