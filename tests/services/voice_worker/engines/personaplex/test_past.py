"""The past of a session as frames: both sides in step, words where they sounded."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.engines.base import Past
from services.voice_worker.engines.personaplex import past as module
from services.voice_worker.engines.personaplex.model_loop import ModelLoop
from services.voice_worker.engines.personaplex.past import (
    OVERLAP_FRAMES,
    PIECE_FRAMES,
    Pcm,
    decoded,
    past_frames,
    text_stream,
)
from services.voice_worker.engines.personaplex.tokens import AGENT, EPAD, PAD, USER, Codes
from shared.audio import FRAME_SAMPLES
from shared.audio.opus import OpusEncoder
from shared.wire import AudioFrame

T = TypeVar("T")
STEP = 2.0**-12
"""What one frame of `counting` is louder than the one before."""


class Letters:
    """A tokenizer whose pieces are letters."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def id_to_piece(self, token: int) -> str:
        return chr(token)


class Loop:
    """Calls at once. Its codec's codes are the number that a frame of `counting` has; it counts its pieces."""

    def __init__(self, error: Exception | None = None) -> None:
        self.pieces: list[int] = []
        self.error = error
        self.batch = SimpleNamespace(codec=self)

    def call(self, work: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)
        return future

    def encode_whole(self, pcm: Pcm) -> Codes:
        if self.error:
            raise self.error
        assert len(pcm) % FRAME_SAMPLES == 0
        self.pieces.append(len(pcm) // FRAME_SAMPLES)
        return np.repeat((pcm[::FRAME_SAMPLES, None] / STEP).astype(np.int64), 8, axis=1)


def entries(first: int, n: int) -> tuple[AudioFrame, ...]:
    return tuple(AudioFrame(seq, FRAME_SAMPLES, (b"x",)) for seq in range(first, first + n))


def counting(frames: tuple[AudioFrame, ...]) -> Pcm:
    """In place of `decoded`: each frame sounds like its number."""
    return np.repeat(np.array([frame.seq * STEP for frame in frames], np.float32), FRAME_SAMPLES)


async def frames_of(past: Past | None, loop: Loop) -> Codes:
    return await past_frames(past, Letters(), cast(ModelLoop, loop))


@pytest.mark.parametrize("past", [None, Past((), ()), Past(entries(0, 5), ())])
async def test_a_new_session_has_no_past(past: Past | None) -> None:
    loop = Loop()
    assert (await frames_of(past, loop)).shape == (0, 17)
    assert loop.pieces == []


async def test_nothing_was_heard_so_nothing_is_in_step() -> None:
    assert (await frames_of(Past((), entries(0, 5), ((0, "a"),)), Loop())).shape == (0, 17)


@pytest.mark.parametrize(("n_input", "n_output"), [(30, 30), (40, 30), (20, 30), (1, 1)])
async def test_both_sides_end_together(monkeypatch: pytest.MonkeyPatch, n_input: int, n_output: int) -> None:
    monkeypatch.setattr(module, "decoded", counting)
    n = min(n_input, n_output)
    past = Past(entries(1000, n_input), entries(500, n_output), (((500 + n_output - 1) * 80, "z"),))
    frames = await frames_of(past, Loop())
    assert frames.shape == (n, 17)
    assert frames[:, USER].tolist() == [[1000 + n_input - n + i] * 8 for i in range(n)]
    assert frames[:, AGENT].tolist() == [[500 + n_output - n + i] * 8 for i in range(n)]
    assert frames[-1, 0] == ord("z")


async def test_a_long_past_is_encoded_in_pieces_that_look_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "decoded", counting)
    loop = Loop()
    n = 2 * PIECE_FRAMES + 7
    frames = await frames_of(Past(entries(0, n), entries(0, n)), loop)
    assert frames[:, 1].tolist() == frames[:, 9].tolist() == list(range(n))
    assert loop.pieces == [PIECE_FRAMES, OVERLAP_FRAMES + PIECE_FRAMES, OVERLAP_FRAMES + 7] * 2


async def test_words_stand_where_they_sounded_and_those_before_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "decoded", counting)
    said = ((0, "old"), (80 * 102, "older"), (80 * 105 + 79, "hi"), (80 * 112, "toolong"))
    frames = await frames_of(Past(entries(0, 10), entries(90, 23), said), Loop())
    assert frames[:, 0].tolist() == [PAD, EPAD, ord("h"), ord("i"), *[PAD] * 6]


async def test_a_codec_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "decoded", counting)
    with pytest.raises(RuntimeError, match="no memory"):
        await frames_of(Past(entries(0, 3), entries(0, 3)), Loop(RuntimeError("no memory")))


def test_stream_entries_become_whole_frames_of_sound() -> None:
    tone = (0.4 * np.sin(2 * np.pi * 440 * np.arange(6 * FRAME_SAMPLES) / 24_000)).astype(np.float32)
    with OpusEncoder() as encoder:
        packets = [encoder.encode(tone[at : at + FRAME_SAMPLES]) for at in range(0, len(tone), FRAME_SAMPLES)]
    stream = [AudioFrame(seq, FRAME_SAMPLES, tuple(packet)) for seq, packet in enumerate(packets)]
    sound = decoded(stream)
    assert (sound.shape, sound.dtype) == ((6 * FRAME_SAMPLES,), np.float32)
    assert np.sqrt(np.mean(sound[FRAME_SAMPLES:] ** 2)) == pytest.approx(0.4 / np.sqrt(2), rel=0.1)
    assert len(decoded([*stream[:2], *stream[4:]])) == len(sound), "what was lost has its place"
    assert decoded([]).shape == (0,)
    assert len(decoded([AudioFrame(0, FRAME_SAMPLES, (b"\xff\xff",)), *stream[1:]])) == len(sound)


def test_a_word_is_announced_if_there_is_room() -> None:
    stream = text_stream(9, [(0, "a"), (1, "b"), (4, "cd"), (5, "e"), (8, "f")], Letters())
    assert [chr(token) if token > PAD else token for token in stream] == ["a", "b", PAD, EPAD, "c", "d", "e", EPAD, "f"]


@given(st.integers(0, 60), st.lists(st.tuples(st.integers(-20, 80), st.integers(0, 6)), max_size=20))
def test_words_stand_whole_in_order_and_never_early(n: int, shape: list[tuple[int, int]]) -> None:
    words = [(frame, chr(1_000 + number) * size) for number, (frame, size) in enumerate(sorted(shape))]
    stream = text_stream(n, words, Letters()).tolist()
    assert len(stream) == n
    free = n_placed = 0
    for frame, word in words:
        places = [at for at, token in enumerate(stream) if word and token == ord(word[0])]
        start = max(frame, free)
        fits = bool(word) and frame >= 0 and start + len(word) <= n
        assert places == (list(range(start, start + len(word))) if fits else [])
        assert not places or start == free or stream[start - 1] == EPAD
        free = start + len(word) if fits else free
        n_placed += fits
    assert stream.count(EPAD) <= n_placed
