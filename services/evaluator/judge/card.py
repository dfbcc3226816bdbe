"""The scorecard after both judges: the rules' card with the merged verdicts, their totals, and what the model did."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.evaluator.evaluation import Evaluation
from services.evaluator.judge.answers import Answer, Failed, Outcome, Refused
from services.evaluator.judge.judge import Judge
from services.evaluator.judge.prompts import prompt_hash
from services.evaluator.judge.questions import Question, SellerTurn, plan, seller_turns
from services.evaluator.judge.verdicts import JudgedTurn, left_to_rules, merge
from services.evaluator.scorecard import MAX_TURN_ENTRIES, Scorecard, verdict_entry
from services.evaluator.totals import attitudes, overall, phase_scores, structure, themes
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import Knowledge
from shared.events import Event

NOTE = "techniques, quality and attitudes were judged by the rules first and by a language model second: see judge"


@dataclass(frozen=True, slots=True)
class JudgedTurns:
    """The turns after both judges, in their order, and the account of it as it stands in a card."""

    turns: tuple[JudgedTurn, ...]
    account: dict[str, Any]


async def judged(source: Evaluation | Iterable[Event], judge: Judge) -> Scorecard:
    """Return the judged scorecard of a finished evaluation, or of recorded events.

    The rules' card is the beginning: metrics, errors, gate and session are theirs. Never raises for what the model
    does or fails to do: the rules' verdict stands there, with the reason.
    """
    evaluation = source if isinstance(source, Evaluation) else await asyncio.to_thread(_evaluated, source)
    card = await asyncio.to_thread(evaluation.scorecard)
    is_coached = card.data["session"]["hugo_is"] == "coach"
    turns = seller_turns(evaluation.timeline, evaluation.verdicts, is_coached)
    if card.data["knowledge_hash"] != judge.knowledge.knowledge_hash:
        left = tuple(left_to_rules(turn.verdict, "other_knowledge") for turn in turns)
        done = JudgedTurns(left, _account(judge, (), (), left, ()))
    else:
        done = await judge_turns(turns, judge)
    return rebuild(card, evaluation, done, judge.knowledge)


async def judge_turns(turns: Sequence[SellerTurn], judge: Judge) -> JudgedTurns:
    """Return the seller's turns of one talk after both judges."""
    what = plan(turns, judge.knowledge, judge.limits)
    asked = await judge.ask(what.questions)
    by_turn: dict[str, list[tuple[Question, Outcome]]] = {}
    for pair in zip(what.questions, asked.outcomes, strict=True):
        by_turn.setdefault(pair[0].turn, []).append(pair)
    done = tuple(
        merge(turn, by_turn[turn.verdict.turn], judge.knowledge)
        if turn.verdict.turn in by_turn
        else left_to_rules(turn.verdict, what.left_out[turn.verdict.turn])
        for turn in turns
    )
    return JudgedTurns(done, _account(judge, what.questions, asked.outcomes, done, asked.served_as))


def rebuild(card: Scorecard, evaluation: Evaluation, done: JudgedTurns, knowledge: Knowledge) -> Scorecard:
    """Return the rules' card with the judged verdicts and the totals that follow from them; the gate is the rules'."""
    judged_by_id = {turn.verdict.turn: turn for turn in done.turns}
    # In the rules' order; a verdict whose turn has left the timeline keeps its place.
    verdicts = [
        judged_by_id[rules.turn].verdict if rules.turn in judged_by_id else rules for rules in evaluation.verdicts
    ]
    phases = phase_scores(verdicts, knowledge)
    explored = themes(verdicts, knowledge)
    return Scorecard(
        {
            **card.data,
            "turns": [
                {**verdict_entry(verdict), "judge": _marks(judged_by_id.get(verdict.turn))}
                for verdict in verdicts[:MAX_TURN_ENTRIES]
            ],
            "phases": phases,
            "themes": explored,
            "attitudes": attitudes(verdicts),
            "structure": structure(verdicts, phases, explored["score"]),
            "totals": overall(phases),
            "notes": [*card.data["notes"], NOTE],
            "judge": done.account,
        }
    )


def _evaluated(events: Iterable[Event]) -> Evaluation:
    evaluation = Evaluation(default_detector())
    for event in events:
        evaluation.add(event)
        if evaluation.is_due:
            evaluation.score()
    return evaluation


def _marks(turn: JudgedTurn | None) -> dict[str, Any]:
    marks = turn.marks if turn is not None else {}
    return {name: {"by": mark.by, "reason": mark.reason} for name, mark in marks.items()}


def _account(
    judge: Judge,
    questions: Sequence[Question],
    outcomes: Sequence[Outcome],
    turns: Sequence[JudgedTurn],
    served_as: Sequence[str],
) -> dict[str, Any]:
    """Return what the model was, what it was asked and what came of it. Nothing here tells a kept answer from a new."""
    asked = {question.turn for question in questions}
    return {
        "model": judge.model,
        "served_as": list(served_as),
        "temperature": 0,
        "seed": judge.seed,
        "prompt_hash": prompt_hash(),
        "knowledge_hash": judge.knowledge.knowledge_hash,
        "questions": {
            "asked": len(questions),
            "answered": sum(isinstance(outcome, Answer) for outcome in outcomes),
            "refused": _count(outcome.reason for outcome in outcomes if isinstance(outcome, Refused)),
            "failed": _count(outcome.cause for outcome in outcomes if isinstance(outcome, Failed)),
        },
        "turns": {
            "asked": len(asked),
            "left_to_rules": _count(turn.marks["quality"].reason for turn in turns if turn.verdict.turn not in asked),
        },
        "flips": [flip for turn in turns for flip in turn.flips],
        "disputes": [dispute for turn in turns for dispute in turn.disputes],
    }


def _count(names: Iterable[str]) -> Mapping[str, int]:
    return dict(sorted(Counter(names).items()))
