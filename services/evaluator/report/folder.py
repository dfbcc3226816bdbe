"""The page about many recordings: trend, distributions, techniques, errors, two groups, the list. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from services.evaluator.report.groups import Comparison, best_way, compare
from services.evaluator.report.page import clock, render
from services.evaluator.report.scales import MAIN, is_share, scale_of, shown
from services.evaluator.report.summary import By, Summary
from services.evaluator.report.texts import Words
from services.evaluator.scorecard import NOTICE
from shared.coaching.knowledge import Knowledge, id_key, load_knowledge
from shared.version import package_version

SCORES = ("total_reached", "total_overall", "structure", "themes", "attitudes")
_SCORE_WORDS = {
    "total_reached": "total.reached",
    "total_overall": "total.overall",
    "structure": "total.structure",
    "themes": "total.themes",
    "attitudes": "total.attitudes",
}
MAX_COLUMNS = 120
"""Recordings in the picture of techniques: the newest; more are narrower than a pixel on a phone."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """How recordings are grouped: by something of their own, or by a list (id or imported file -> group)."""

    by: By | None = None
    listed: Mapping[str, str] = field(default_factory=dict)


def folder_page(
    name: str,
    summaries: Sequence[Summary],
    words: Words,
    grouping: Grouping = Grouping(),
    bad: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the page. `bad`: (id, reason) of recordings that could not be read; they are named on it."""
    ordered = sorted(summaries, key=lambda each: (each.started_wall_ms, each.id))
    by = grouping.by or best_way(ordered)
    groups = _groups(ordered, grouping.listed, by)
    knowledge = load_knowledge()
    comparison = compare(ordered, groups, (*SCORES, *MAIN))
    return render(
        "folder.html.j2",
        words,
        _data(ordered, words, groups, knowledge, comparison),
        title=f"{words('page.folder')}: {name}",
        heading=words("page.folder"),
        name=name,
        skip="trend",
        numbers=_numbers(ordered, words),
        figures=[(key, _name(key, words)) for key in (*SCORES, *MAIN)],
        comparison=comparison,
        comparing=_comparing(comparison, words, by),
        way=words(f"folder.by.{'file' if grouping.listed else by or 'file'}"),
        recordings=[_row(each, words, groups) for each in ordered],
        bad=bad,
        notice=NOTICE[words.language],
        made=words(
            "page.made",
            version=package_version(),
            evaluator=_versions(each.evaluator_version for each in ordered),
            detector=_versions(each.detector for each in ordered),
            knowledge=_versions(each.knowledge_version for each in ordered),
        ),
    )


def _groups(ordered: Sequence[Summary], listed: Mapping[str, str], by: By | None) -> dict[str, str]:
    if listed:
        found = {each.id: listed.get(each.id) or listed.get(each.imported_from, "") for each in ordered}
        return {recording: group for recording, group in found.items() if group}
    return {each.id: each.group(by) for each in ordered} if by else {}


def _versions(found: Any) -> str:
    return ", ".join(sorted(set(found))) or "–"


def _name(key: str, words: Words) -> str:
    return words(_SCORE_WORDS[key]) if key in _SCORE_WORDS else words(f"metric.{key}")


def _numbers(ordered: Sequence[Summary], words: Words) -> list[tuple[str, str]]:
    reached = [each.values["total_reached"] for each in ordered if "total_reached" in each.values]
    numbers = [(str(len(ordered)), words("page.folder").lower())]
    if not ordered:
        return numbers
    numbers.append((clock(sum(each.length_ms for each in ordered)), words("folder.hours", time="").strip()))
    numbers.append((f"{_day(ordered[0])} – {_day(ordered[-1])}", "UTC"))
    if reached:
        text = f"{words('folder.median')}, {words('total.reached').lower()}"
        numbers.append((f"{statistics.median(reached):.0f}", text))
    numbers.append((str(sum(each.has_sound for each in ordered)), words("folder.sounds")))
    return numbers


def _day(each: Summary) -> str:
    return datetime.fromtimestamp(each.started_wall_ms / 1000, UTC).strftime("%Y-%m-%d")


def _data(
    ordered: Sequence[Summary],
    words: Words,
    groups: Mapping[str, str],
    knowledge: Knowledge,
    comparison: Comparison | None,
) -> dict[str, Any]:
    names = (*SCORES, *MAIN)
    languages = {each.language for each in ordered}
    one = ordered[0] if len(languages) == 1 and len({each.locale for each in ordered}) == 1 else None
    scales = {}
    for name in MAIN:
        # The good zone of the pace depends on the language: with several there is none to draw.
        scale = scale_of(name, one.language, one.locale) if one else scale_of(name, "en")
        if scale:
            scales[name] = {"low": scale.low, "high": scale.high, "good": scale.good}
        if name == "pace_words" and not one:
            scales[name] = {"low": 60, "high": 260, "good": None}
    return {
        "kind": "folder",
        "lang": words.language,
        "recordings": [
            {
                "id": each.imported_from or each.id,
                "started": each.started_wall_ms,
                "group": groups.get(each.id, ""),
                "values": {name: each.values[name] for name in names if name in each.values},
            }
            for each in ordered
        ],
        "figures": {
            name: {"name": _name(name, words), "isShare": is_share(name), "isScore": name in SCORES} for name in names
        },
        "scores": list(SCORES),
        "main": list(MAIN),
        "scales": scales,
        "methods": _methods(ordered[-MAX_COLUMNS:], words, knowledge),
        "errors": _errors(ordered, words),
        "comparison": _forest(comparison, words),
        "words": {
            key: words(key)
            for key in ("quality.ok", "quality.partial", "quality.missed", "folder.median", "folder.interval")
        },
    }


def _methods(ordered: Sequence[Summary], words: Words, knowledge: Knowledge) -> dict[str, Any]:
    used = sorted({item for each in ordered for item in each.qualities}, key=id_key)
    return {
        "columns": [[each.imported_from or each.id, each.started_wall_ms] for each in ordered],
        "rows": [[item, knowledge.name(item, words.language), knowledge.technique(item).phase] for item in used],
        "cells": [
            [column, used.index(item), quality]
            for column, each in enumerate(ordered)
            for item, quality in each.qualities.items()
        ],
    }


def _errors(ordered: Sequence[Summary], words: Words) -> list[list[Any]]:
    talks: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for each in ordered:
        talks.update(each.errors.keys())
        times.update(each.errors)
    codes = sorted(talks, key=lambda code: (-talks[code], -times[code], code))
    return [[words(f"error.{code}"), talks[code], times[code]] for code in codes]


def _forest(comparison: Comparison | None, words: Words) -> list[list[Any]]:
    if comparison is None:
        return []
    return [
        [_name(each.name, words), round(each.effect, 3), *(round(end, 3) for end in each.effect_interval), each.is_sure]
        for each in comparison.differences
    ]


def _comparing(comparison: Comparison | None, words: Words, by: By | None) -> list[dict[str, Any]]:
    if comparison is None:
        return []
    rows = []
    for each in comparison.differences:
        unit = "ratio" if is_share(each.name) else ""

        def text(value: float, name: str = each.name, unit: str = unit) -> str:
            return shown({"name": name, "value": value, "unit": unit}, words.language)

        rows.append(
            {
                "name": _name(each.name, words),
                "a": text(each.means[0]),
                "a_interval": f"{text(each.intervals[0][0])} … {text(each.intervals[0][1])}",
                "b": text(each.means[1]),
                "b_interval": f"{text(each.intervals[1][0])} … {text(each.intervals[1][1])}",
                "difference": ("+" if each.difference > 0 else "") + text(each.difference),
                "interval": f"{text(each.interval[0])} … {text(each.interval[1])}",
                "is_sure": each.is_sure,
            }
        )
    return rows


def _row(each: Summary, words: Words, groups: Mapping[str, str]) -> dict[str, Any]:
    at = datetime.fromtimestamp(each.started_wall_ms / 1000, UTC)
    cells = []
    for name in ("total_reached", "talk_share", "open_question_share", "question_rate", "patience"):
        value = each.values.get(name)
        unit = "ratio" if is_share(name) else ""
        text = f"{value:.0f}" if value is not None and name in SCORES else ""
        cells.append((value, text or shown({"name": name, "value": value, "unit": unit}, words.language)))
    return {
        "id": each.id,
        "file": each.imported_from,
        "started": at.strftime("%Y-%m-%d %H:%M"),
        "started_ms": each.started_wall_ms,
        "length": clock(each.length_ms),
        "length_ms": each.length_ms,
        "group": groups.get(each.id, ""),
        "n_turns": each.n_turns,
        "n_errors": sum(each.errors.values()),
        "cells": cells,
    }
