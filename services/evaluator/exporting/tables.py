"""Recordings as rows of four tables: turns, words, metrics, events. Pure; the schema is fixed and documented.

A column that a recording cannot fill is null, never 0 or "". Times are ms of media time. What was never kept (no
consent) is in no table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from services.evaluator.exporting.word_times import spoken_marks, words_of
from services.evaluator.report.data import SessionView, TurnView
from shared.events import Event
from shared.wire import event_to_json

SCHEMA: Final = "splitbrain.tables/1"
"""Raised with every column that goes or changes its meaning; a new column at a table's end does not raise it."""

Kind = Literal["text", "whole", "number", "flag", "texts"]
"""UTF-8 string, 64-bit integer, double, boolean, list of strings."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: name, kind, unit ("" where it has none), meaning."""

    name: str
    kind: Kind
    unit: str
    meaning: str


_KEYS = (Column("recording", "text", "", "id of the recording"),)

TABLES: Final[Mapping[str, tuple[Column, ...]]] = {
    "turns": (
        *_KEYS,
        Column("turn", "text", "", "id of the turn, as the events name it"),
        Column("speaker", "text", "", "user (the seller) or hugo (the other side)"),
        Column("kind", "text", "", "turn or backchannel (then `turn` is null)"),
        Column("start_ms", "whole", "ms", "start of the speech"),
        Column("end_ms", "whole", "ms", "end of the speech"),
        Column("speech_ms", "whole", "ms", "speech in it, gaps from 0.25 s on left out"),
        Column("text", "text", "", "what was said; of an interrupted turn what was heard"),
        Column("n_words", "whole", "", "words of the text"),
        Column("n_questions", "whole", "", "questions in it, as the detector counts them"),
        Column("language", "text", "", "nl or en"),
        Column("is_final", "flag", "", "the text is final, not a partial one"),
        Column("ended", "text", "", "complete, interrupted or session_ended; null while open"),
        Column("cut_by", "text", "", "who cut it short"),
        Column("gap_ms", "whole", "ms", "from the end of the other's last turn; below 0: overlap"),
        Column("phase", "whole", "", "phase of the method, 0 to 4"),
        Column("techniques", "texts", "", "ids of the techniques that the turn shows"),
        Column("quality", "text", "", "ok, partial or missed"),
        Column("errors", "texts", "", "error codes"),
        Column("evidence", "text", "", "the words that the verdict rests on"),
        Column("attitude", "text", "", "the customer's attitude: shown in a turn of hugo's, met by one of the user's"),
        Column("is_handled", "flag", "", "the attitude was answered by a technique that it calls for"),
        Column("is_scored", "flag", "", "false for talk to the coach and for half a turn"),
        Column("words_per_min", "number", "words/min", "measured pace"),
        Column("syllables_per_s", "number", "1/s", "measured articulation rate"),
        Column("f0_median_hz", "number", "Hz", "median pitch"),
        Column("f0_sd_st", "number", "semitones", "standard deviation of the pitch"),
        Column("loudness_db", "number", "dB re full scale", "mean loudness"),
        Column("energy", "number", "0..1", "0.5 is the speaker's usual"),
    ),
    "words": (
        *_KEYS,
        Column("turn", "text", "", "id of the turn"),
        Column("speaker", "text", "", "user or hugo"),
        Column("index", "whole", "", "place in the turn, from 0"),
        Column("text", "text", "", "the word as it was recognised, or spoken"),
        Column("start_ms", "whole", "ms", "start"),
        Column("end_ms", "whole", "ms", "end"),
        Column("is_timed", "flag", "", "false where the times are spread evenly over the turn's speech"),
        Column("confidence", "number", "0..1", "the recogniser's; null where it gives none"),
    ),
    "metrics": (
        *_KEYS,
        Column(
            "name", "text", "", "metric (docs/evaluation.md), or total_overall, total_reached, phase_1 to phase_4, ..."
        ),
        Column("value", "number", "as `unit` says", "null: not available, see note"),
        Column("unit", "text", "", "unit of the value"),
        Column("band", "text", "", "good, warn or red"),
        Column("note", "text", "", "why there is no value, or how it was taken"),
        Column("engine", "text", "", "voice engine"),
        Column("language", "text", "", "nl or en"),
        Column("locale", "text", "", "such as nl-BE"),
        Column("source", "text", "", "session or import"),
        Column("started_wall_ms", "whole", "ms since 1970 UTC", "when the recording began"),
        Column("length_ms", "whole", "ms", "length of the recording"),
        Column("evaluator_version", "text", "", "what computed it"),
        Column("imported_from", "text", "", "first file of an imported call"),
        Column("detector", "text", "", "what judged the turns"),
    ),
    "events": (
        *_KEYS,
        Column("index", "whole", "", "place in the stream, from 0"),
        Column("id", "text", "", "id of the event"),
        Column("kind", "text", "", "kind of the body (docs/protocol.md)"),
        Column("source", "text", "", "edge, voice, coach or evaluator"),
        Column("epoch", "whole", "", "owner of the session at that time"),
        Column("media_ms", "whole", "ms", "media time"),
        Column("wall_ms", "whole", "ms since 1970 UTC", "wall time, for people"),
        Column("turn", "text", "", "turn that it is about"),
        Column("body", "text", "JSON", "the whole body, camelCase as clients see it"),
    ),
}

Row = dict[str, Any]


def rows_of(view: SessionView) -> dict[str, list[Row]]:
    """Return the rows of one recording by table."""
    key = {"recording": view.recording.manifest.id}
    return {
        "turns": [key | row for row in _turns(view)],
        "words": [key | row for row in _words(view)],
        "metrics": [key | row for row in _metrics(view)],
        "events": [key | _event(index, event) for index, event in enumerate(view.recording.events)],
    }


def _turns(view: SessionView) -> list[Row]:
    gaps = _gaps(view)
    rows = [_turn(each, gaps[each.turn.id]) for each in view.turns]
    for ack in view.acks:
        row: Row = dict.fromkeys(column.name for column in TABLES["turns"][1:])
        row |= {
            "speaker": ack.speaker,
            "kind": "backchannel",
            "start_ms": ack.interval.start_ms,
            "end_ms": ack.interval.end_ms,
            "speech_ms": ack.interval.length_ms,
            "text": ack.text or None,
            "n_words": len(ack.text.split()),
            "n_questions": 0,
            "language": view.timeline.language,
            "techniques": [],
            "errors": [],
        }
        rows.append(row)
    return sorted(rows, key=lambda row: (row["start_ms"], row["end_ms"], row["speaker"]))


def _gaps(view: SessionView) -> dict[str, int | None]:
    """Return for each turn the ms since the other's last turn before it."""
    ends: dict[str, int] = {}
    gaps: dict[str, int | None] = {}
    for each in view.turns:
        turn = each.turn
        other = ends.get("hugo" if turn.speaker == "user" else "user")
        gaps[turn.id] = None if other is None else turn.start_ms - other
        ends[turn.speaker] = turn.end_ms
    return gaps


def _turn(each: TurnView, gap_ms: int | None) -> Row:
    turn, verdict, said = each.turn, each.verdict, each.prosody
    attitude = each.attitude
    return {
        "turn": turn.id,
        "speaker": turn.speaker,
        "kind": "turn",
        "start_ms": turn.start_ms,
        "end_ms": turn.end_ms,
        "speech_ms": sum(part.length_ms for part in turn.speech),
        "text": turn.text or None,
        "n_words": turn.said.n_words,
        "n_questions": turn.said.n_asked if turn.text else 0,
        "language": turn.language,
        "is_final": turn.is_final,
        "ended": turn.ended or None,
        "cut_by": each.cut.by if each.cut else None,
        "gap_ms": gap_ms,
        "phase": verdict.phase if verdict else None,
        "techniques": list(verdict.techniques) if verdict else [],
        "quality": verdict.quality if verdict else None,
        "errors": list(verdict.errors) if verdict else [],
        "evidence": (verdict.evidence or None) if verdict else None,
        "attitude": attitude.key if attitude else verdict.attitude if verdict else None,
        "is_handled": attitude.is_handled if attitude else verdict.is_handled if verdict else None,
        "is_scored": verdict.is_scored if verdict else None,
        "words_per_min": said.words_per_min if said else None,
        "syllables_per_s": said.syllables_per_s if said else None,
        "f0_median_hz": said.f0_median_hz if said else None,
        "f0_sd_st": said.f0_sd_st if said else None,
        "loudness_db": said.loudness_db if said else None,
        "energy": said.prosody.energy if said else None,
    }


def _words(view: SessionView) -> Iterator[Row]:
    marks = spoken_marks(view.recording.events)
    for each in view.turns:
        for index, word in enumerate(words_of(each.turn, marks)):
            yield {
                "turn": each.turn.id,
                "speaker": each.turn.speaker,
                "index": index,
                "text": word.text,
                "start_ms": word.start_ms,
                "end_ms": word.end_ms,
                "is_timed": word.is_timed,
                "confidence": word.confidence,
            }


def _metrics(view: SessionView) -> list[Row]:
    manifest, card = view.recording.manifest, view.card
    about = {
        "engine": manifest.engine,
        "language": manifest.language,
        "locale": manifest.locale or None,
        "source": manifest.source,
        "started_wall_ms": manifest.clocks.started_wall_ms,
        "length_ms": view.length_ms,
        "evaluator_version": card["evaluator_version"],
        "detector": card["detector"],
        "imported_from": next(iter(manifest.imported_from), None),
    }
    found = [(m["name"], m["value"], m["unit"], m["band"] or None, m["note"] or None) for m in card["metrics"]]
    found += [(name, value, "points", None, None) for name, value in scores_of(card).items()]
    return [
        {"name": name, "value": value, "unit": unit, "band": band, "note": note} | about
        for name, value, unit, band, note in found
    ]


def scores_of(card: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the scores of a card, 0 to 100, by name; None where there is none."""
    scores = {
        "total_overall": card["totals"]["overall"],
        "total_reached": card["totals"]["reached"],
        "structure": card["structure"]["score"],
        "themes": card["themes"]["score"],
        "attitudes": card["attitudes"]["score"],
    }
    return scores | {f"phase_{phase['phase']}": phase["score"] for phase in card["phases"]}


def _event(index: int, event: Event) -> Row:
    body = event_to_json(event)["body"]
    return {
        "index": index,
        "id": event.id,
        "kind": event.body.kind,
        "source": event.source,
        "epoch": event.epoch,
        "media_ms": event.media_ms,
        "wall_ms": event.wall_ms,
        "turn": body.get("turn") or None,
        "body": json.dumps(body, ensure_ascii=False, sort_keys=True),
    }
