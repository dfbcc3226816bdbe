"""Times of words: from the recogniser, from the voice, else spread and said to be so."""

from __future__ import annotations

from itertools import pairwise

from services.evaluator.exporting.word_times import MAX_SPOKEN_MS, spoken_marks, words_of
from services.evaluator.intervals import Interval
from services.evaluator.turns import Turn
from shared.events import Word
from tests.services.evaluator.recorded_talks import role_play_view


def turn(text: str, **more: object) -> Turn:
    return Turn("h1", "hugo", 1_000, 4_000, text, "nl", speech=(Interval(1_000, 4_000),), **more)  # type: ignore[arg-type]


def test_recognised_words_keep_their_times() -> None:
    (word,) = words_of(turn("hallo", words=(Word(" hallo", 1_200, 1_500, 0.9),)), {})
    assert (word.text, word.start_ms, word.end_ms, word.is_timed, word.confidence) == ("hallo", 1_200, 1_500, True, 0.9)


def test_the_voice_tells_when_its_words_begin() -> None:
    words = words_of(turn("een twee"), {"h1": [(1_000, " een"), (1_400, " twee")]})
    assert [(word.start_ms, word.is_timed) for word in words] == [(1_000, True), (1_400, True)]
    assert words[0].end_ms == 1_400
    assert words[1].end_ms == 1_400 + MAX_SPOKEN_MS  # the turn's end is far: then the voice paused


def test_a_piece_of_several_words_is_shared_out() -> None:
    words = words_of(turn("goede morgen samen"), {"h1": [(1_000, " goede morgen"), (2_000, " samen")]})
    assert [word.text for word in words] == ["goede", "morgen", "samen"]
    assert words[0].start_ms < words[1].start_ms < words[2].start_ms == 2_000


def test_times_of_other_words_are_not_used() -> None:
    words = words_of(turn("een twee"), {"h1": [(1_000, " een"), (1_400, " twee"), (1_800, " drie")]})
    assert {word.is_timed for word in words} == {False}


def test_without_times_words_are_spread_over_the_speech() -> None:
    words = words_of(turn("een langere zin"), {})
    assert (words[0].start_ms, words[-1].end_ms) == (1_000, 4_000)
    assert all(a.end_ms == b.start_ms for a, b in pairwise(words))
    assert not any(word.is_timed for word in words)


def test_no_text_no_words() -> None:
    assert words_of(turn(""), {}) == ()


def test_the_role_plays_words_are_all_timed() -> None:
    view = role_play_view()
    marks = spoken_marks(view.recording.events)
    for each in view.turns:
        words = words_of(each.turn, marks)
        assert " ".join(word.text for word in words) == each.turn.text
        assert all(word.is_timed for word in words)
        assert all(each.turn.start_ms <= word.start_ms <= word.end_ms for word in words)
