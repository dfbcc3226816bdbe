"""Tracks: packets as they came, each within a frame of its place; silence where nothing came; no damage unnoticed."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.edge.framing import FrameAssembler, PaceGuard
from services.evaluator.recording.manifest import MAX_TRACK_SAMPLES, RecordingError
from services.evaluator.recording.tracks import (
    Track,
    from_ogg,
    input_in_order,
    length_of,
    output_in_order,
    place,
    to_ogg,
)
from shared.audio import FRAME_SAMPLES
from shared.audio.opus import OpusDecoder, OpusEncoder
from shared.audio.opus_toc import packet_samples
from shared.audio.silence import SILENT_PACKETS
from shared.wire import AudioFrame

TOCS = {2.5: 0xE0, 5: 0xE8, 10: 0xF0, 20: 0xF8, 40: 0x50, 60: 0x58, 120: 0x59}
"""First bytes of packets by their length in ms; 120: two frames of 60 ms of equal size."""


def packet(ms: float, number: int) -> bytes:
    return bytes([TOCS[ms]]) + number.to_bytes(4, "big")


def frames_of(packets: Iterable[bytes], first_seq: int = 0, epoch: int = 1) -> list[AudioFrame]:
    """Return the frames that an edge makes of packets; those without packets do not count."""
    made = FrameAssembler(PaceGuard(1e9), first_seq, epoch).add(packets, 0.0, 1_000)
    return [frame for frame in made if frame.packets]


def starts(track: Track) -> dict[bytes, int]:
    """Return where each packet of the track begins."""
    found, at = {}, 0
    for each in track.packets:
        found[each] = at
        at += packet_samples(each)
    assert at == track.n_samples
    return found


lengths = st.lists(st.sampled_from(sorted(TOCS)), min_size=1, max_size=60)


@given(lengths)
def test_packets_of_any_length_join_without_a_gap(chosen: list[float]) -> None:
    frames = frames_of(packet(ms, number) for number, ms in enumerate(chosen))
    track = place(frames)
    assert track.packets == [each for frame in frames for each in frame.packets]
    assert (track.silent_samples, track.lost_frames, track.dropped_packets) == (0, 0, 0)


@given(lengths, st.sets(st.integers(0, 40)), st.integers(0, 3), st.integers(0, 40))
def test_each_packet_lies_within_a_frame_of_its_place_whatever_is_lost(
    chosen: list[float], lost: set[int], first: int, cut: int
) -> None:
    """Frames are lost, and a client may connect anew in the middle of a packet."""
    packets = [packet(ms, number) for number, ms in enumerate(chosen)]
    frames = frames_of(packets[:cut], first)
    frames += frames_of(packets[cut:], frames[-1].seq + 1 if frames else first, epoch=2)
    frames = [frame for frame in frames if frame.seq not in lost]
    track = place(frames)
    found = starts(track)
    for frame in frames:
        for each in frame.packets:
            if each in found:
                assert 0 <= found[each] - frame.seq * FRAME_SAMPLES < FRAME_SAMPLES
    placed = sum(packet_samples(each) for each in found if each not in set(SILENT_PACKETS) and len(each) == 5)
    assert placed + track.silent_samples == track.n_samples


@given(lengths, st.integers(0, 2**32 - 1))
def test_a_file_gives_its_packets_back(chosen: list[float], serial: int) -> None:
    track = place(frames_of(packet(ms, number) for number, ms in enumerate(chosen)))
    data = to_ogg(track, serial)
    assert from_ogg(data) == track.packets
    assert length_of(track.packets) == track.n_samples
    assert to_ogg(track, serial) == data


@given(st.lists(st.integers(1, 1_275), min_size=1, max_size=120))
@settings(max_examples=30)
def test_pages_hold_packets_of_any_size(sizes: list[int]) -> None:
    track = Track([b"\xf8" + bytes(size) for size in sizes], 480 * len(sizes))
    assert from_ogg(to_ogg(track, 1)) == track.packets


def test_a_file_without_a_packet_is_read_too() -> None:
    assert from_ogg(to_ogg(Track(), 1)) == []


@given(st.data())
@settings(max_examples=60)
def test_what_is_cut_off_or_changed_is_noticed(data: st.DataObject) -> None:
    whole = to_ogg(place(frames_of(packet(20, number) for number in range(200))), 7)
    if data.draw(st.booleans()):
        broken = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        at = data.draw(st.integers(0, len(whole) - 1))
        broken = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
    with pytest.raises(RecordingError):
        from_ogg(broken)


@pytest.mark.parametrize("which", [0, 1, 2, -1])
def test_a_page_whose_head_tells_of_more_than_there_is_is_noticed(which: int) -> None:
    whole = to_ogg(place(frames_of(packet(20, number) for number in range(200))), 7)
    heads = [at for at in range(len(whole)) if whole.startswith(b"OggS", at)]
    at = heads[which] + 26  # the number of its segments
    with pytest.raises(RecordingError):
        from_ogg(whole[:at] + b"\xff" + whole[at + 1 :])


def test_what_is_no_packet_is_left_out_and_its_time_is_silence() -> None:
    frames = frames_of(packet(20, number) for number in range(8))
    broken = AudioFrame(0, 1920, (frames[0].packets[0], b"\xff", b"", *frames[0].packets[2:]))
    track = place([broken, frames[1]])
    assert (track.dropped_packets, track.silent_samples, track.n_samples) == (2, 480, 3840)
    with pytest.raises(RecordingError, match="not an Opus packet"):
        length_of([b"\xff"])


def test_a_number_beyond_all_bounds_is_refused_before_anything_is_made_of_it() -> None:
    with pytest.raises(RecordingError, match="beyond the longest track"):
        place([AudioFrame(MAX_TRACK_SAMPLES, 1920, SILENT_PACKETS)])


def test_an_input_number_that_comes_again_moves_the_later_ones_on() -> None:
    frames = [AudioFrame(seq, 1920, SILENT_PACKETS) for seq in (0, 1, 1, 2, 5)]
    assert [frame.seq for frame in input_in_order(frames)] == [0, 1, 2, 3, 6]


def answers(*pairs: tuple[int, str]) -> list[AudioFrame]:
    return [AudioFrame(seq, 1920, SILENT_PACKETS, consumed=consumed) for seq, consumed in pairs]


def test_an_answer_stands_where_its_input_stood() -> None:
    inputs = {"a": 0, "b": 1, "c": 4, "d": 5}  # 2 and 3 were lost
    fills_nothing = answers((0, "a"), (1, "b"), (2, "c"), (3, "d"))
    assert [frame.seq for frame in output_in_order(fills_nothing, inputs)] == [0, 1, 4, 5]
    fills = answers((0, "a"), (1, "b"), (2, "c"), (3, "c"), (4, "c"), (5, "d"))
    assert [frame.seq for frame in output_in_order(fills, inputs)] == [0, 1, 2, 3, 4, 5]
    unknown = answers((0, "x"), (1, ""), (2, "y"))
    assert [frame.seq for frame in output_in_order(unknown, inputs)] == [0, 1, 2]


def test_an_answer_that_comes_again_is_left_out() -> None:
    frames = answers((0, "a"), (1, "b"), (1, "b"), (0, "a"), (2, "c"))
    assert [frame.seq for frame in output_in_order(frames, {"a": 0, "b": 1, "c": 2})] == [0, 1, 2]


def test_an_engine_that_runs_ahead_of_its_answers_moves_nothing() -> None:
    frames = answers((0, "c"), (1, "c"), (2, "d"))
    assert [frame.seq for frame in output_in_order(frames, {"a": 0, "b": 1, "c": 2, "d": 3})] == [0, 1, 2]


def test_sound_stays_at_its_sample_over_a_gap() -> None:
    """A click before and one behind a loss: both are where they were, to the sample."""
    rng = random.Random(4)
    sound = np.zeros(20 * FRAME_SAMPLES, np.float32)
    clicks = [2 * FRAME_SAMPLES + 700, 15 * FRAME_SAMPLES + 300]
    for at in clicks:
        sound[at : at + 240] = [rng.uniform(-0.8, 0.8) for _ in range(240)]
    with OpusEncoder(bitrate=128_000) as encoder:
        late = encoder.lookahead_samples
        frames = [
            AudioFrame(n, FRAME_SAMPLES, encoder.encode(part))
            for n, part in enumerate(sound.reshape(-1, FRAME_SAMPLES))
        ]
    track = place([frame for frame in frames if not 6 <= frame.seq < 10])
    with OpusDecoder() as decoder:
        heard = np.concatenate([decoder.decode(each) for each in from_ogg(to_ogg(track, 1))])
    assert len(heard) == len(sound)
    for at in clicks:
        around = heard[at - 1_000 : at + 1_500]
        match = np.correlate(around, sound[at : at + 240], "valid")
        assert abs(int(np.argmax(match)) - 1_000 - late) <= 1
