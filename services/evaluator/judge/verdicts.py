"""The rules' verdict and the model's outcomes made one. Pure.

The rules' errors and the gate stand whatever the model says. It may confirm a technique, change the quality within
what the errors allow, add a technique where there is room, and name an attitude where the rules saw none.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from services.evaluator.judge.answers import NOT_SHOWN, Answer, Failed, Outcome
from services.evaluator.judge.questions import LeftOut, Question, SellerTurn, may_add
from services.evaluator.scoring import MAX_EVIDENCE_CHARS, TurnVerdict
from shared.coaching.detection import MAX_TECHNIQUES
from shared.coaching.knowledge import Knowledge, Quality
from shared.coaching.verdict import HARD_FAILS

By = Literal["rules", "model"]
RANK: dict[str, int] = {"missed": 0, "partial": 1, "ok": 2}
_QUALITY: tuple[Quality, ...] = ("missed", "partial", "ok")

Asked = Sequence[tuple[Question, Outcome]]


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose word a field is, and why."""

    by: By
    reason: str


@dataclass(slots=True)
class JudgedTurn:
    """A turn's verdict after both judges.

    `marks` says of techniques, quality and attitude whose word they are. `flips` lists what the model changed,
    `disputes` what it did not see although the rules did: that stays, and tells where a criterion is loose.
    """

    verdict: TurnVerdict
    marks: dict[str, Mark] = field(default_factory=dict)
    flips: list[dict[str, Any]] = field(default_factory=list)
    disputes: list[dict[str, Any]] = field(default_factory=list)


def left_to_rules(verdict: TurnVerdict, reason: LeftOut | str) -> JudgedTurn:
    """Return the rules' verdict, marked as theirs."""
    return JudgedTurn(verdict, {name: Mark("rules", reason) for name in ("techniques", "quality", "attitude")})


def merge(turn: SellerTurn, asked: Asked, knowledge: Knowledge) -> JudgedTurn:
    """Return the verdict of both on a turn; `asked` are its questions with their outcomes, in order."""
    rules = turn.verdict
    if HARD_FAILS & set(rules.errors):
        return left_to_rules(rules, "hard_fail")
    done = JudgedTurn(rules)
    techniques = [pair for pair in asked if pair[0].kind == "technique"]
    own = [pair for pair in techniques if pair[0].criterion in rules.techniques]
    others = [pair for pair in techniques if pair[0].criterion not in rules.techniques]
    _judge_quality(done, own)
    _add_techniques(done, own, others, knowledge)
    _judge_attitude(done, [pair for pair in asked if pair[0].kind == "attitude"], knowledge)
    done.verdict = replace(done.verdict, is_handled=is_handled(done.verdict, knowledge))
    if done.verdict.is_handled != rules.is_handled:
        done.flips.append(_flip(rules, "is_handled", rules.is_handled, done.verdict.is_handled, ""))
    return done


def is_handled(verdict: TurnVerdict, knowledge: Knowledge) -> bool | None:
    """Return whether a technique of the turn answers the customer's attitude, as the rules would say it."""
    if verdict.attitude is None or not verdict.is_scored or not verdict.expected:
        return verdict.is_handled
    return verdict.quality in {"ok", "partial"} and any(
        knowledge.is_within(item, wanted) for item in verdict.techniques for wanted in verdict.expected
    )


def _judge_quality(done: JudgedTurn, own: Asked) -> None:
    """Take the worst of the qualities of the rules' techniques, the rules' own where the model gave none.

    Where the rules found an error the turn is partial at best.
    """
    rules = done.verdict
    if not own or rules.quality is None:
        done.marks["quality"] = Mark("rules", "no_technique")
        return
    done.disputes += [_dispute(rules, pair) for pair in own if _is(pair[1], NOT_SHOWN)]
    given = [(question, outcome) for question, outcome in own if _is(outcome, RANK)]
    ranks = [RANK[outcome.verdict] for _, outcome in given if isinstance(outcome, Answer)]
    if not ranks:
        done.marks["quality"] = Mark("rules", _why(own))
        return
    told = min([*ranks, *([RANK[rules.quality]] if len(given) < len(own) else [])])
    quality = _QUALITY[min(told, RANK["partial"]) if rules.errors else told]
    if quality != rules.quality:
        question, outcome = min(given, key=lambda pair: RANK[getattr(pair[1], "verdict", "ok")])
        quote = quoted(question, outcome)
        done.verdict = replace(rules, quality=quality, evidence=quote)
        done.marks["quality"] = Mark("model", "changed")
        done.flips.append(_flip(rules, "quality", rules.quality, quality, quote))
    elif told != RANK[quality]:
        done.marks["quality"] = Mark("rules", "errors")
    elif len(given) < len(own):
        done.marks["quality"] = Mark("rules", _why(own))
    else:
        done.marks["quality"] = Mark("model", "confirmed")


def _add_techniques(done: JudgedTurn, own: Asked, others: Asked, knowledge: Knowledge) -> None:
    """Add what the model saw beside the rules, at most two techniques in all.

    A turn has one quality for all its techniques; one that falls short of it is left out, so that adding neither
    lowers what is there nor lifts what comes.
    """
    rules = done.verdict
    for question, outcome in others:
        verdict = done.verdict
        if not isinstance(outcome, Answer) or outcome.verdict not in ("ok", "partial"):
            continue
        if len(verdict.techniques) >= MAX_TECHNIQUES or not may_add(question.criterion, verdict, knowledge):
            continue
        quote = quoted(question, outcome)
        if verdict.techniques:
            if RANK[outcome.verdict] < RANK[verdict.quality or "missed"]:
                continue
            done.verdict = replace(verdict, techniques=(*verdict.techniques, question.criterion))
        else:
            _add_first(done, question.criterion, outcome, quote, knowledge)
        done.flips.append(_flip(rules, "techniques", list(rules.techniques), list(done.verdict.techniques), quote))
    if done.verdict.techniques != rules.techniques:
        done.marks["techniques"] = Mark("model", "added")
    elif not own and not others:
        done.marks["techniques"] = Mark("rules", "nothing_to_ask")
    elif all(_is(outcome, RANK) for _, outcome in own) if own else all(isinstance(each, Answer) for _, each in others):
        done.marks["techniques"] = Mark("model", "confirmed")
    else:
        done.marks["techniques"] = Mark("rules", _why(own or others))


def _add_first(done: JudgedTurn, technique_id: str, outcome: Answer, quote: str, knowledge: Knowledge) -> None:
    verdict = done.verdict
    quality = _QUALITY[min(RANK[outcome.verdict], RANK["partial"] if verdict.errors else RANK["ok"])]
    phase = knowledge.technique(technique_id).phase if verdict.phase is None else verdict.phase
    done.verdict = replace(verdict, techniques=(technique_id,), quality=quality, phase=phase, evidence=quote)
    if quality == verdict.quality:
        return
    done.marks["quality"] = Mark("model", "changed")
    done.flips.append(_flip(verdict, "quality", verdict.quality, quality, quote))


def _judge_attitude(done: JudgedTurn, asked: Asked, knowledge: Knowledge) -> None:
    verdict = done.verdict
    if not asked:
        done.marks["attitude"] = Mark("rules", "nothing_to_ask")
        return
    seen = next(((question, outcome) for question, outcome in asked if _is(outcome, {"yes"})), None)
    if verdict.attitude is not None:
        done.marks["attitude"] = Mark("model", "confirmed") if seen else Mark("rules", _why(asked))
        done.disputes += [_dispute(verdict, pair) for pair in asked if _is(pair[1], NOT_SHOWN)]
    elif seen is not None:
        question, outcome = seen
        expected = knowledge.expected(question.criterion, verdict.phase)
        done.verdict = replace(verdict, attitude=question.criterion, expected=expected)
        done.marks["attitude"] = Mark("model", "added")
        done.flips.append(_flip(verdict, "attitude", None, question.criterion, quoted(question, outcome)))
    elif all(isinstance(outcome, Answer) for _, outcome in asked):
        done.marks["attitude"] = Mark("model", "confirmed")
    else:
        done.marks["attitude"] = Mark("rules", _why(asked))


def quoted(question: Question, outcome: Outcome) -> str:
    """Return the words that an answer rests on, as they stand in the turn."""
    return question.text[outcome.start : outcome.end][:MAX_EVIDENCE_CHARS] if isinstance(outcome, Answer) else ""


def _is(outcome: Outcome, verdicts: Container[str]) -> bool:
    return isinstance(outcome, Answer) and outcome.verdict in verdicts


def _why(asked: Asked) -> str:
    """Return why the rules' word stands: the first outcome that is no verdict, else that the model saw nothing."""
    for _, outcome in asked:
        if isinstance(outcome, Failed):
            return f"failed: {outcome.cause}"
        if not isinstance(outcome, Answer):
            return f"refused: {outcome.reason}"
    return "disputed"


def _flip(verdict: TurnVerdict, name: str, rules: object, model: object, evidence: str) -> dict[str, Any]:
    return {"turn": verdict.turn, "field": name, "rules": rules, "model": model, "evidence": evidence}


def _dispute(verdict: TurnVerdict, pair: tuple[Question, Outcome]) -> dict[str, Any]:
    return {"turn": verdict.turn, "field": pair[0].kind, "criterion": pair[0].criterion}
