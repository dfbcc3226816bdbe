from __future__ import annotations

import json
from typing import Any

import pytest

from services.evaluator.scorecard import (
    EVALUATOR_VERSION,
    MAX_TURN_ENTRIES,
    SCHEMA,
    Basis,
    build_scorecard,
    canonical_json,
)
from services.evaluator.scoring import MAX_EVIDENCE_CHARS, TurnVerdict
from services.evaluator.timeline import Timeline
from shared.coaching.knowledge import load_knowledge
from shared.events import Event, MetricValue, ScorecardReady
from shared.wire import encode_event


def verdict(number: int) -> TurnVerdict:
    return TurnVerdict(
        f"u{number}",
        number * 1_000,
        number * 1_000 + 900,
        ("2.1.1.8", "2.1.1.4"),
        "partial",
        2,
        ("stacked_questions", "closed_question"),
        "é" * MAX_EVIDENCE_CHARS,
        "ontwijkend",
        ("2.1.3", "2.1.5"),
        False,
        True,
        True,
    )


def card(verdicts: list[TurnVerdict], metrics: tuple[MetricValue, ...] = ()) -> dict[str, Any]:
    basis = Basis(load_knowledge(), "d-1", is_committed=False, is_coached=True, end_reason="idle")
    return build_scorecard(Timeline(), verdicts, metrics, basis, ["a note"]).data


def test_canonical_json_has_one_form() -> None:
    assert canonical_json({"b": 1.5, "a": ["é", None]}) == '{"a":["é",null],"b":1.5}'.encode()
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": float("nan")})


def test_the_card_says_what_it_rests_on() -> None:
    data = card([])
    assert (data["schema"], data["evaluator_version"], data["detector"]) == (SCHEMA, EVALUATOR_VERSION, "d-1")
    assert data["knowledge_hash"] == load_knowledge().knowledge_hash
    assert "a note" in data["notes"]
    assert (data["session"]["hugo_is"], data["session"]["end_reason"]) == ("coach", "idle")
    assert "coaching hints" in data["notice"]["en"]
    assert "employment" in data["notice"]["en"]


def test_missing_figures_are_noted() -> None:
    data = card([], (MetricValue("patience", None, "s", "", "no gap yet"), MetricValue("talk_share", 0.4, "ratio")))
    assert "patience: no gap yet" in data["notes"]
    assert not any(note.startswith("talk_share") for note in data["notes"])


def test_errors_are_counted_over_all_turns() -> None:
    assert card([verdict(1), verdict(2)])["errors"] == {"closed_question": 2, "stacked_questions": 2}


def test_the_longest_card_fits_one_stream_entry() -> None:
    data = card([verdict(number) for number in range(2_000)])
    assert len(data["turns"]) == MAX_TURN_ENTRIES
    assert data["errors"]["stacked_questions"] == 2_000
    assert "1600 later turns are counted but not listed" in data["notes"]
    body = ScorecardReady(EVALUATOR_VERSION, data)
    encode_event(Event("evaluator:scorecard", "0" * 26, "evaluator", 1, 0, 0, body))  # raises where it does not fit


def test_the_card_survives_a_round_trip_byte_for_byte() -> None:
    data = card([verdict(1)], (MetricValue("talk_share", 0.4333, "ratio"),))
    assert canonical_json(json.loads(canonical_json(data))) == canonical_json(data)
