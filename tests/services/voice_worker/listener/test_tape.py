"""The sound of the last minute, by media time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.voice_worker.listener.tape import Tape


def sound(first: int, ms: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.arange(first * 16, (first + ms) * 16, dtype=np.float32)


def test_a_slice_is_the_sound_of_its_time() -> None:
    tape = Tape(1_000, 60_000)
    for at in range(0, 20_000, 32):
        tape.append(sound(at, 32))
    start_ms, pcm = tape.since(5_000, 5_100)
    assert start_ms == 5_000
    assert np.array_equal(pcm, sound(4_000, 100))
    assert tape.since(500)[0] == 1_000
    assert len(tape.since(tape.end_ms + 50)[1]) == 0


def test_slices_stay_as_they_were_and_cannot_be_written() -> None:
    tape = Tape(0, 60_000)
    tape.append(sound(0, 1_000))
    _, early = tape.since(200, 800)
    expected = early.copy()
    for at in range(1_000, 40_000, 500):
        tape.append(sound(at, 500))
        tape.forget_before(at - 100)
    assert np.array_equal(early, expected)
    with pytest.raises(ValueError, match="read-only"):
        early[0] = 1.0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3_000), st.integers(0, 4_000)), min_size=1, max_size=30))
def test_what_is_kept_is_always_the_newest_and_bounded(steps: list[tuple[int, int]]) -> None:
    tape = Tape(0, 5_000)
    at = 0
    for ms, forget in steps:
        tape.append(sound(at, ms))
        at += ms
        tape.forget_before(at - forget)
        start_ms, pcm = tape.since(0)
        assert tape.end_ms == at
        assert start_ms == tape.start_ms
        assert np.array_equal(pcm, sound(start_ms, at - start_ms))
        assert len(pcm) <= 5_000 * 16


def test_after_a_restart_time_goes_on_elsewhere() -> None:
    tape = Tape(0, 5_000)
    tape.append(sound(0, 100))
    tape.restart(9_000)
    tape.append(sound(0, 10))
    assert (tape.start_ms, tape.end_ms) == (9_000, 9_010)
