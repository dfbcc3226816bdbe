"""Dialogue files: what is read, what is passed over, and what is told of a line that is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.evaluator.dialogues.reading import MAX_FAULTS, read_dialogues
from shared.errors import BadInput

TURN = {"speaker": "seller", "text": "Hoe gaat dat nu?"}


def line(**changes: Any) -> str:
    return json.dumps({"id": "a", "lang": "nl", "turns": [TURN], **changes})


def test_unknown_fields_and_blank_lines_are_passed_over() -> None:
    text = "\ufeff" + line(schema="dialogue/9", tests=["x"], turns=[{**TURN, "i": 0, "labels": LABELS}]) + "\r\n\n"
    (one,) = read_dialogues(text, "x.jsonl")
    assert (one.id, one.lang, one.locale) == ("a", "nl", "")
    assert one.turns[0].labels is not None
    assert one.turns[0].labels.techniques == ("1.4",)
    assert one.turns[0].labels.scored
    assert one.is_labelled


LABELS = {"techniques": ["1.4"], "epic_step": None, "note": "x", "expected": []}


def test_a_null_attitude_is_a_label_and_a_missing_one_is_none() -> None:
    turns = [{"speaker": "customer", "text": "Ja.", "attitude": None}, {"speaker": "customer", "text": "Ja."}]
    (one,) = read_dialogues(line(turns=turns), "x")
    assert [turn.has_attitude_label for turn in one.turns] == [True, False]
    assert not read_dialogues(line(), "x")[0].is_labelled


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: a line must hold one JSON object"),
        (line(id="a"), "line 2: id: 'a' stands on line 1 already"),
        (line(id="b", lang="fr"), "line 2: lang: "),
        (line(id="b", turns=[]), "line 2: turns: "),
        (line(id="b", turns=[{"speaker": "boss", "text": "x"}]), "line 2: turns.0.speaker: "),
        (line(id="b", turns=[{**TURN, "labels": {"techniques": "2.3"}}]), "line 2: turns.0.labels.techniques: "),
        (line(id="b", turns=[{**TURN, "labels": {}}]), "line 2: turns.0.labels.techniques: "),
        (line(id="b", turns=[{**TURN, "labels": {**LABELS, "quality": "good"}}]), "turns.0.labels.quality: "),
    ],
)
def test_a_wrong_line_is_named(bad: str, told: str) -> None:
    with pytest.raises(BadInput) as error:
        read_dialogues(f"{line()}\n{bad}\n", "x.jsonl")
    assert told in str(error.value)
    assert str(error.value).startswith("x.jsonl cannot be read:")


def test_faults_are_told_up_to_a_number() -> None:
    with pytest.raises(BadInput, match="and 5 more"):
        read_dialogues("{\n" * (MAX_FAULTS + 5), "x")


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_file_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="holds no dialogue"):
        read_dialogues(text, "x")
