"""Any packets in, exact frames out, and no sample made or lost on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.voice_worker.listener.reframer import (
    MAX_CONCEALED,
    MAX_ENTRY_SAMPLES,
    MAX_SILENT_FRAMES,
    Pcm,
    Reframed,
    Reframer,
)
from shared.audio import FRAME_SAMPLES
from shared.audio.opus import OpusDecoder, OpusEncoder
from shared.errors import AudioError
from shared.wire import AudioFrame

CONCEALED = 0.5


class CountingDecoder:
    """Packets say their own length: b"480" is 480 samples that count upwards; anything else is garbage."""

    def __init__(self) -> None:
        self.made = 0
        self.concealed = 0

    def decode(self, packet: bytes) -> Pcm:
        if not packet.isdigit():
            raise AudioError("garbage")
        n = int(packet)
        out = ((self.made + np.arange(n)) % 30_000 / 60_000).astype(np.float32)
        self.made += n
        return out

    def conceal(self, n_samples: int) -> Pcm:
        self.concealed += n_samples
        return np.full(n_samples, CONCEALED, dtype=np.float32)


def entry(seq: int, *packets: int | bytes, n_samples: int | None = None) -> AudioFrame:
    raw = tuple(packet if isinstance(packet, bytes) else str(packet).encode() for packet in packets)
    whole = sum(packet for packet in packets if isinstance(packet, int))
    return AudioFrame(seq, whole if n_samples is None else n_samples, raw)


def joined(frames: list[Reframed]) -> Pcm:
    return np.concatenate([frame.pcm for frame in frames]) if frames else np.empty(0, dtype=np.float32)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([60, 120, 240, 480, 960, 1440, 1920, 2880]), max_size=3), min_size=1, max_size=40)
)
def test_every_sample_comes_out_once_and_in_order(entries: list[list[int]]) -> None:
    decoder = CountingDecoder()
    reframer = Reframer(decoder)
    frames = [frame for seq, packets in enumerate(entries) for frame in reframer.push(entry(seq, *packets))]
    total = sum(sum(packets) for packets in entries)
    assert [frame.index for frame in frames] == list(range(total // FRAME_SAMPLES))
    assert all(frame.pcm.shape == (FRAME_SAMPLES,) and frame.pcm.dtype == np.float32 for frame in frames)
    assert len(frames) * FRAME_SAMPLES + reframer.held_samples == total
    expected = (np.arange(len(frames) * FRAME_SAMPLES) % 30_000 / 60_000).astype(np.float32)
    assert np.array_equal(joined(frames), expected)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from([480, 1920, 2880])), min_size=1, max_size=20))
def test_a_loss_takes_its_place_in_time_and_no_more_work_than_the_bound(entries: list[tuple[int, int]]) -> None:
    decoder = CountingDecoder()
    reframer = Reframer(decoder)
    seq, frames, lost = 0, [], 0
    for n_lost, samples in entries:
        gap = n_lost if frames or reframer.held_samples else 0
        seq += gap
        before = decoder.concealed
        made = reframer.push(entry(seq, samples))
        assert decoder.concealed - before <= MAX_CONCEALED
        assert len(made) <= MAX_SILENT_FRAMES + 3
        frames += made
        seq, lost = seq + 1, lost + gap
    frames += reframer.push(entry(seq, FRAME_SAMPLES))
    total = sum(samples for _, samples in entries) + (lost + 1) * FRAME_SAMPLES
    assert reframer.counts.lost_frames == lost
    assert [frame.index for frame in frames] == sorted({frame.index for frame in frames})
    assert frames[-1].index == total // FRAME_SAMPLES - 1


def test_a_short_loss_is_concealed_and_a_longer_one_ends_in_silence() -> None:
    reframer = Reframer(CountingDecoder())
    reframer.push(entry(0, 1920))
    filled = joined(reframer.push(entry(6, 1920)))
    assert len(filled) == 6 * FRAME_SAMPLES
    assert (filled[:MAX_CONCEALED] == CONCEALED).all()
    assert (filled[MAX_CONCEALED : 5 * FRAME_SAMPLES] == 0).all()
    assert filled[5 * FRAME_SAMPLES + 1] > 0


def test_a_jump_of_the_sequence_is_no_endless_work() -> None:
    reframer = Reframer(CountingDecoder())
    reframer.push(entry(0, 1920))
    frames = reframer.push(entry(2**60, 1920))
    assert len(frames) == MAX_SILENT_FRAMES + 1
    assert frames[-1].index == 2**60


def test_an_entry_that_was_seen_gives_nothing() -> None:
    decoder = CountingDecoder()
    reframer = Reframer(decoder)
    assert len(reframer.push(entry(4, 1920))) == 1
    assert reframer.push(entry(4, 1920)) == []
    assert reframer.push(entry(3, 1920)) == []
    assert decoder.made == 1920
    assert reframer.counts.stale_entries == 2


def test_a_takeover_goes_on_at_its_index() -> None:
    reframer = Reframer(CountingDecoder(), first_index=100)
    assert [frame.index for frame in reframer.push(entry(4711, 1920, 1920))] == [100, 101]


def test_garbage_is_concealed_for_as_long_as_the_entry_says() -> None:
    decoder = CountingDecoder()
    reframer = Reframer(decoder)
    frames = reframer.push(entry(0, 480, b"?\x00", 480, 480, n_samples=1920))
    assert len(frames) == 1
    assert reframer.counts.bad_packets == 1
    assert (frames[0].pcm[1440:] == CONCEALED).all()


def test_garbage_with_a_readable_length_is_concealed_in_its_place() -> None:
    reframer = Reframer(CountingDecoder())
    frames = reframer.push(entry(0, 480, bytes([1 << 3]), 480, 480, n_samples=1920))
    assert (frames[0].pcm[480:960] == CONCEALED).all()
    assert (frames[0].pcm[960:] != CONCEALED).all()


def test_an_entry_cannot_claim_or_carry_more_than_the_bound() -> None:
    decoder = CountingDecoder()
    reframer = Reframer(decoder)
    frames = reframer.push(entry(0, n_samples=10**12))
    assert len(frames) * FRAME_SAMPLES + reframer.held_samples == MAX_ENTRY_SAMPLES
    frames = reframer.push(entry(1, *[2880] * 64))
    assert len(frames) <= MAX_ENTRY_SAMPLES // FRAME_SAMPLES
    assert reframer.counts.dropped_samples > 0


@pytest.mark.parametrize(("value", "clean"), [(np.nan, 0.0), (np.inf, 1.0), (-np.inf, -1.0), (3.0, 1.0)])
def test_what_comes_out_is_finite_and_in_range(value: float, clean: float) -> None:
    class Wild(CountingDecoder):
        def decode(self, packet: bytes) -> Pcm:
            return np.full(FRAME_SAMPLES, value, dtype=np.float32)

    assert (Reframer(Wild()).push(entry(0, 1920))[0].pcm == clean).all()


def test_real_packets_of_a_stream_become_the_sound_they_carry() -> None:
    sound = (0.3 * np.sin(2 * np.pi * 300 * np.arange(20 * FRAME_SAMPLES) / 24_000)).astype(np.float32)
    with OpusEncoder() as encoder, OpusDecoder() as decoder:
        reframer = Reframer(decoder)
        packets = [
            packet
            for start in range(0, len(sound), FRAME_SAMPLES)
            for packet in encoder.encode(sound[start : start + FRAME_SAMPLES])
        ]
        late = encoder.lookahead_samples
        frames: list[Reframed] = []
        for seq in range(len(packets) // 3):  # 60 ms entries do not end on frame edges
            frames += reframer.push(AudioFrame(seq, 1440, tuple(packets[3 * seq : 3 * seq + 3])))
    heard = joined(frames)[late + 2_000 :]
    error = heard - sound[2_000 : 2_000 + len(heard)]
    assert 10 * np.log10(np.mean(sound**2) / np.mean(error**2)) > 15
