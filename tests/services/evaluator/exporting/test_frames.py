"""Data frames and Parquet: the schema is the same with and without rows, and files come back as they went."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from services.evaluator.exporting.frames import frame, write_parquet
from services.evaluator.exporting.tables import SCHEMA, TABLES, rows_of
from tests.services.evaluator.recorded_talks import role_play_view, scene_events, view_of


@pytest.mark.parametrize("table", sorted(TABLES))
def test_the_schema_does_not_hang_on_the_rows(table: str) -> None:
    full = frame(table, rows_of(role_play_view())[table])
    assert full.schema == frame(table, []).schema
    assert full.columns == [column.name for column in TABLES[table]]


def test_parquet_files_come_back(tmp_path: Path) -> None:
    views = [role_play_view(), view_of(scene_events("Hoe plant u uw ritten?", number=1))]
    counts = write_parquet(iter(views), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{table}.parquet" for table in TABLES)
    for table in TABLES:
        back = pl.read_parquet(tmp_path / f"{table}.parquet")
        assert back.height == counts[table] == sum(len(rows_of(view)[table]) for view in views)
        assert back.schema == frame(table, []).schema
    assert pl.read_parquet_metadata(tmp_path / "turns.parquet")["schema"] == SCHEMA


def test_no_recordings_give_empty_tables(tmp_path: Path) -> None:
    assert set(write_parquet([], tmp_path).values()) == {0}
    assert pl.read_parquet(tmp_path / "words.parquet").height == 0
