"""The numbers behind the charts of both pages, as JSON-ready values. Pure; how they are drawn is in `static/`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.evaluator.report.data import SessionView, TurnView
from services.evaluator.report.sound import Curve, Voice
from services.evaluator.report.texts import Words
from shared.events import Speaker

MAX_TEXT = 240
"""Characters of a turn in a hint of the chart; the page has the whole text below."""

SESSION_WORDS = (
    "lane.phase",
    "lane.techniques",
    "lane.attitudes",
    "lane.hints",
    "lane.overlap",
    "curve.loudness",
    "curve.pitch",
    "curve.none",
    "mark.overlap",
    "mark.backchannel",
    "mark.hint",
    "mark.handled",
    "mark.unhandled",
    "player.play",
    "player.pause",
    "quality.ok",
    "quality.partial",
    "quality.missed",
    "quality.none",
)


def session_data(view: SessionView, words: Words, voices: Mapping[Speaker, Voice]) -> dict[str, Any]:
    """Return what the timeline of a recording is drawn from; times are ms of media time."""
    names = {"user": words("who.user"), "hugo": hugo_name(view, words)}
    return {
        "kind": "session",
        "lang": words.language,
        "length": view.length_ms,
        "names": names,
        "turns": [_turn(each) for each in view.turns],
        "acks": [[ack.speaker, ack.interval.start_ms, ack.interval.end_ms, ack.text[:MAX_TEXT]] for ack in view.acks],
        "overlaps": [[part.start_ms, part.end_ms] for part in view.overlaps],
        "cuts": [[cut.by, cut.at_ms, cut.turn, words("mark.cut", who=names[cut.by])] for cut in view.cuts],
        "phases": [
            [number, part.start_ms, part.end_ms, view.knowledge.phases[number].name_nl]
            if words.language == "nl"
            else [number, part.start_ms, part.end_ms, view.knowledge.phases[number].name_en]
            for number, part in view.phases
        ],
        "techniques": [_techniques(each, view, words) for each in view.turns if each.verdict],
        "attitudes": [_attitude(each, view, words) for each in view.turns if each.attitude],
        "hints": [
            [hint.at_ms, hint.text[:MAX_TEXT], hint.tone, words(f"tone.{hint.tone}"), hint.turn] for hint in view.hints
        ],
        "curves": {speaker: _voice(voice) for speaker, voice in voices.items()},
        "words": {key: words(key) for key in SESSION_WORDS},
    }


def hugo_name(view: SessionView, words: Words) -> str:
    """Return who the other side is: a real customer in a call that was recorded elsewhere."""
    return words("who.hugo.import" if view.recording.manifest.source == "import" else "who.hugo")


def _turn(each: TurnView) -> dict[str, Any]:
    turn = each.turn
    return {
        "id": turn.id,
        "who": turn.speaker,
        "from": turn.start_ms,
        "to": turn.end_ms,
        "speech": [[part.start_ms, part.end_ms] for part in turn.speech],
        "text": turn.text[:MAX_TEXT],
    }


def _techniques(each: TurnView, view: SessionView, words: Words) -> dict[str, Any]:
    verdict = each.verdict
    assert verdict is not None
    return {
        "turn": verdict.turn,
        "from": verdict.start_ms,
        "to": verdict.end_ms,
        "ids": " · ".join(verdict.techniques),
        "names": [f"{item} {view.knowledge.name(item, words.language)}" for item in verdict.techniques],
        "quality": verdict.quality if verdict.is_scored and verdict.techniques else None,
        "errors": [words(f"error.{code}") for code in verdict.errors],
    }


def _attitude(each: TurnView, view: SessionView, words: Words) -> dict[str, Any]:
    attitude = each.attitude
    assert attitude is not None
    return {
        "turn": each.turn.id,
        "from": each.turn.start_ms,
        "to": each.turn.end_ms,
        "name": view.knowledge.attitudes[attitude.key].name(words.language),
        "handled": attitude.is_handled,
    }


def _voice(voice: Voice) -> dict[str, Any]:
    return {"loudness": _curve(voice.loudness), "pitch": _curve(voice.pitch)}


def _curve(curve: Curve) -> dict[str, Any]:
    return {"step": curve.step_ms, "values": list(curve.values)}
