"""The report on a file of dialogues: predictions, session scores, and figures per language where there are labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.evaluator.dialogues.bootstrap import intervals
from services.evaluator.dialogues.counts import Counts, count, figures, total
from services.evaluator.dialogues.reading import Dialogue
from services.evaluator.dialogues.replay import JudgedDialogue, judge_dialogue
from services.evaluator.totals import attitudes, gate, overall, phase_scores, rounded, structure, themes
from shared.coaching.detection import Detector
from shared.coaching.knowledge import Knowledge

SCHEMA = "splitbrain.dialogue_report/1"


def evaluate_dialogues(dialogues: Sequence[Dialogue], detector: Detector, knowledge: Knowledge) -> dict[str, Any]:
    """Return the report as JSON-ready values: the same dialogues and the same detector give the same report."""
    judged = [judge_dialogue(dialogue, detector, knowledge) for dialogue in dialogues]
    parts: dict[str, list[Counts]] = {}
    for one in judged:
        if one.dialogue.is_labelled:
            parts.setdefault(one.dialogue.lang, []).append(count(one, knowledge))
    return {
        "schema": SCHEMA,
        "detector": detector.version,
        "knowledge_version": knowledge.version,
        "knowledge_hash": knowledge.knowledge_hash,
        "languages": {language: _language(parts[language]) for language in sorted(parts)},
        "dialogues": [_dialogue(one, knowledge) for one in judged],
        "notes": _notes(dialogues, knowledge),
    }


def _language(parts: Sequence[Counts]) -> dict[str, Any]:
    whole = total(parts)
    return {
        "dialogues": len(parts),
        "turns": whole.n_turns,
        **_rounded(figures(whole)),
        "intervals": _rounded(intervals(parts, lambda some: figures(total(some)))),
    }


def _dialogue(one: JudgedDialogue, knowledge: Knowledge) -> dict[str, Any]:
    phases = phase_scores(one.verdicts, knowledge)
    explored = themes(one.verdicts, knowledge)
    return {
        "id": one.dialogue.id,
        "language": one.dialogue.lang,
        "turns": [_turn(one, number) for number in range(len(one.dialogue.turns))],
        "session": {
            "phases": phases,
            "themes": explored,
            "attitudes": attitudes(one.verdicts),
            "gate": gate(one.verdicts, one.is_committed),
            "structure": structure(one.verdicts, phases, explored["score"]),
            "totals": overall(phases),
        },
    }


def _turn(one: JudgedDialogue, number: int) -> dict[str, Any]:
    speaker = one.dialogue.turns[number].speaker
    if number in one.attitudes:
        return {"i": number, "speaker": speaker, "attitude": one.attitudes[number]}
    found = one.seen.get(number)
    if found is None:
        return {"i": number, "speaker": speaker}
    return {
        "i": number,
        "speaker": speaker,
        "techniques": list(found.techniques),
        "phase": found.phase,
        "quality": found.quality,
        "errors": list(found.errors),
        "evidence": found.evidence,
        "expected": list(found.expected),
        "scored": found.scored,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return rounded(value) if isinstance(value, float) else value


def _notes(dialogues: Sequence[Dialogue], knowledge: Knowledge) -> list[str]:
    """Name labels that the method does not know: they can never be found and count as missed."""
    labels = [turn.labels for one in dialogues for turn in one.turns if turn.labels is not None]
    moods = {turn.attitude for one in dialogues for turn in one.turns if turn.attitude is not None}
    unknown = {
        "techniques": {i for one in labels for i in (*one.techniques, *one.alt_techniques)} - set(knowledge.techniques),
        "errors": {code for one in labels for code in one.errors} - set(knowledge.error_codes),
        "attitudes": moods - set(knowledge.attitudes),
    }
    return [
        f"labels that the method does not know, under {kind}: {', '.join(sorted(ids))}"
        for kind, ids in unknown.items()
        if ids
    ]
