"""Rows: every column in every row, kinds as the schema says, the figures of the card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.evaluator.exporting.tables import TABLES, rows_of, scores_of
from shared.events import Consent
from tests.services.evaluator.recorded_talks import role_play_events, role_play_view, view_of

KINDS = {"text": str, "whole": int, "number": (int, float), "flag": bool, "texts": list}
DOCUMENT = Path(__file__).parents[4] / "docs" / "reports.md"


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_row_has_every_column_and_its_kind(table: str) -> None:
    columns = TABLES[table]
    rows = rows_of(role_play_view())[table]
    assert rows
    for row in rows:
        assert set(row) == {column.name for column in columns}
        for column in columns:
            value = row[column.name]
            assert value is None or isinstance(value, KINDS[column.kind]), column.name  # type: ignore[arg-type]
            assert not (column.kind == "whole" and isinstance(value, bool))


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_column_is_documented(table: str) -> None:
    text = DOCUMENT.read_text("utf-8")
    section = text[text.index(f"### `{table}`") :]
    section = section[: section.index("\n#", 5)]
    assert [column.name for column in TABLES[table] if f"`{column.name}`" not in section] == []


def test_turns_carry_their_verdicts_and_gaps() -> None:
    rows = {row["turn"]: row for row in rows_of(role_play_view())["turns"] if row["kind"] == "turn"}
    assert rows["u5"]["errors"]
    assert rows["h6"]["cut_by"] == "user"
    assert rows["u6"]["gap_ms"] == -400
    assert rows["h1"]["gap_ms"] is None
    assert rows["u4"]["f0_median_hz"] == 140.0
    assert rows["h1"]["f0_median_hz"] is None


def test_backchannels_are_rows_of_their_own() -> None:
    (ack,) = [row for row in rows_of(role_play_view())["turns"] if row["kind"] == "backchannel"]
    assert (ack["turn"], ack["text"], ack["speaker"]) == (None, "ja", "user")


def test_metrics_are_those_of_the_card_and_its_scores() -> None:
    view = role_play_view()
    rows = {row["name"]: row for row in rows_of(view)["metrics"]}
    assert all(rows[m["name"]]["value"] == m["value"] for m in view.card["metrics"])
    assert {name: rows[name]["value"] for name in scores_of(view.card)} == scores_of(view.card)
    assert rows["phase_4"]["value"] is None


def test_events_hold_what_was_recorded() -> None:
    view = role_play_view()
    rows = rows_of(view)["events"]
    assert [row["index"] for row in rows] == list(range(len(view.recording.events)))
    assert json.loads(rows[0]["body"])["kind"] == "session_started"


def test_what_was_not_kept_is_in_no_table() -> None:
    rows = rows_of(view_of(role_play_events(), consent=Consent()))
    assert rows["words"] == []
    assert {row["text"] for row in rows["turns"]} == {None}
    assert "ritten" not in json.dumps(rows["events"])
