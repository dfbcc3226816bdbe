"""What was said before this process served a session, from the session's streams, as frames to prime a slot with.

The sound of both sides is encoded again and the agent's words are put where they sounded, so the frames are close
to the true ones, not equal to them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.voice_worker.engines.base import Past
from services.voice_worker.engines.personaplex.model_loop import ModelLoop
from services.voice_worker.engines.personaplex.steering.text import Tokenizer
from services.voice_worker.engines.personaplex.tokens import AGENT, EPAD, N_CODEBOOKS, N_STREAMS, PAD, USER, Codes
from services.voice_worker.listener.reframer import Reframer
from shared.audio import FRAME_MS, FRAME_SAMPLES
from shared.audio.opus import OpusDecoder
from shared.wire import AudioFrame

Pcm = NDArray[np.float32]

PIECE_FRAMES: Final = 50
"""Frames (4 s) encoded between two ticks; the neighbours must not miss theirs."""

OVERLAP_FRAMES: Final = 12
"""Frames before a piece that are encoded with it and left out: the codec looks back."""


async def past_frames(past: Past | None, tokenizer: Tokenizer, loop: ModelLoop) -> Codes:
    """Return the frames [n, 17] of a session's past, oldest first; none for a new session."""
    if past is None or not past.output:
        return np.empty((0, N_STREAMS), dtype=np.int64)
    user = await asyncio.to_thread(decoded, past.input)
    agent = await asyncio.to_thread(decoded, past.output)
    n = min(len(user), len(agent)) // FRAME_SAMPLES
    frames = np.full((n, N_STREAMS), PAD, dtype=np.int64)
    frames[:, USER] = await _encoded(user[len(user) - n * FRAME_SAMPLES :], loop)
    frames[:, AGENT] = await _encoded(agent[len(agent) - n * FRAME_SAMPLES :], loop)
    first_frame = past.output[-1].seq + 1 - n
    frames[:, 0] = text_stream(n, [(ms // FRAME_MS - first_frame, word) for ms, word in past.words], tokenizer)
    return frames


def decoded(entries: Sequence[AudioFrame]) -> Pcm:
    """Return the sound of stream entries, whole frames [n * 1920]."""
    with OpusDecoder() as decoder:
        reframer = Reframer(decoder)
        parts = [frame.pcm for entry in entries for frame in reframer.push(entry)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)


def text_stream(n: int, words: Sequence[tuple[int, str]], tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Return the text tokens of `n` frames with each word's pieces from its frame on, announced as the model does.

    Words before the first frame (negative) or over the last one's end are left out.
    """
    tokens = np.full(n, PAD, dtype=np.int64)
    free = 0
    for frame, word in words:
        pieces = tokenizer.encode(word)
        start = max(frame, free)
        if frame < 0 or not pieces or start + len(pieces) > n:
            continue
        if start > free:
            tokens[start - 1] = EPAD
        tokens[start : start + len(pieces)] = pieces
        free = start + len(pieces)
    return tokens


async def _encoded(pcm: Pcm, loop: ModelLoop) -> Codes:
    parts = []
    for start in range(0, len(pcm) // FRAME_SAMPLES, PIECE_FRAMES):
        before = min(start, OVERLAP_FRAMES)
        piece = pcm[(start - before) * FRAME_SAMPLES : (start + PIECE_FRAMES) * FRAME_SAMPLES]
        future = loop.call(partial(_encode_piece, loop, piece))
        parts.append((await asyncio.wrap_future(future))[before:])
    return np.concatenate(parts) if parts else np.empty((0, N_CODEBOOKS), dtype=np.int64)


def _encode_piece(loop: ModelLoop, pcm: Pcm) -> Codes:
    return loop.batch.codec.encode_whole(pcm)
