"""The words of the pages: both languages have the same, and every metric and error code has a name."""

from __future__ import annotations

import re

import pytest

from services.evaluator.metrics import load_metrics
from services.evaluator.report.texts import Words, _read, readable
from shared.coaching.knowledge import load_knowledge


def test_both_languages_have_the_same_texts_and_blanks() -> None:
    dutch, english = _read("nl"), _read("en")
    assert dutch.keys() == english.keys()
    blanks = re.compile(r"{(\w+)}")
    assert {key for key in dutch if set(blanks.findall(dutch[key])) != set(blanks.findall(english[key]))} == set()


@pytest.mark.parametrize("lang", ["nl", "en"])
def test_metrics_and_error_codes_have_names(lang: str) -> None:
    words = Words(lang)  # type: ignore[arg-type]
    keys = [f"metric.{metric.name}" for metric in load_metrics()]
    keys += [f"error.{code}" for code in load_knowledge().error_codes]
    assert [key for key in keys if key not in words] == []


def test_what_has_no_words_is_shown_readably() -> None:
    assert Words("nl")("metric.a_new_one") == readable("a_new_one") == "A new one"


def test_blanks_are_filled() -> None:
    assert Words("en")("mark.cut", who="Hugo") == "Hugo interrupts"
