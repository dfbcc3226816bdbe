"""The wire to a host: what goes in comes out, and nothing else gets through."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.speech import frames
from services.voice_worker.speech.frames import FrameError

values = st.one_of(st.none(), st.booleans(), st.integers(-(2**31), 2**31), st.text(max_size=20), st.binary(max_size=20))


@given(fields=st.dictionaries(st.text(min_size=2, max_size=8), values, max_size=5), number=st.integers(0, 2**31))
def test_a_message_comes_back_as_it_was(fields: dict[str, object], number: int) -> None:
    data = frames.encode({**fields, "id": number})
    length = frames.body_length(data[:4])
    assert length == len(data) - 4
    assert frames.decode(data[4:]) == {**fields, "id": number, "v": frames.VERSION}


@given(body=st.binary(max_size=200))
def test_any_bytes_give_a_message_or_a_frame_error(body: bytes) -> None:
    try:
        message = frames.decode(body)
    except FrameError:
        return
    assert message["v"] == frames.VERSION


@pytest.mark.parametrize(
    "header", [b"\0\0\0\0", b"\xff\xff\xff\xff", (frames.MAX_FRAME_BYTES + 1).to_bytes(4, "little")]
)
def test_a_length_out_of_bounds_is_refused(header: bytes) -> None:
    with pytest.raises(FrameError, match="announces"):
        frames.body_length(header)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (msgpack.packb([1, 2]), "not a map"),
        (msgpack.packb({"v": 2, "id": 1}), "version 2"),
        (msgpack.packb({"v": 1}), "integer id"),
        (b"\xc1", "not msgpack"),
        (b"", "not msgpack"),
    ],
)
def test_what_is_not_of_the_protocol_is_named(body: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        frames.decode(body)


def test_a_message_that_is_too_large_is_not_sent() -> None:
    with pytest.raises(FrameError, match="exceeds"):
        frames.encode({"id": 1, "pcm": bytes(frames.MAX_FRAME_BYTES)})


def test_audio_keeps_every_bit() -> None:
    pcm = np.random.default_rng(1).uniform(-1, 1, 1_000).astype(np.float32)
    assert np.array_equal(frames.pcm_array(frames.pcm_bytes(pcm)), pcm)
    assert frames.pcm_array(b"").shape == (0,)


@pytest.mark.parametrize("data", [b"abc", None, "text", np.array([np.nan], np.float32).tobytes()])
def test_audio_that_is_none_is_refused(data: object) -> None:
    with pytest.raises(FrameError, match="audio"):
        frames.pcm_array(data)
