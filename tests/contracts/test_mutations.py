"""What makes a sales talk worse lowers its score, and what changes only its wording does not.

Over the written dialogues of the fixtures, spoken as sessions. Both detectors: the rules alone, and the default one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from services.evaluator.dialogues.reading import Dialogue, read_dialogues
from services.evaluator.totals import POINTS
from shared.coaching.detection import Detector
from shared.coaching.detector import default_detector, rule_detector
from tests.contracts.mutations import (
    JE_TO_U,
    STACKED,
    TO_DUTCH,
    TO_FLEMISH,
    U_TO_JE,
    Card,
    blocks_by_phase,
    card_of,
    in_order,
    replace_words,
    verdicts,
    with_fillers,
    with_sellers_words,
    with_turn,
    without_questions,
)

DIALOGUES = Path(__file__).parents[1] / "fixtures" / "dialogues"
DETECTORS: dict[str, Callable[[], Detector]] = {"rules": rule_detector, "default": default_detector}

Found = Iterator[tuple[Dialogue, int, Card]]


@functools.cache
def talks() -> tuple[Dialogue, ...]:
    """Return the dialogues without a coach in them: there the customer is who speaks."""
    files = [DIALOGUES / f"{name}.jsonl" for name in ("labelled_dialogues", "held_out")]
    found = [each for file in files for each in read_dialogues(file.read_text(encoding="utf-8"), file.name)]
    return tuple(each for each in found if all(turn.speaker != "coach" for turn in each.turns))


def talks_for(detector: str) -> tuple[Dialogue, ...]:
    """Return all of them for the rules, every second for the default detector, which takes a hundred times as long."""
    return talks() if detector == "rules" else talks()[1::2]


@functools.cache
def base(detector: str) -> dict[str, Card]:
    return {talk.id: card_of(talk, DETECTORS[detector]()) for talk in talks_for(detector)}


def entry(card: Card, number: int) -> Card:
    return next(turn for turn in card["turns"] if turn["turn"] == f"u{number}")


def overall(card: Card) -> float:
    return card["totals"]["overall"] or 0.0


def good_turns(detector: str, wanted: Callable[[Card, str], bool]) -> Found:
    """Yield (dialogue, number, entry) of the turns with quality `ok` that are wanted by entry and text."""
    for talk in talks_for(detector):
        for turn in base(detector)[talk.id]["turns"]:
            number = int(turn["turn"].removeprefix("u"))
            if turn["quality"] == "ok" and wanted(turn, talk.turns[number].text):
                yield talk, number, turn


@pytest.mark.parametrize("detector", DETECTORS)
def test_without_its_confirmation_question_a_commitment_is_worth_less(detector: str) -> None:
    n, still_good = 0, []
    for talk, number, _ in good_turns(detector, lambda turn, text: "2.4" in turn["techniques"]):
        changed = with_turn(talk, number, without_questions)
        if changed.turns[number].text in ("", talk.turns[number].text):
            continue  # it confirms without a question mark, or is nothing but the question
        n += 1
        card = card_of(changed, DETECTORS[detector]())
        after = entry(card, number)
        assert overall(card) <= overall(base(detector)[talk.id])
        if after["quality"] == "ok" and "2.4" in after["techniques"]:
            still_good.append(f"{talk.id} u{number}: {changed.turns[number].text}")
    assert n >= 1
    # "Dus wat ge eigenlijk wilt, is dat ..." begins as a question does, and counts as one that is left.
    assert len(still_good) <= 1, still_good


@pytest.mark.parametrize("detector", DETECTORS)
def test_stacked_questions_are_worth_less(detector: str) -> None:
    n = 0
    asked = good_turns(
        detector,
        lambda turn, text: "?" in text and all(item.startswith("2.") and item != "2.4" for item in turn["techniques"]),
    )
    for talk, number, before in asked:
        card = card_of(
            with_turn(talk, number, lambda text, lang=talk.lang: text + STACKED[lang]), DETECTORS[detector]()
        )
        after = entry(card, number)
        n += 1
        assert "stacked_questions" in after["errors"], (talk.id, number, after)
        assert after["quality"] is not None
        assert POINTS[after["quality"]] < POINTS[before["quality"]]
    assert n >= 8


@pytest.mark.parametrize("detector", DETECTORS)
def test_swapped_phases_are_worth_less(detector: str) -> None:
    n = 0
    for talk in talks_for(detector):
        before = base(detector)[talk.id]
        blocks = blocks_by_phase(talk, before)
        phases = [phase for phase, _ in blocks]
        if len(phases) < 2 or any(second != first + 1 for first, second in pairwise(phases)):
            continue
        for place in range(len(blocks) - 1):
            swapped = [*blocks[:place], blocks[place + 1], blocks[place], *blocks[place + 2 :]]
            after = card_of(in_order(talk, swapped), DETECTORS[detector]())
            n += 1
            assert overall(after) <= overall(before), talk.id
            structure = (after["structure"]["score"], before["structure"]["score"])
            assert overall(after) < overall(before) or structure[0] < structure[1], (talk.id, phases)
    assert n >= 2


Wording = Callable[[Dialogue], Dialogue]
WORDINGS: dict[str, Wording] = {
    "fillers": lambda talk: with_sellers_words(talk, lambda text: with_fillers(text, talk.lang)),
    "je to u": lambda talk: with_sellers_words(talk, lambda text: replace_words(text, JE_TO_U)),
    "u to je": lambda talk: with_sellers_words(talk, lambda text: replace_words(text, U_TO_JE)),
    "nl-BE": lambda talk: with_sellers_words(talk, lambda text: replace_words(text, TO_FLEMISH), "nl-BE"),
    "nl-NL": lambda talk: with_sellers_words(talk, lambda text: replace_words(text, TO_DUTCH), "nl-NL"),
}

KNOWN = {("rules", "nl-BE"): 1}  # "En voor u, ge zei dat": no pattern of 3.1 knows "ge zei"
"""Turns that are judged otherwise although they should not be: of 164 (rules) or some 80 (default)."""


@pytest.mark.parametrize("wording", WORDINGS)
@pytest.mark.parametrize("detector", DETECTORS)
def test_wording_alone_changes_no_verdict(detector: str, wording: str) -> None:
    changed = []
    for talk in talks_for(detector):
        if talk.lang != "nl" and wording != "fillers":
            continue
        before = verdicts(base(detector)[talk.id])
        after = verdicts(card_of(WORDINGS[wording](talk), DETECTORS[detector]()))
        changed += [
            (talk.id, turn, before[turn], after.get(turn)) for turn in before if before[turn] != after.get(turn)
        ]
    assert len(changed) <= KNOWN.get((detector, wording), 0), changed
