"""Tokens to words: joined as they are written, in order, inside the audio."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.hosts.whisper_words import timed_words

TOKENS = {1: b" He", 2: b" is", 3: b" am", 4: b"iable", 5: b".", 6: b" caf", 7: b"\xc3", 8: b"\xa9", 9: b" -"}


def decode(ids: list[int]) -> str:
    return b"".join(TOKENS[token] for token in ids).decode("utf-8", "replace")


def test_parts_of_words_and_marks_are_joined() -> None:
    alignment = [(0, 10), (0, 11), (1, 20), (2, 30), (3, 40), (4, 60), (5, 65)]
    words = timed_words([1, 2, 3, 4, 5], alignment, [0.9, 0.8, 0.6, 0.4, 1.0], decode, 2.0)
    assert [word[0] for word in words] == ["He", "is", "amiable."]
    assert [word[1] for word in words] == [0.2, 0.4, 0.6]
    assert [word[2] for word in words] == [0.4, 0.6, 1.3]
    assert abs(words[2][3] - 2.0 / 3) < 1e-9


def test_a_character_in_two_tokens_is_one_character() -> None:
    words = timed_words([6, 7, 8, 2], [(0, 0), (3, 30)], [1.0] * 4, decode, 1.0)
    assert [word[0] for word in words] == ["café", "is"]


def test_a_lone_mark_hangs_on_to_the_word_before_it() -> None:
    assert [word[0] for word in timed_words([1, 9, 2], [], [1.0] * 3, decode, 1.0)] == ["He -", "is"]
    assert timed_words([], [], [], decode, 1.0) == ()


@given(
    tokens=st.lists(st.sampled_from(sorted(TOKENS)), min_size=1, max_size=12),
    frames=st.lists(st.integers(0, 100), max_size=13),
)
def test_times_rise_and_stay_inside(tokens: list[int], frames: list[int]) -> None:
    alignment = list(enumerate(sorted(frames)))[: len(tokens) + 1]
    words = timed_words(tokens, alignment, [0.5] * len(tokens), decode, 2.0)
    times = [time for _, start, end, _ in words for time in (start, end)]
    assert times == sorted(times)
    assert all(0.0 <= time <= 2.0 for time in times)
