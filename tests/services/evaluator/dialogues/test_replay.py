"""A dialogue is judged by its words alone, in order, as a session is."""

from __future__ import annotations

from services.evaluator.dialogues.reading import Dialogue, DialogueTurn, Labels
from services.evaluator.dialogues.replay import judge_dialogue
from shared.coaching.detector import rule_detector
from shared.coaching.knowledge import load_knowledge

TURNS = (
    ("customer", "We verliezen elke maand een dag."),
    ("seller", "En wat betekent dat concreet voor u?"),
    ("customer", "Dat ik 's avonds werk."),
    ("seller", "Dus u wilt uw avonden terug en u wilt geen dag meer verliezen, klopt dat?"),
    ("customer", "Ja, dat klopt."),
    ("coach", "Wat heb je net gedaan?"),
    ("seller", "Commitment gevraagd, denk ik."),
)


def dialogue(labels: Labels | None = None, upto: int = len(TURNS)) -> Dialogue:
    turns = tuple(DialogueTurn(speaker=who, text=text, labels=labels) for who, text in TURNS[:upto])  # type: ignore[arg-type]
    return Dialogue(id="a", lang="nl", turns=turns)


def test_each_turn_is_judged_in_its_place() -> None:
    judged = judge_dialogue(dialogue(), rule_detector(), load_knowledge())
    assert {number: found.techniques for number, found in judged.seen.items()} == {1: ("2.3",), 3: ("2.4",), 6: ()}
    assert judged.attitudes[4] == "positief"
    assert [verdict.is_scored for verdict in judged.verdicts] == [True, True, False]


def test_only_a_clear_yes_opens_the_gate() -> None:
    judge = [judge_dialogue(dialogue(upto=n), rule_detector(), load_knowledge()).is_committed for n in (4, 5)]
    assert judge == [False, True]


def test_labels_are_no_input() -> None:
    bare, labelled = (
        judge_dialogue(dialogue(labels), rule_detector(), load_knowledge())
        for labels in (None, Labels(techniques=("4.1",), phase=4))
    )
    assert bare.seen == labelled.seen
