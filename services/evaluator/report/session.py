"""The page about one recording: what its template says, from the view of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.evaluator.recording.manifest import Side
from services.evaluator.report.charts import hugo_name, session_data
from services.evaluator.report.data import SessionView, TurnView
from services.evaluator.report.page import clock, render
from services.evaluator.report.scales import GROUPS, group_of, number, scale_of, shown
from services.evaluator.report.sound import Voice
from services.evaluator.report.texts import Words
from services.evaluator.scorecard import NOTICE
from shared.events import Speaker

SIDES: dict[Side, Speaker] = {"input": "user", "output": "hugo"}


def session_page(
    view: SessionView, words: Words, voices: Mapping[Speaker, Voice], tracks: Mapping[Speaker, str]
) -> str:
    """Return the page. `tracks` are data URIs by speaker; without any the page is silent and says why."""
    heading = f"{words('page.session')}, {started(view.recording.manifest.clocks.started_wall_ms, words)}"
    return render(
        "session.html.j2",
        words,
        session_data(view, words, voices),
        title=heading,
        heading=heading,
        skip="timeline",
        facts=_facts(view, words),
        lacks=_lacks(view, words, bool(tracks)),
        scores=_scores(view, words),
        hugo=hugo_name(view, words),
        chart_label=_label(view, words),
        turns=[_turn(each, view, words) for each in view.turns],
        filters=[(name, words(f"talk.{name}")) for name in ("all", "judged", "errors", "cuts")],
        figures=_figures(view, words),
        absent=[words(f"metric.{m['name']}") for m in view.card["metrics"] if m["value"] is None],
        notes=view.card["notes"],
        notice=NOTICE[words.language],
        made=words(
            "page.made",
            version=view.recording.manifest.versions.splitbrain,
            evaluator=view.card["evaluator_version"],
            detector=view.card["detector"],
            knowledge=view.card["knowledge_version"],
        ),
        sound=bool(tracks),
        tracks=sorted(tracks.items()),
        length_ms=view.length_ms,
    )


def started(wall_ms: int, words: Words) -> str:
    """Return when a recording began: 25 november 2026, 14:03 UTC."""
    at = datetime.fromtimestamp(wall_ms / 1000, UTC)
    return f"{at.day} {_MONTHS[words.language].split()[at.month - 1]} {at.year}, {at:%H:%M} UTC"


_MONTHS = {
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "en": "January February March April May June July August September October November December",
}


def _facts(view: SessionView, words: Words) -> list[str]:
    manifest = view.recording.manifest
    language = words(f"lang.{manifest.language}")
    return [
        f"{words('facts.length')} {clock(view.length_ms)}",
        f"{language} ({manifest.locale})" if manifest.locale else language,
        words("facts.import") if manifest.source == "import" else f"{words('facts.engine')} {manifest.engine}",
        *manifest.imported_from[:2],
        manifest.id,
    ]


def _lacks(view: SessionView, words: Words, has_tracks: bool) -> list[str]:
    lacks = []
    if not has_tracks:
        why = "left_out" if view.has_sound else view.why_no_sound
        lacks.append(words("lack.audio", why=words(f"why.{why}")))
    if not view.has_words:
        lacks.append(words("lack.words"))
    return lacks


def _label(view: SessionView, words: Words) -> str:
    n_techniques = sum(len(each.verdict.techniques) for each in view.turns if each.verdict)
    return words(
        "timeline.label",
        minutes=clock(view.length_ms),
        turns=len(view.turns),
        cuts=len(view.cuts),
        techniques=n_techniques,
    )


def _scores(view: SessionView, words: Words) -> dict[str, Any]:
    totals = view.card["totals"]
    return {
        "reached": totals["reached"],
        "reached_text": _points(totals["reached"]),
        "overall_text": _points(totals["overall"]),
        "judged": any(phase["score"] is not None for phase in view.card["phases"]),
        "phases": [_phase(phase, view, words) for phase in view.card["phases"]],
        "tiles": _tiles(view, words),
        "errors": _errors(view, words),
    }


def _phase(phase: Mapping[str, Any], view: SessionView, words: Words) -> dict[str, Any]:
    names = view.knowledge.phases[phase["phase"]]
    is_reached = phase["score"] is not None
    return {
        "number": phase["phase"],
        "name": names.name_nl if words.language == "nl" else names.name_en,
        "score": phase["score"],
        "text": _points(phase["score"]) if is_reached else words("score.not_reached"),
        "best": [
            {"id": item, "name": view.knowledge.name(item, words.language), "quality": quality}
            for item, quality in phase["best"].items()
        ],
        "missing": [f"{item} {view.knowledge.name(item, words.language)}" for item in phase["missing"]],
        "places": view.evidence.get(f"phase:{phase['phase']}", ()),
    }


def _tiles(view: SessionView, words: Words) -> list[dict[str, Any]]:
    card, found = view.card, view.evidence
    gate = card["gate"]
    state = "given" if gate["committed"] else "asked" if gate["asked"] else "none"
    themes, felt = card["themes"], card["attitudes"]
    tiles = [
        _tile(
            words("score.gate"),
            words(f"gate.{state}"),
            words("gate.early") if gate["passed_early"] else "",
            found.get("gate", ()),
        ),
        _tile(
            words("score.themes"),
            f"{len(themes['touched'])} / {len(themes['touched']) + len(themes['missing'])}",
            ", ".join(themes["touched"]) if words.language == "nl" else _theme_names(themes["touched"], view),
            found.get("themes", ()),
        ),
        _tile(
            words("score.attitudes"),
            f"{felt['handled']} / {felt['shown']}" if felt["shown"] else "–",
            "",
            found.get("attitudes", ()),
        ),
        _tile(words("score.structure"), _points(card["structure"]["score"]), "", ()),
    ]
    return tiles


def _errors(view: SessionView, words: Words) -> list[dict[str, Any]]:
    counts = sorted(view.card["errors"].items(), key=lambda item: (-item[1], item[0]))
    return [_tile(words(f"error.{c}"), f"{n}×", "", view.evidence.get(f"error:{c}", ())) for c, n in counts]


def _theme_names(themes: list[str], view: SessionView) -> str:
    return ", ".join(view.knowledge.name(view.knowledge.themes[theme], "en").lower() for theme in themes)


def _tile(name: str, text: str, more: str, places: tuple[Any, ...]) -> dict[str, Any]:
    return {"name": name, "text": text, "more": more, "places": places}


def _turn(each: TurnView, view: SessionView, words: Words) -> dict[str, Any]:
    turn, verdict = each.turn, each.verdict
    classes = []
    if verdict and verdict.techniques:
        classes.append("judged")
    if verdict and verdict.errors:
        classes.append("errors")
    if each.cut:
        classes.append("cuts")
    return {
        "id": turn.id,
        "who": turn.speaker,
        "name": words("who.user") if turn.speaker == "user" else hugo_name(view, words),
        "classes": " ".join(classes),
        "start_ms": turn.start_ms,
        "end_ms": turn.end_ms,
        "text": _marked(turn.text, verdict.evidence if verdict and verdict.techniques else ""),
        "dropped": each.cut.dropped if each.cut else "",
        "chips": _chips(each, view, words),
    }


def _marked(text: str, evidence: str) -> list[dict[str, Any]]:
    """Return the text in parts, with the words that a verdict rests on marked, unless they are the whole turn."""
    at = text.find(evidence) if evidence else -1
    if not text:
        return []
    if at < 0 or len(evidence) >= len(text.strip()):
        return [{"text": text, "is_evidence": False}]
    parts = [(text[:at], False), (evidence, True), (text[at + len(evidence) :], False)]
    return [{"text": part, "is_evidence": is_evidence} for part, is_evidence in parts if part]


def _chips(each: TurnView, view: SessionView, words: Words) -> list[dict[str, str]]:
    chips: list[dict[str, str]] = []
    verdict = each.verdict
    if verdict:
        for item in verdict.techniques:
            quality = words(f"quality.{verdict.quality or 'none'}")
            name = view.knowledge.name(item, words.language)
            chips.append(_chip(verdict.quality or "none", f"{item} {name}", quality))
        if not verdict.is_scored:
            chips.append(_chip("plain", words("quality.talk" if verdict.is_final else "quality.cut"), ""))
        chips += [_chip("error", words(f"error.{code}"), code) for code in verdict.errors]
        if verdict.attitude and verdict.is_handled is False:
            wanted = ", ".join(f"{i} {view.knowledge.name(i, words.language)}" for i in verdict.expected)
            chips.append(_chip("plain", f"{words('talk.expected')}: {wanted}", ""))
    if each.attitude:
        name = view.knowledge.attitudes[each.attitude.key].name(words.language)
        state = "handled" if each.attitude.is_handled else "unhandled" if each.attitude.is_handled is False else ""
        chips.append(_chip(f"attitude {state}", name, words(f"mark.{state}") if state else ""))
    if each.cut:
        who = words("who.user") if each.cut.by == "user" else hugo_name(view, words)
        chips.append(_chip("cut", words("mark.cut", who=who), clock(each.cut.at_ms)))
    if each.prosody:
        chips.append(_chip("voice", _voice_text(each, words), ""))
    return chips


def _voice_text(each: TurnView, words: Words) -> str:
    said = each.prosody
    assert said is not None
    parts = []
    if said.words_per_min:
        parts.append(f"{said.words_per_min:.0f} {words('unit.words_per_min')}")
    if said.f0_median_hz:
        parts.append(f"{said.f0_median_hz:.0f} Hz")
    if said.f0_sd_st:
        parts.append(f"±{number(said.f0_sd_st, words.language)} {words('unit.semitones')}")
    return ", ".join(parts) or words(f"pace.{said.speech_pace}")


def _chip(kind: str, text: str, title: str) -> dict[str, str]:
    return {"kind": kind, "text": text, "title": title}


def _figures(view: SessionView, words: Words) -> list[dict[str, Any]]:
    there = {metric["name"]: metric for metric in view.card["metrics"] if metric["value"] is not None}
    order = {name: index for names in GROUPS.values() for index, name in enumerate(names)}
    groups = []
    for group in (*GROUPS, "hugo"):
        names = sorted((n for n in there if group_of(n) == group), key=lambda n: (order.get(n, 99), n))
        if names:
            figures = [_figure(there[name], view, words) for name in names]
            groups.append({"name": words(f"figures.group.{group}"), "figures": figures})
    return groups


def _figure(metric: Mapping[str, Any], view: SessionView, words: Words) -> dict[str, Any]:
    name, value = metric["name"], metric["value"]
    scale = scale_of(name, view.timeline.language, view.timeline.locale)
    scale = scale.reaching(value) if scale else None
    return {
        "name": words(f"metric.{name}"),
        "value": value,
        "text": shown(dict(metric), words.language),
        "unit": "" if metric["unit"] == "ratio" else words(f"unit.{metric['unit']}"),
        "band": metric["band"],
        "note": "",
        "scale": scale,
        "good": "",
        "places": view.evidence.get(f"metric:{name}", ()),
    }


def _points(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
