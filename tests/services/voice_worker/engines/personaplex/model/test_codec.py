"""Mimi in a batch: slots apart, recordings in one piece, callers who send no numbers."""

from __future__ import annotations

import numpy as np
import torch

from services.voice_worker.engines.personaplex.model import tiny
from services.voice_worker.engines.personaplex.model.codec import BatchCodec
from shared.audio import FRAME_SAMPLES


def noise(n_frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, n_frames * FRAME_SAMPLES).astype(np.float32)


def stream(codec: BatchCodec, slot: int, pcm: np.ndarray) -> np.ndarray:
    active = torch.zeros(codec._states[""].batch_size, dtype=torch.bool)
    active[slot] = True
    codes = []
    for frame in pcm.reshape(-1, FRAME_SAMPLES):
        batch = torch.full((len(active), FRAME_SAMPLES), float("nan"))
        batch[slot] = torch.from_numpy(frame)
        codes.append(codec.encode(batch, active)[slot].numpy())
    return np.array(codes)


def test_a_recording_in_one_piece_has_the_codes_of_its_frames() -> None:
    codec = BatchCodec(tiny.codec(), 2)
    pcm = noise(20)
    whole = codec.encode_whole(pcm)
    assert whole.shape == (20, 8)
    assert np.array_equal(stream(codec, 1, pcm), whole)
    assert len(np.unique(whole)) > 50
    assert codec.encode_whole(pcm[:100]).shape == (0, 8)


def test_a_recording_between_two_frames_disturbs_no_slot() -> None:
    pcm = noise(10)
    due = stream(BatchCodec(tiny.codec(), 1), 0, pcm)
    codec = BatchCodec(tiny.codec(), 1)
    first = stream(codec, 0, pcm[: 5 * FRAME_SAMPLES])
    codec.encode_whole(noise(30, seed=9))
    assert np.array_equal(np.concatenate([first, stream(codec, 0, pcm[5 * FRAME_SAMPLES :])]), due)


def test_a_cleared_slot_begins_anew() -> None:
    codec = BatchCodec(tiny.codec(), 2)
    pcm = noise(5)
    due = stream(codec, 0, pcm)
    codec.clear(0)
    assert np.array_equal(stream(codec, 0, pcm), due)


def test_more_codebooks_begin_with_the_same_eight() -> None:
    pcm = noise(6)
    eight = stream(BatchCodec(tiny.codec(), 1), 0, pcm)
    more = stream(BatchCodec(tiny.codec(), 1, n_codebooks=32), 0, pcm)
    assert more.shape == (6, 32)
    assert np.array_equal(more[:, :8], eight)


def test_tokens_that_are_no_codes_do_not_break_the_decoder() -> None:
    codec = BatchCodec(tiny.codec(), 2)
    codes = torch.full((2, 8), 5)
    alone = codec.decode(codes, torch.tensor([True, False]))[0]
    codec.clear(0)
    codes[1] = 2048
    codes[1, 3] = -2
    assert torch.allclose(codec.decode(codes, torch.tensor([True, False]))[0], alone)


def test_it_tells_what_its_state_takes() -> None:
    one, four = (BatchCodec(tiny.codec(), slots).n_state_bytes() for slots in (1, 4))
    assert 3.5 * one < four < 4.5 * one
