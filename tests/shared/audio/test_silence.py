"""Silence of any length: zeros for a decoder, and as long as it says."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.audio import FRAME_SAMPLES
from shared.audio.opus import OpusDecoder
from shared.audio.opus_toc import packet_samples
from shared.audio.silence import SILENT_PACKETS, STEP_SAMPLES, silent_packets


def test_a_frame_of_silence() -> None:
    assert sum(packet_samples(packet) for packet in SILENT_PACKETS) == FRAME_SAMPLES
    assert silent_packets(FRAME_SAMPLES) == list(SILENT_PACKETS)


@given(st.integers(0, 20_000))
def test_any_length_but_for_the_last_step(n_samples: int) -> None:
    length = sum(packet_samples(packet) for packet in silent_packets(n_samples))
    assert 0 <= n_samples - length < STEP_SAMPLES
    assert length % STEP_SAMPLES == 0


def test_a_decoder_gives_zeros_for_each_length() -> None:
    packets = silent_packets(15 * STEP_SAMPLES)
    assert len(packets) == 4
    with OpusDecoder() as decoder:
        sound = [decoder.decode(packet) for packet in packets]
    assert [len(part) for part in sound] == [480, 240, 120, 60]
    assert np.abs(np.concatenate(sound)).max() < 1e-9
