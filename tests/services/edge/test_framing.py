"""Frames on media time, and the leaky bucket that bounds how far ahead a client may run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.framing import FrameAssembler, PaceGuard

# TOC bytes: configuration << 3, code 0 (one frame). 24 kHz samples of each.
PACKETS = {60: b"\x80\x00", 120: b"\x88\x00", 240: b"\x90\x00", 480: b"\x48\x00", 960: b"\x10\x00", 1440: b"\x18\x00"}
LONG = b"\x1b\x02\x00\x00"  # code 3: two frames of 60 ms


def _assembler(burst_s: float = 1e9, first_seq: int = 0) -> FrameAssembler:
    return FrameAssembler(PaceGuard(burst_s), first_seq)


def test_four_packets_of_20_ms_make_a_frame() -> None:
    assembler = _assembler()
    packets = [b"\x48" + bytes([i]) for i in range(9)]
    frames = assembler.add(packets, 0.0, 123)
    assert [(frame.seq, frame.n_samples, frame.packets) for frame in frames] == [
        (0, 1920, tuple(packets[:4])),
        (1, 1920, tuple(packets[4:8])),
    ]
    assert frames[0].capture_ms == 123
    assert assembler.media_ms == 160


def test_packets_of_60_ms_keep_media_time() -> None:
    frames = _assembler().add([PACKETS[1440]] * 8, 0.0, 0)
    assert [len(frame.packets) for frame in frames] == [2, 1, 1, 2, 1, 1]


def test_a_packet_longer_than_a_frame_is_followed_by_an_empty_frame() -> None:
    frames = _assembler().add([LONG] * 2, 0.0, 0)
    assert [(len(frame.packets), frame.n_samples) for frame in frames] == [(1, 2880), (1, 2880), (0, 0)]


@given(st.lists(st.sampled_from([*PACKETS.values(), LONG]), max_size=200))
def test_no_packet_is_lost_and_media_time_follows_the_samples(packets: list[bytes]) -> None:
    assembler = _assembler()
    frames = []
    for packet in packets:
        frames += assembler.add([packet], 0.0, 0)
    lengths = {packet: size for size, packet in PACKETS.items()} | {LONG: 2880}
    total = sum(lengths[packet] for packet in packets)
    assert len(frames) == total // 1920
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    given_back = [packet for frame in frames for packet in frame.packets]
    assert given_back == packets[: len(given_back)]
    assert sum(frame.n_samples for frame in frames) == sum(lengths[packet] for packet in given_back)


def test_a_resumed_session_counts_on() -> None:
    frames = _assembler(first_seq=77).add([PACKETS[480]] * 4, 0.0, 0)
    assert [frame.seq for frame in frames] == [77]


def test_packets_that_are_no_opus_are_counted() -> None:
    assembler = _assembler()
    assert assembler.add([b"\x4b\x00", b"\x49"], 0.0, 0) == []  # no frames; two equal frames in 0 bytes is fine
    assert assembler.bad_packets == 1


def test_a_client_on_time_is_never_dropped() -> None:
    pace = PaceGuard(0.5)
    assert all(pace.admits(0.08 * n) for n in range(10_000))


def test_the_burst_is_the_bound() -> None:
    pace = PaceGuard(10.0)
    assert sum(pace.admits(5.0) for _ in range(1000)) == 125
    assert sum(pace.admits(5.8) for _ in range(1000)) == 10


def test_a_pause_earns_nothing() -> None:
    pace = PaceGuard(1.0)
    assert pace.admits(0.0)
    assert sum(pace.admits(3600.0) for _ in range(100)) == 12


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(0, 200)), max_size=50), st.floats(0.2, 20))
def test_what_is_admitted_never_runs_further_ahead_than_the_burst(
    steps: list[tuple[float, int]], burst_s: float
) -> None:
    pace, now, admitted = PaceGuard(burst_s), 0.0, 0
    for delta, count in steps:
        now += delta
        admitted += sum(pace.admits(now) for _ in range(count))
        assert admitted * 0.08 <= burst_s + now + 1e-6


def test_frames_that_come_too_fast_are_dropped_and_leave_no_hole() -> None:
    assembler = _assembler(burst_s=0.4)
    first = assembler.add([PACKETS[480]] * 40, 0.0, 0)
    later = assembler.add([PACKETS[480]] * 4, 10.0, 0)
    assert [frame.seq for frame in first + later] == [0, 1, 2, 3, 4, 5]
    assert assembler.dropped == 5


@pytest.mark.parametrize("size", list(PACKETS))
def test_all_packet_lengths_are_known(size: int) -> None:
    assert len(_assembler().add([PACKETS[size]] * (1920 // size + 1), 0.0, 0)) == 1
