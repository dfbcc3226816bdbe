"""Rows as polars data frames with the fixed schema, and as Parquet files. Only this module needs polars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from services.evaluator.exporting.tables import SCHEMA, TABLES, Column, Row, rows_of
from services.evaluator.report.data import SessionView

_TYPES: Mapping[str, pl.DataType] = {
    "text": pl.String(),
    "whole": pl.Int64(),
    "number": pl.Float64(),
    "flag": pl.Boolean(),
    "texts": pl.List(pl.String()),
}


def frame(table: str, rows: Sequence[Row]) -> pl.DataFrame:
    """Return rows of a table as a data frame; every column is there and has its type, also without any row."""
    columns = TABLES[table]
    return pl.DataFrame({column.name: _values(column, rows) for column in columns})


def _values(column: Column, rows: Sequence[Row]) -> pl.Series:
    values = [row[column.name] for row in rows]
    if column.kind == "number":
        values = [None if value is None else float(value) for value in values]
    return pl.Series(column.name, values, dtype=_TYPES[column.kind], strict=True)


def write_parquet(views: Iterable[SessionView], folder: Path) -> dict[str, int]:
    """Write one Parquet file a table into the folder and return the number of rows of each.

    Rows stand in the order of the recordings, then of time. The same recordings give the same tables.
    """
    parts: dict[str, list[pl.DataFrame]] = {table: [frame(table, [])] for table in TABLES}
    for view in views:
        for table, rows in rows_of(view).items():
            parts[table].append(frame(table, rows))
    counts: dict[str, int] = {}
    for table, frames in parts.items():
        whole = pl.concat(frames)
        counts[table] = whole.height
        part = folder / f"{table}.parquet.part"
        whole.write_parquet(part, compression="zstd", metadata={"schema": SCHEMA, "table": table})
        part.replace(folder / f"{table}.parquet")
    return counts
