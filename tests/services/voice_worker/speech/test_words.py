"""Times of words by the sound's loudness: in order, inside the speech, not in a pause."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.speech.words import spread, voiced_spans

HZ = 16_000
RNG = np.random.default_rng(3)


def noise(seconds: float, level: float) -> np.ndarray:
    return (RNG.standard_normal(int(seconds * HZ)) * level).astype(np.float32)


def test_voice_is_found_between_silences() -> None:
    pcm = np.concatenate([noise(0.5, 0.001), noise(1.0, 0.1), noise(0.5, 0.001), noise(0.4, 0.1), noise(0.3, 0.001)])
    spans = voiced_spans(pcm)
    assert np.allclose(spans, [(0.5, 1.5), (2.0, 2.4)], atol=0.03)


def test_a_short_pause_is_part_of_the_voice() -> None:
    pcm = np.concatenate([noise(0.5, 0.1), noise(0.1, 0.001), noise(0.5, 0.1)])
    assert len(voiced_spans(pcm)) == 1


def test_silence_has_no_voice() -> None:
    assert voiced_spans(np.zeros(HZ, np.float32)) == ()
    assert voiced_spans(np.zeros(0, np.float32)) == ()


def test_no_word_lies_in_the_pause() -> None:
    pcm = np.concatenate([noise(1.0, 0.1), noise(1.0, 0.0005), noise(1.0, 0.1)])
    words = spread("aaaa bbbb cccc dddd", pcm)
    assert [word.text for word in words] == ["aaaa", "bbbb", "cccc", "dddd"]
    assert words[1].end_s <= 1.05
    assert words[2].start_s >= 1.95
    assert all(word.confidence is None for word in words)


@given(text=st.text(max_size=60), lengths=st.lists(st.floats(0.05, 0.6), max_size=5))
def test_times_rise_and_stay_inside(text: str, lengths: list[float]) -> None:
    parts = [noise(length, 0.1 if i % 2 else 0.001) for i, length in enumerate(lengths)]
    pcm = np.concatenate([*parts, np.zeros(10, np.float32)])
    words = spread(text, pcm)
    assert [word.text for word in words] == text.split()
    for word in words:
        assert 0.0 <= word.start_s <= word.end_s <= len(pcm) / HZ + 0.001
    for one, other in itertools.pairwise(words):
        assert one.end_s <= other.start_s + 0.001
