"""The folder of answers: what goes in comes out, what is not of its form does not, and no word of a talk is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from services.evaluator.judge.answers import Answer, Refused
from services.evaluator.judge.cache import AnswerCache, Kept
from services.evaluator.judge.questions import Question

KEY = "ab" * 32


@pytest.mark.parametrize(
    "outcome", [Answer("ok", 3, 9), Answer("absent"), Refused("evidence_not_in_turn"), Refused("malformed")]
)
def test_an_answer_comes_back(tmp_path: Path, question: Callable[..., Question], outcome: Answer | Refused) -> None:
    cache = AnswerCache(tmp_path / "answers")
    assert cache.get(KEY, question()) is None
    cache.put(KEY, Kept(outcome, "model-1"))
    assert cache.get(KEY, question()) == Kept(outcome, "model-1")
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert file.relative_to(tmp_path).as_posix() == f"answers/ab/{KEY}.json"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"schema":"other/1","served_as":"","verdict":"ok","start":0,"end":3}',
        '{"schema":"splitbrain.judge_answer/1","served_as":"","verdict":"perfect","start":0,"end":3}',
        '{"schema":"splitbrain.judge_answer/1","served_as":"","verdict":"yes","start":0,"end":3}',
        '{"schema":"splitbrain.judge_answer/1","served_as":"","verdict":"ok","start":0,"end":9999}',
        '{"schema":"splitbrain.judge_answer/1","served_as":"","verdict":"ok","start":3,"end":3}',
        '{"schema":"splitbrain.judge_answer/1","served_as":"","refused":"because"}',
        '{"schema":"splitbrain.judge_answer/1","served_as":"","verdict":"ok","start":0,"end":3,"more":1}',
    ],
)
def test_a_file_that_was_damaged_is_no_answer(tmp_path: Path, question: Callable[..., Question], text: str) -> None:
    cache = AnswerCache(tmp_path)
    cache.put(KEY, Kept(Answer("ok", 0, 3), ""))
    (tmp_path / "ab" / f"{KEY}.json").write_text(text, encoding="utf-8")
    assert cache.get(KEY, question()) is None


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="file"):
        AnswerCache(tmp_path / "file").put(KEY, Kept(Answer("ok", 0, 3), ""))
