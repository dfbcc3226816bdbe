"""For notebooks: recordings, their evaluation and data frames in a few calls. Needs the extra `analyst`; no service.

recording = load_recording("recordings/01m8...")
result = evaluate(recording)
turns_frame([result])
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from services.evaluator.exporting.tables import rows_of, scores_of
from services.evaluator.recording.reader import Recording, load_recording, read_recording
from services.evaluator.recording.store import RecordingStore
from services.evaluator.report.data import SessionView, session_view
from shared.coaching.detection import Detector

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Evaluated",
    "Recording",
    "evaluate",
    "events_frame",
    "load_recording",
    "load_recordings",
    "metrics_frame",
    "scores_of",
    "turns_frame",
    "words_frame",
]

Evaluated: TypeAlias = SessionView
"""A recording with its timeline (`.timeline`), turns with verdicts (`.turns`) and scorecard (`.card`)."""

Results: TypeAlias = Evaluated | Iterable[Evaluated]


def load_recordings(url: str) -> Iterator[Recording]:
    """Yield all recordings of a folder or store, oldest first. Raises RecordingError at one that is damaged."""
    store = RecordingStore(url)
    for recording_id in store.ids():
        yield read_recording(store, recording_id)


def evaluate(recording: Recording, detector: Detector | None = None) -> Evaluated:
    """Return what the evaluator makes of a recording: the same figures as the live session's."""
    return session_view(recording, detector)


def turns_frame(results: Results) -> pl.DataFrame:
    """Return one row for each turn and backchannel. Columns: docs/reports.md."""
    return _frame("turns", results)


def words_frame(results: Results) -> pl.DataFrame:
    """Return one row for each word, with its times."""
    return _frame("words", results)


def metrics_frame(results: Results) -> pl.DataFrame:
    """Return one row for each recording and metric or score."""
    return _frame("metrics", results)


def events_frame(results: Results) -> pl.DataFrame:
    """Return one row for each event, as it was recorded."""
    return _frame("events", results)


def _frame(table: str, results: Results) -> pl.DataFrame:
    from services.evaluator.exporting.frames import frame

    views = [results] if isinstance(results, SessionView) else results
    return frame(table, [row for view in views for row in rows_of(view)[table]])
