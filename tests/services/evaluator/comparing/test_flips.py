from __future__ import annotations

import copy
from typing import Any

from services.evaluator.comparing.flips import Flip, count_turns, flips_of


def test_the_same_card_has_no_flips(card: dict[str, Any]) -> None:
    other = copy.deepcopy(card)
    other["turns"][0]["end_ms"] += 80
    other["turns"][0]["evidence"] = "other words"
    assert flips_of("r", card, other) == []
    assert count_turns(card, other) == len(card["turns"])


def test_a_flip_has_the_evidence_of_both(card: dict[str, Any]) -> None:
    other = copy.deepcopy(card)
    first, second = other["turns"][0], other["turns"][1]
    before = copy.deepcopy(card["turns"][:2])
    first |= {"quality": "missed", "evidence": "now this"}
    second |= {"techniques": ["3.2"], "errors": ["stacked_questions", *second["errors"]]}
    assert flips_of("r", card, other) == [
        Flip(
            "r", first["turn"], first["start_ms"], "quality", before[0]["quality"], "missed", before[0]["evidence"],
            "now this",
        ),
        Flip(
            "r", second["turn"], second["start_ms"], "techniques", before[1]["techniques"], ["3.2"],
            before[1]["evidence"], before[1]["evidence"],
        ),
        Flip(
            "r", second["turn"], second["start_ms"], "errors", before[1]["errors"], second["errors"],
            before[1]["evidence"], before[1]["evidence"],
        ),
    ]  # fmt: skip


def test_the_order_of_techniques_is_no_flip(card: dict[str, Any]) -> None:
    other = copy.deepcopy(card)
    card["turns"][0]["techniques"], other["turns"][0]["techniques"] = ["1.1", "1.2"], ["1.2", "1.1"]
    assert flips_of("r", card, other) == []


def test_a_turn_that_only_one_card_has(card: dict[str, Any]) -> None:
    other = copy.deepcopy(card)
    gone = other["turns"].pop(3)
    (flip,) = flips_of("r", card, other)
    assert (flip.turn, flip.field, flip.before, flip.after) == (gone["turn"], "turn", True, False)
    assert (flip.evidence_before, flip.evidence_after) == (gone["evidence"], None)
    (back,) = flips_of("r", other, card)
    assert (back.before, back.after, back.evidence_before) == (False, True, None)
    assert count_turns(card, other) == len(card["turns"])
