"""The length of a packet from its framing, against the table of RFC 6716 and against libopus."""

from __future__ import annotations

import opuslib_next
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opuslib_next.api import decoder as libdecoder

from shared.audio.opus_toc import MAX_PACKET_SAMPLES, packet_samples
from shared.errors import AudioError

# RFC 6716, table 2: milliseconds of a frame for each configuration number.
FRAME_MS = [10, 20, 40, 60] * 3 + [10, 20] * 2 + [2.5, 5, 10, 20] * 4


@pytest.mark.parametrize("config", range(32))
@pytest.mark.parametrize("stereo", [0, 1])
def test_one_frame_has_the_length_of_its_configuration(config: int, stereo: int) -> None:
    packet = bytes([config << 3 | stereo << 2]) + b"\x00" * 20
    assert packet_samples(packet) == FRAME_MS[config] * 24


def test_two_frames_are_twice_as_long() -> None:
    assert packet_samples(bytes([1 << 3 | 1]) + b"ab") == 2 * 480
    assert packet_samples(bytes([1 << 3 | 2, 1]) + b"abc") == 2 * 480
    assert packet_samples(bytes([1 << 3 | 2, 252, 1]) + b"a" * 300) == 2 * 480


def test_counted_frames_may_fill_120_ms_and_no_more() -> None:
    assert packet_samples(bytes([31 << 3 | 3, 6]) + b"abcdef") == MAX_PACKET_SAMPLES
    with pytest.raises(AudioError, match="120 ms"):
        packet_samples(bytes([31 << 3 | 3, 7]) + b"abcdefg")


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"", "at least one byte"),
        (bytes([8]) + b"x" * 1276, "longer than 1,275"),
        (bytes([9]) + b"odd", "odd number"),
        (bytes([9]) + b"x" * 2552, "longer than 1,275"),
        (bytes([10]), "missing"),
        (bytes([10, 252]), "cut off"),
        (bytes([10, 5]) + b"four", "does not fit"),
        (bytes([11]), "missing"),
        (bytes([11, 0]), "count is 0"),
    ],
)
def test_broken_framing_is_refused(packet: bytes, why: str) -> None:
    with pytest.raises(AudioError, match=why):
        packet_samples(packet)


@given(st.binary(min_size=1, max_size=1400))
def test_says_what_libopus_says_or_refuses(packet: bytes) -> None:
    state = opuslib_next.Decoder(24_000, 1)
    try:
        ours = packet_samples(packet)
    except AudioError:
        return  # libopus looks at the first two bytes only: it may accept what the framing rules forbid
    assert libdecoder.get_nb_samples(state.decoder_state, packet, len(packet)) == ours
