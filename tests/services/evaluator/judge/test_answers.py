"""What counts as an answer, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.evaluator.judge.answers import MAX_ANSWER_CHARS, Answer, Refused, find_quote, parse_answer
from services.evaluator.judge.questions import Question

Make = Callable[..., Question]
Say = Callable[..., str]


def quote_of(text: str, quote: str) -> str | None:
    span = find_quote(quote, text)
    return None if span is None else text[slice(*span)]


def test_a_right_answer_is_a_verdict_and_a_place(question: Make, said: Say) -> None:
    answer = parse_answer(said(evidence="  wat betekent   dat, concreet  "), question())
    assert isinstance(answer, Answer)
    assert (answer.verdict, question().text[answer.start : answer.end]) == ("ok", "Wat betekent dat concreet")
    assert parse_answer(f"```json\n{said()}\n```", question()) == parse_answer(said(), question())


def test_what_is_not_shown_needs_no_quote(question: Make, said: Say) -> None:
    assert parse_answer(said(evidence="", verdict="absent"), question()) == Answer("absent")
    customer = question("vaag", kind="attitude", text="We zien wel.")
    assert parse_answer(said("vaag", "made up", "no"), customer) == Answer("no")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "malformed"),
        ("ok", "malformed"),
        ("[]", "malformed"),
        ("null", "malformed"),
        ('{"criterion": "2.3", "evidence": "wat betekent", "verdict": "ok"', "malformed"),
        ('{"criterion": "2.3", "evidence": "wat betekent", "verdict": "perfect"}', "malformed"),
        ('{"criterion": "2.3", "evidence": "wat betekent", "verdict": "yes"}', "malformed"),
        ('{"criterion": "2.3", "evidence": ["wat betekent"], "verdict": "ok"}', "malformed"),
        ('{"criterion": "2.3", "evidence": "wat betekent", "verdict": "ok", "overall": 100}', "malformed"),
        ('{"criterion": "2.3", "evidence": "wat betekent", "verdict": "missed", "verdict": "ok"}', "malformed"),
        ('Sure! {"criterion": "2.3", "evidence": "wat betekent", "verdict": "ok"}', "malformed"),
        ("[" * 3_000, "malformed"),
        ("9" * 3_999, "malformed"),
        (" {}" * MAX_ANSWER_CHARS, "malformed"),
        ('{"criterion": "2.4", "evidence": "wat betekent", "verdict": "ok"}', "wrong_criterion"),
        ('{"criterion": "2.3", "evidence": " ... ", "verdict": "ok"}', "no_evidence"),
        ('{"criterion": "2.3", "evidence": "wat kost dat u", "verdict": "ok"}', "evidence_not_in_turn"),
        ('{"criterion": "2.3", "evidence": "wat ... concreet voor u", "verdict": "ok"}', "evidence_not_in_turn"),
        ('{"criterion": "2.3", "evidence": "u", "verdict": "missed"}', "evidence_not_in_turn"),
        ('{"criterion": "2.3", "evidence": "wat betekent \\ud800", "verdict": "okay"}', "malformed"),
    ],
)
def test_anything_else_is_refused(question: Make, content: str, reason: str) -> None:
    assert parse_answer(content, question()) == Refused(reason)  # type: ignore[arg-type]


def test_a_quote_is_found_word_for_word_whatever_the_marks() -> None:
    text = "Euh… Dus één dag — élke maand — dat kost u “geld”, hè?"
    assert quote_of(text, "een dag, elke maand") == "één dag — élke maand"
    assert quote_of(text, '"geld" he') == "geld”, hè"
    assert quote_of(text, "dag maand") is None
    assert quote_of(text, "ag elke") is None
    assert quote_of("Waarom?", "waarom") == "Waarom"
    assert quote_of("", "waarom") is None


def test_a_long_quote_is_cut() -> None:
    text = "woord " * 200
    assert len(quote_of(text, text) or "") == 200


@settings(max_examples=40)
@given(st.text(max_size=80), st.integers(0, 80), st.integers(0, 80))
def test_what_is_found_is_in_the_text_and_any_stretch_of_words_is_found(text: str, start: int, end: int) -> None:
    quote = text[start:end]
    span = find_quote(quote, text)
    assert span is None or 0 <= span[0] < span[1] <= len(text)
    words = text.split()
    if len(words) >= 4 and all(word.isascii() and word.isalnum() for word in words):
        assert find_quote(" ".join(words[1:3]), text) is not None


@settings(max_examples=40)
@given(st.text(max_size=200))
def test_no_answer_breaks_the_parser(content: str) -> None:
    plain = Question("technique", "u1", "2.3", "een dag per maand", "", "nl")
    parse_answer(content, plain)
    parse_answer(json.dumps({"criterion": "2.3", "evidence": content, "verdict": "ok"}), plain)
