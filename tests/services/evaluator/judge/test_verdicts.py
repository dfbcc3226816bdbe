"""The rules' verdict and the model's: what each may say, and whose word a field is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.evaluator.judge.answers import Answer, Failed, Outcome, Refused
from services.evaluator.judge.questions import Limits, Question, SellerTurn, plan
from services.evaluator.judge.verdicts import JudgedTurn, Mark, is_handled, left_to_rules, merge
from services.evaluator.scoring import TurnVerdict
from shared.coaching.knowledge import load_knowledge

Turns = Callable[..., SellerTurn]
KNOWLEDGE = load_knowledge()
EXPECTS = {
    "attitude": "vaag",
    "expected": ("2.1.5", "2.1.3"),
    "is_handled": False,
    "customer": "Klinkt goed, we zien wel.",
}


def both(turn: SellerTurn, **said: str | Outcome) -> JudgedTurn:
    """Merge with what the model says of a criterion ("t2_3", "vaag"); of the others it says that they are not there."""
    asked: list[tuple[Question, Outcome]] = []
    for question in plan([turn], KNOWLEDGE, Limits()).questions:
        name = f"t{question.criterion.replace('.', '_')}" if question.kind == "technique" else question.criterion
        word = said.get(name, "absent" if question.kind == "technique" else "no")
        outcome = word if not isinstance(word, str) else Answer(word, 0, 0 if word in ("absent", "no") else 12)
        asked.append((question, outcome))
    return merge(turn, asked, KNOWLEDGE)


def test_the_model_confirms(seller_turn: Turns) -> None:
    done = both(seller_turn(), t2_3="ok")
    assert done.verdict == seller_turn().verdict
    assert done.marks["techniques"] == done.marks["quality"] == Mark("model", "confirmed")
    assert (done.flips, done.disputes) == ([], [])


@pytest.mark.parametrize(("rules", "model"), [("ok", "partial"), ("ok", "missed"), ("partial", "ok")])
def test_the_model_changes_the_quality_and_its_quote_is_the_evidence(
    seller_turn: Turns, rules: str, model: str
) -> None:
    done = both(seller_turn(quality=rules), t2_3=model)
    assert (done.verdict.quality, done.verdict.evidence) == (model, "Een dag per ")
    assert done.marks["quality"] == Mark("model", "changed")
    assert done.flips == [
        {"turn": "u1", "field": "quality", "rules": rules, "model": model, "evidence": "Een dag per "}
    ]


def test_an_error_of_the_rules_holds_the_turn_at_partial(seller_turn: Turns) -> None:
    turn = seller_turn(quality="partial", errors=("stacked_questions",))
    done = both(turn, t2_3="ok")
    assert (done.verdict.quality, done.verdict.errors) == ("partial", ("stacked_questions",))
    assert done.marks["quality"] == Mark("rules", "errors")
    assert both(turn, t2_3="missed").verdict.quality == "missed"


def test_a_hard_fail_stands_even_if_the_model_was_asked(seller_turn: Turns, question: Any) -> None:
    turn = seller_turn(techniques=("3.2",), quality="missed", errors=("no_commitment_before_phase3",))
    done = merge(turn, [(question("3.2"), Answer("ok", 0, 12))], KNOWLEDGE)
    assert done == left_to_rules(turn.verdict, "hard_fail")


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Refused("evidence_not_in_turn"), "refused: evidence_not_in_turn"),
        (Failed("timeout"), "failed: timeout"),
        (Answer("absent"), "disputed"),
    ],
)
def test_without_a_verdict_of_the_model_the_rules_stand(seller_turn: Turns, outcome: Outcome, reason: str) -> None:
    done = both(seller_turn(), t2_3=outcome)
    assert done.verdict == seller_turn().verdict
    assert done.marks["techniques"] == done.marks["quality"] == Mark("rules", reason)
    assert bool(done.disputes) == (reason == "disputed")


def test_the_worst_of_two_techniques_counts_and_the_rules_fill_a_gap(seller_turn: Turns) -> None:
    turn = seller_turn(techniques=("2.3", "2.1.6"))
    assert both(turn, t2_3="ok", t2_1_6="partial").verdict.quality == "partial"
    gap = both(replace(turn, verdict=replace(turn.verdict, quality="partial")), t2_3="ok", t2_1_6=Failed("timeout"))
    assert gap.verdict.quality == "partial"
    assert gap.marks["quality"] == Mark("rules", "failed: timeout")


def test_a_second_technique_is_added_where_it_holds_the_quality(seller_turn: Turns) -> None:
    done = both(seller_turn(**EXPECTS), t2_3="ok", t2_1_5="ok")
    assert done.verdict.techniques == ("2.3", "2.1.5")
    assert done.verdict.evidence == "wat betekent"
    assert done.verdict.is_handled is True
    assert done.marks["techniques"] == Mark("model", "added")
    assert [flip["field"] for flip in done.flips] == ["techniques", "is_handled"]
    short = both(seller_turn(**EXPECTS), t2_3="ok", t2_1_5="partial")
    assert (short.verdict.techniques, short.verdict.quality) == (("2.3",), "ok")


def test_never_more_than_two_techniques(seller_turn: Turns) -> None:
    assert both(seller_turn(**EXPECTS), t2_1_5="ok", t2_1_3="ok").verdict.techniques == ("2.3", "2.1.5")


def test_a_first_technique_brings_its_quality_and_the_rules_errors_cap_it(seller_turn: Turns) -> None:
    turn = seller_turn(**EXPECTS, techniques=(), quality="missed", evidence="", phase=None)
    done = both(turn, t2_1_5="ok")
    assert (done.verdict.techniques, done.verdict.quality, done.verdict.phase) == (("2.1.5",), "ok", 2)
    assert done.verdict.evidence == "Een dag per "
    assert done.marks["quality"] == Mark("model", "changed")
    capped = replace(turn, verdict=replace(turn.verdict, errors=("ignores_attitude",)))
    assert both(capped, t2_1_5="ok").verdict.quality == "partial"


def test_nothing_found_twice_is_agreed(seller_turn: Turns) -> None:
    turn = seller_turn(techniques=(), quality=None, evidence="")
    assert both(turn).marks["techniques"] == Mark("model", "confirmed")
    assert both(turn, t2_1_2=Failed("timeout")).marks["techniques"] == Mark("rules", "failed: timeout")


def test_an_attitude_is_confirmed_disputed_or_seen_where_the_rules_saw_none(seller_turn: Turns) -> None:
    assert both(seller_turn(**EXPECTS), vaag="yes").marks["attitude"] == Mark("model", "confirmed")
    disputed = both(seller_turn(**EXPECTS), vaag="no")
    assert disputed.verdict.attitude == "vaag"
    assert disputed.marks["attitude"] == Mark("rules", "disputed")
    assert {"turn": "u1", "field": "attitude", "criterion": "vaag"} in disputed.disputes
    seen = both(seller_turn(customer="Tja, dat moeten we eens bekijken."), t2_3="ok", ontwijkend="yes")
    assert (seen.verdict.attitude, seen.verdict.expected) == ("ontwijkend", ("2.1.3", "2.1.5"))
    assert seen.verdict.is_handled is False
    assert seen.marks["attitude"] == Mark("model", "added")
    assert [flip["field"] for flip in seen.flips] == ["attitude", "is_handled"]


def test_handled_is_what_the_rules_say_of_their_own_verdicts(verdict: Callable[..., TurnVerdict]) -> None:
    asks = verdict(attitude="vaag", expected=("2.1.5",), techniques=("2.1.5",))
    assert is_handled(asks, KNOWLEDGE) is True
    assert is_handled(replace(asks, quality="missed"), KNOWLEDGE) is False
    assert is_handled(replace(asks, expected=()), KNOWLEDGE) is None


OUTCOMES = st.sampled_from(
    [Answer(word, 0, 5) for word in ("ok", "partial", "missed", "yes")]
    + [Answer("absent"), Answer("no"), Refused("malformed"), Failed("timeout")]
)


@settings(max_examples=80)
@given(data=st.data())
def test_whatever_the_model_says_the_rules_hold(data: st.DataObject) -> None:
    phase = data.draw(st.sampled_from([None, 1, 2, 3, 4]))
    attitude = data.draw(st.sampled_from([None, *KNOWLEDGE.attitudes]))
    techniques = tuple(data.draw(st.lists(st.sampled_from(sorted(KNOWLEDGE.techniques)), max_size=2, unique=True)))
    errors = tuple(data.draw(st.lists(st.sampled_from(sorted(KNOWLEDGE.error_codes)), max_size=2, unique=True)))
    quality = ("partial" if errors else "ok") if techniques else ("missed" if errors or attitude else None)
    rules = TurnVerdict(
        "u1", 0, 9, techniques, quality, phase, errors, "", attitude, KNOWLEDGE.expected(attitude, phase),
        None, True, True,
    )  # fmt: skip
    turn = SellerTurn(rules, "een dag per maand", "nl", "tja, een dag")
    done = merge(turn, [(q, data.draw(OUTCOMES)) for q in plan([turn], KNOWLEDGE, Limits()).questions], KNOWLEDGE)
    after = done.verdict
    assert after.errors == rules.errors
    assert len(after.techniques) <= 2
    assert after.techniques[: len(techniques)] == techniques
    assert not (errors and after.quality == "ok")
    new = [KNOWLEDGE.technique(item) for item in after.techniques[len(techniques) :]]
    assert all(item.phase <= 2 or (phase or 0) >= 3 for item in new)
    assert rules.phase in (None, after.phase)
    assert set(done.marks) == {"techniques", "quality", "attitude"}
    changed = {name for name, value in asdict(after).items() if value != asdict(rules)[name]}
    assert changed - {"phase", "evidence", "expected", "is_handled"} == {flip["field"] for flip in done.flips} - {
        "is_handled"
    }
