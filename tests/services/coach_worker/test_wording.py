"""Phrases with choices and gaps."""

from __future__ import annotations

import random
import re

import pytest

from services.coach_worker import wording
from services.coach_worker.moves import _WORST
from services.coach_worker.wording import Phrasebook, capitalise, load_phrases
from shared.coaching.knowledge import load_knowledge
from shared.errors import ConfigError

GAPS = {"name", "due", "quote", "count", "example", "definition", "value", "product", "customer", "commit", "n"}


def test_every_combination_is_drawn_once_and_then_none() -> None:
    book = Phrasebook({"k": ("[a|b] [c|d]", "e {gap}", "f {none}")})
    said: set[str] = set()
    for _ in range(5):
        sentence = book.draw("k", random.Random(1), lambda text: text in said, gap="x")
        assert sentence not in said
        said.add(sentence)
    assert said == {"A c", "A d", "B c", "B d", "E x"}
    assert book.draw("k", random.Random(1), lambda text: text in said, gap="x") == ""


def test_lines_of_one_country() -> None:
    phrases = {"k": ("BE:allez", "NL:nou")}
    draws = [Phrasebook(phrases, locale).draw("k", random.Random(0), lambda _: False) for locale in ("nl-BE", "nl-NL")]
    assert draws == ["Allez", "Nou"]


@pytest.mark.parametrize(("text", "out"), [("één", "Één"), ("“wat", "“Wat"), ("3 keer", "3 keer"), ("", "")])
def test_capitals(text: str, out: str) -> None:
    assert capitalise(text) == out


def test_both_languages_have_the_same_keys_and_known_gaps() -> None:
    nl, en = load_phrases("nl"), load_phrases("en")
    assert set(nl) == set(en)
    for rows in (*nl.values(), *en.values()):
        assert rows
        for row in rows:
            assert set(re.findall(r"\{(\w+)\}", row)) <= GAPS
            assert row.count("[") == row.count("]")
            assert "[" not in re.sub(r"\[[^\[\]]*\]", "", row)
            assert not re.search(r"[*_#`]|https?:", row)


def test_only_the_last_stretch_of_an_answer_may_ask() -> None:
    for language in ("nl", "en"):
        for key, rows in load_phrases(language).items():  # type: ignore[arg-type]
            if key.startswith(
                ("good.", "bad.", "got.", "cue.lead", "half", "begin.known", "help.example", "help.think")
            ):
                assert not any("?" in row for row in rows), key
            if key.startswith("cue.") and key not in ("cue.ask",):
                assert not any("?" in row for row in rows), key
            assert all(option.count("?") <= 1 for row in rows for option in (re.sub(r"\[[^\]]*\]", "", row),))


def test_every_error_that_is_spoken_of_has_words() -> None:
    phrases = load_phrases("nl")
    assert all(f"bad.{code}" in phrases for code in _WORST)
    assert set(_WORST) <= set(load_knowledge().error_codes)


def test_a_missing_file_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(wording.importlib.resources, "files", lambda _: tmp_path)
    load_phrases.cache_clear()
    with pytest.raises(ConfigError, match="install splitbrain again"):
        load_phrases("nl")
    load_phrases.cache_clear()
