"""What a forgetful voice is told of the talk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.coaching.conversation import Conversation, Line
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.coaching.summary import MAX_QUOTE_CHARS, summary
from shared.events import Language

AGAIN = "You are in the middle of a conversation; do not greet again."


def talk(language: Language = "en") -> Conversation:
    return Conversation(load_knowledge(), default_detector(), language)


def test_before_the_first_turn_and_in_dutch_there_is_none() -> None:
    english, dutch = talk(), talk("nl")
    english.hear_hugo("h1", "Hello, what do you sell?")
    dutch.hear_user("u1", "Ik verkoop koffiemachines aan kantoren.")
    assert summary(english) == summary(dutch) == ""


def test_it_says_what_is_sold_where_the_talk_is_and_what_was_said_last() -> None:
    conversation = talk()
    conversation.hear_hugo("h1", "Hello, what do you sell?")
    conversation.hear_user("u1", "I sell coffee machines to offices.")
    conversation.hear_hugo("h2", "Good.  Go\non")
    conversation.focus(2)
    assert summary(conversation) == (
        f"{AGAIN} The seller sells coffee machines to offices. They practise finding out what the customer needs."
        " The seller said last: I sell coffee machines to offices. You said last: Good. Go on."
    )


def test_what_is_not_known_is_left_out() -> None:
    conversation = talk()
    conversation.hear_user("u1", "Well, hello!")
    assert summary(conversation) == f"{AGAIN} The seller said last: Well, hello!"
    conversation.slots["product"] = "bikes"
    assert "The seller sells bikes. " in summary(conversation)
    del conversation.slots["product"]
    conversation.slots["customer_type"] = "shops"
    assert "shops" not in summary(conversation)


@pytest.mark.parametrize("phase", [1, 2, 3, 4, 9])
def test_every_phase_has_a_name(phase: int) -> None:
    conversation = talk()
    conversation.hear_user("u1", "Hello!")
    conversation.phase = phase
    assert "They practise " in summary(conversation)
    assert "practise ." not in summary(conversation)


def test_a_line_without_words_is_not_the_last() -> None:
    conversation = talk()
    conversation.hear_user("u1", "Hello!")
    conversation.hear_user("u2", " ")
    conversation.lines.append(Line("hugo", "h1", "\n"))
    assert summary(conversation) == f"{AGAIN} The seller said last: Hello!"


def test_a_long_line_is_cut_between_words_and_keeps_its_end() -> None:
    conversation = talk()
    conversation.hear_user("u1", " ".join(f"word{number**2}" for number in range(100)))
    quoted = summary(conversation).partition("last: ")[2]
    assert quoted.endswith("word9604 word9801.")
    assert MAX_QUOTE_CHARS - 10 < len(quoted) <= MAX_QUOTE_CHARS + 1
    assert all(word.startswith("word") for word in quoted.split())


def test_a_line_without_blanks_is_cut_anywhere() -> None:
    conversation = talk()
    conversation.hear_user("u1", "x" * 400)
    assert summary(conversation).endswith(f"last: {'x' * MAX_QUOTE_CHARS}.")


_LINES = st.text(st.sampled_from("ab \n"), max_size=400)


@given(st.lists(st.tuples(st.sampled_from(["user", "hugo"]), _LINES), min_size=1, max_size=4))
def test_whatever_was_said_the_summary_is_short_and_quotes_no_void(lines: list[tuple[str, str]]) -> None:
    conversation = talk()
    conversation.hear_user("u0", "Yes.")
    conversation.lines.extend(Line(speaker, "", text) for speaker, text in lines)
    told = summary(conversation)
    assert len(told) <= 500
    assert "last: ." not in told
