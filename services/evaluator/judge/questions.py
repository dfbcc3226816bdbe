"""Which questions are put to the model about a session, and which turns are left to the rules. Pure.

A question holds one turn and one criterion. What the seller says is in the questions about that turn and in no
other, so whatever a turn says to the judge cannot reach the verdict on another.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from services.evaluator.scoring import TurnVerdict
from services.evaluator.timeline import Timeline
from shared.coaching.cues import customer_line
from shared.coaching.detection import MAX_TECHNIQUES
from shared.coaching.detector import ATTITUDE_ORDER
from shared.coaching.knowledge import Knowledge
from shared.coaching.verdict import HARD_FAILS
from shared.coaching.words import MAX_CHARS
from shared.events import Language

MAX_BEFORE_CHARS = 1_000

Kind = Literal["technique", "attitude"]
LeftOut = Literal["not_scored", "not_final", "hard_fail", "no_text", "speaks_to_judge", "nothing_to_ask", "budget"]

_OFF_RAMPS = frozenset(["bezwaar", "angst", "uitstel", "twijfel"])

_TO_JUDGE = re.compile(
    r"[{}<>`]"  # no recogniser writes these
    r"|\b(?:ignore|disregard|forget|override|negeer|vergeet|omzeil)\b.{0,40}?"
    r"\b(?:instructions?|rules|above|prompts?|criteri(?:on|a|um)|instructies?|regels|opdrachten|bovenstaande)\b"
    r"|\b(?:verdict|evidence|criterion|criterium|oordeel)\b\W{1,5}(?:is\W|=\W?)?(?:ok|partial|missed|absent|yes|no)\b"
    r"|\b(?:system|systeem)\W?prompt\b"
    r"|\b(?:you are|act as|je bent|gedraag je als)\W.{0,20}?"
    r"\b(?:judge|evaluator|beoordelaar|language model|taalmodel)\b"
    r"|\b(?:score|rate|mark|judge|grade|beoordeel|scoor)\b.{0,30}?\b(?:as|als|with|met)\W{1,3}(?:an? |een )?ok\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class SellerTurn:
    """A seller's turn with the rules' verdict. `customer_text`: what the customer said right before it, else ""."""

    verdict: TurnVerdict
    text: str
    language: Language
    customer_text: str


@dataclass(frozen=True, slots=True)
class Question:
    """One criterion for one text: a technique in a seller's turn, or an attitude in the customer's line before it.

    `turn` is the seller's turn in both cases. `before` is the customer's line before a seller's turn, as context.
    """

    kind: Kind
    turn: str
    criterion: str
    text: str
    before: str
    language: Language


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be asked: about a session, about a turn's techniques, about an attitude the rules did not see."""

    questions: int = 300
    techniques: int = 4
    attitudes: int = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """The questions in the order of the talk, and why a turn has none."""

    questions: tuple[Question, ...]
    left_out: dict[str, LeftOut]


def seller_turns(timeline: Timeline, verdicts: Iterable[TurnVerdict], is_coached: bool) -> tuple[SellerTurn, ...]:
    """Return the judged turns with their words and with what the customer said between them and the turn before.

    Where Hugo is the coach the customer's line is the one that he lends: the rest of his words is no customer's,
    and may quote the seller.
    """
    by_id = {verdict.turn: verdict for verdict in verdicts}
    found, heard = [], ""
    for turn in timeline.turns:
        if turn.speaker == "hugo":
            line = customer_line(turn.text, turn.language) if is_coached else turn.text
            heard = f"{heard} {line or ''}".strip()
        elif turn.id in by_id:
            found.append(SellerTurn(by_id[turn.id], turn.text, turn.language, heard))
            heard = ""
    return tuple(found)


def plan(turns: Sequence[SellerTurn], knowledge: Knowledge, limits: Limits) -> Plan:
    """Return what to ask. A turn whose questions would pass the limit has none, and neither has any turn after it."""
    questions: list[Question] = []
    left_out: dict[str, LeftOut] = {}
    done: Counter[str] = Counter()
    before: TurnVerdict | None = None
    is_full = False
    for turn in turns:
        verdict = turn.verdict
        reason = _why_not(turn)
        if reason is None:
            wanted = [*_techniques(turn, knowledge, done, limits), *_attitudes(turn, before, knowledge, limits)]
            is_full = is_full or len(questions) + len(wanted) > limits.questions
            reason = "budget" if is_full else None if wanted else "nothing_to_ask"
        if reason is None:
            questions += wanted
        else:
            left_out[verdict.turn] = reason
        done.update(verdict.techniques)
        before = verdict
    return Plan(tuple(questions), left_out)


def speaks_to_judge(text: str) -> bool:
    """Tell whether a turn seems to be meant for the judge: markup, commands to ignore rules, a verdict given.

    A second net and no proof: what it lets through meets the form of the question and the checks on the answer.
    """
    return _TO_JUDGE.search(unicodedata.normalize("NFKC", plain(text))) is not None


def plain(text: str) -> str:
    """Return `text` with control and invisible characters as spaces; positions stay what they are."""
    return "".join(" " if unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs") else char for char in text)


def may_add(technique_id: str, verdict: TurnVerdict, knowledge: Knowledge) -> bool:
    """Tell whether a technique may come to a verdict: it says something new, and it passes no gate.

    A technique of phases 3 and 4 is added only where the rules had the talk there.
    """
    item = knowledge.technique(technique_id)
    if item.phase >= 3 and (verdict.phase or 0) < 3:
        return False
    if verdict.phase is not None and not item.may_be_used_in(verdict.phase):
        return False
    return not any(
        knowledge.is_within(technique_id, known) or knowledge.is_within(known, technique_id)
        for known in verdict.techniques
    )


def _why_not(turn: SellerTurn) -> LeftOut | None:
    verdict = turn.verdict
    if not verdict.is_scored:
        return "not_scored"
    if not verdict.is_final:
        return "not_final"  # half a turn shows what was said, never what was left out
    if HARD_FAILS & set(verdict.errors):
        return "hard_fail"
    if not turn.text.strip():
        return "no_text"
    return "speaks_to_judge" if speaks_to_judge(turn.text) else None


def _techniques(turn: SellerTurn, knowledge: Knowledge, done: Counter[str], limits: Limits) -> Iterator[Question]:
    """Yield the rules' techniques, then those that the attitude calls for, then what the phase has left to do."""
    verdict = turn.verdict
    wanted = list(verdict.techniques)
    if len(verdict.techniques) < MAX_TECHNIQUES:
        wanted += [item for item in verdict.expected if may_add(item, verdict, knowledge)]
    if not verdict.techniques:
        wanted += sorted(_of_phase(verdict, knowledge), key=lambda item: done[item] > 0)
    before = "" if speaks_to_judge(turn.customer_text) else turn.customer_text
    for technique_id in list(dict.fromkeys(wanted))[: limits.techniques]:
        yield Question(
            "technique",
            verdict.turn,
            technique_id,
            plain(turn.text)[:MAX_CHARS],
            plain(before)[-MAX_BEFORE_CHARS:],
            turn.language,
        )


def _of_phase(verdict: TurnVerdict, knowledge: Knowledge) -> list[str]:
    return [
        item.id
        for item in knowledge.techniques.values()
        if item.phase == verdict.phase
        and item.observable
        and not item.is_group
        and item.theme is None  # eight more questions about what the rules see best
        and may_add(item.id, verdict, knowledge)
    ]


def _attitudes(
    turn: SellerTurn, before: TurnVerdict | None, knowledge: Knowledge, limits: Limits
) -> Iterator[Question]:
    """Yield the rules' attitude; where they saw none, those that the phase allows, the most blocking first."""
    verdict, said = turn.verdict, turn.customer_text
    if not said.strip() or speaks_to_judge(said) or _lingers(verdict, before):
        return
    phase = verdict.phase or 1
    allowed = [key for key in ATTITUDE_ORDER if phase in knowledge.attitudes[key].allowed_phases]
    own = [key for key in knowledge.attitudes if key == verdict.attitude]
    for key in own or allowed[: limits.attitudes]:
        yield Question("attitude", verdict.turn, key, plain(said)[-MAX_BEFORE_CHARS:], "", turn.language)


def _lingers(verdict: TurnVerdict, before: TurnVerdict | None) -> bool:
    """Tell whether an attitude is still open from an earlier line, so that the newest need not show it."""
    return (
        before is not None
        and verdict.attitude in _OFF_RAMPS
        and verdict.attitude == before.attitude
        and before.quality != "ok"
    )
