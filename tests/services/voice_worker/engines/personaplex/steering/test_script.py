"""From a sentence and its hints to text tokens and silences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.engines.personaplex.steering.script import MAX_PAUSE_FRAMES, Script, ScriptWord, build_script
from shared.events import DeliveryHints, Pause


def encode(word: str) -> list[int]:
    """One token for every three characters, with ids that differ by their text."""
    return [100 + sum(map(ord, word[i : i + 3])) for i in range(0, len(word), 3)]


def script(text: str, hints: DeliveryHints | None = None) -> Script:
    return build_script(text, hints or DeliveryHints(), encode)


def pads(made: Script) -> list[tuple[int, int]]:
    return [(word.pads_before, word.pads_after) for word in made.words]


def test_words_become_pieces_of_the_bare_word() -> None:
    asked: list[str] = []

    def tokens(word: str) -> list[int]:
        asked.append(word)
        return encode(word)

    made = build_script(" Well,  go on", DeliveryHints(), tokens, allow_interrupt=False, label="h1", ends_turn=False)
    assert asked == ["Well,", "go", "on"]
    assert [word.pieces for word in made.words] == [tuple(encode(word)) for word in asked]
    assert [word.text for word in made.words] == asked
    assert (made.allow_interrupt, made.label, made.ends_turn) == (False, "h1", False)


@pytest.mark.parametrize(("pacing", "bounds"), [("slow", (3, 8)), ("normal", (1, 6)), ("fast", (0, 3))])
def test_pacing_bounds_the_pads(pacing: str, bounds: tuple[int, int]) -> None:
    made = script("go on", DeliveryHints(pacing=pacing))  # type: ignore[arg-type]
    assert (made.min_pads, made.max_pads) == bounds


def test_marks_give_short_silences() -> None:
    made = script("a, b; c: d. e? f! (g.) “h,” i Dr. e.g. j")
    assert [after for _, after in pads(made)] == [2, 3, 3, 4, 4, 4, 4, 2, 0, 0, 0, 0]


@pytest.mark.parametrize(("duration", "frames"), [(0.0, 0), (0.3, 4), (1.0, 12), (1.4, 18), (1.5, 18), (9.0, 18)])
def test_a_pause_takes_the_place_of_a_mark_and_is_cut(duration: float, frames: int) -> None:
    made = script("Right, then", DeliveryHints(pauses=(Pause("right", duration),)))
    assert pads(made) == [(0, frames), (0, 0)]
    assert frames <= MAX_PAUSE_FRAMES


def test_pauses_are_looked_for_one_after_the_other() -> None:
    pauses = (Pause("You, know", 0.4), Pause("know", 0.8), Pause("so", 0.4), Pause("", 1.0), Pause("it's", 0.2))
    made = script("So you know what you know it’s over", DeliveryHints(pauses=pauses))
    assert [after for _, after in pads(made)] == [0, 0, 5, 0, 0, 10, 2, 0]


def test_a_pause_after_what_has_no_match_left_has_no_effect_on_later_ones() -> None:
    made = script(
        "one two three", DeliveryHints(pauses=(Pause("four", 0.4), Pause("two three four", 1.0), Pause("two", 0.4)))
    )
    assert [after for _, after in pads(made)] == [0, 5, 0]


def test_emphasis_sets_a_word_off() -> None:
    made = script("this is really good stuff", DeliveryHints(emphasis=("Really good",)))
    assert pads(made) == [(0, 0), (0, 0), (2, 2), (0, 2), (0, 0)]
    made = script("yes, you.", DeliveryHints(emphasis=("you",)))
    assert pads(made) == [(0, 2), (0, 4)]


def test_the_tone_has_no_effect() -> None:
    assert script("well done", DeliveryHints(tone="challenging")) == script("well done")


def test_reports_numbers_as_written_and_speaks_them_as_words() -> None:
    made = script("Pay $12.50, or 20% in 1998 now", DeliveryHints(emphasis=("1998",), pauses=(Pause("12.50,", 0.8),)))
    spoken = "Pay twelve dollars and fifty cents, or twenty percent in nineteen ninety-eight now"
    assert [word.pieces for word in made.words] == [tuple(encode(word)) for word in spoken.split()]
    assert [word.text for word in made.words] == ["Pay", "$12.50,", *[""] * 4, "or", "20%", "", "in", "1998", "", "now"]
    assert pads(made)[1:6] == [(0, 0)] * 4 + [(0, 10)]
    assert pads(made)[10:12] == [(2, 0), (0, 2)]


def test_neighbouring_numbers_keep_their_own_words() -> None:
    made = script("$5 million or 21 42 5 % at 10:00 am € 3 on")
    texts = ["$5", "million", "", "or", "21", "42", "5", "%", "at", "10:00", "am", "€", "3", "on"]
    assert [word.text for word in made.words] == texts


def test_spoken_words_that_nothing_explains_belong_to_the_last_word() -> None:
    made = build_script("one two", DeliveryHints(), encode, spell=lambda text: {"one two": "w x y z"}.get(text, text))
    assert [word.text for word in made.words] == ["one", "two", "", ""]


def test_what_has_no_sound_joins_its_neighbour() -> None:
    made = script("- “ Go. – now …")
    assert [word.text for word in made.words] == ["- “ Go. –", "now …"]
    assert [word.pieces for word in made.words] == [tuple(encode("Go.")), tuple(encode("now"))]
    assert pads(made) == [(0, 4), (0, 4)]


@pytest.mark.parametrize("text", ["", "  ", "...", "– !"])
def test_without_a_sound_there_are_no_words(text: str) -> None:
    assert script(text).words == ()


def test_special_ids_never_get_into_a_word() -> None:
    made = build_script("ab cd", DeliveryHints(), lambda word: [0, 3, -1, 1, 2] + ([7] if word == "ab" else []))
    assert made.words == (ScriptWord("ab cd", (7,)),)


@pytest.mark.parametrize("pieces", [(), (3,), (7, 0), (-1,)])
def test_a_word_needs_tokens(pieces: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="tokens"):
        ScriptWord("a", pieces, 0, 0)


_TEXTS = st.lists(st.sampled_from(["go", "21", "$5", "million", "–", "5%", "on,", "so", "3rd", "…"]), max_size=12)
_SPELLINGS = st.dictionaries(st.sampled_from(["go", "21", "on,", "so"]), st.sampled_from(["", "a b", "so", "go on,"]))


@given(_TEXTS, _SPELLINGS, st.none() | st.text("ab ", max_size=20))
def test_no_spelling_loses_a_written_or_a_spoken_word(
    words: list[str], spelling: dict[str, str], whole: str | None
) -> None:
    text = " ".join(words)

    def spell(part: str) -> str:
        if whole is not None and part == text:
            return whole  # nothing to do with the spelling of its parts
        return " ".join(spelling.get(word, word) for word in part.split())

    made = build_script(text, DeliveryHints(), encode, spell=spell)
    spoken = [word for word in spell(text).split() if word not in "–…"]
    assert [word.pieces for word in made.words] == [tuple(encode(word)) for word in spoken if words]
    if made.words:
        assert " ".join(word.text for word in made.words if word.text) == text


@pytest.mark.parametrize("text", ["a 5 " * 5_000, "5 " * 10_000, "$5 million " * 1_500, "a, " * 6_000])
def test_a_long_text_takes_time_in_proportion(text: str) -> None:
    asked = 0

    def spell(part: str) -> str:
        nonlocal asked
        asked += len(part.split())
        return part.replace("$5 million", "five million dollars").replace("5", "five")

    made = build_script(text, DeliveryHints(), encode, spell=spell)
    assert " ".join(word.text for word in made.words if word.text) == text.strip()
    assert asked <= 5 * len(text.split())
