"""What a dialogue counts for: scored turns only, three levels, quality with nothing found, and sums."""

from __future__ import annotations

from services.evaluator.dialogues.counts import LEVELS, count, figures, total
from services.evaluator.dialogues.reading import Dialogue, DialogueTurn, Labels, Outcome
from services.evaluator.dialogues.replay import JudgedDialogue
from shared.coaching.detection import Detection
from shared.coaching.knowledge import load_knowledge


def judged(labels: Labels, found: Detection, attitude: str | None = "vaag") -> JudgedDialogue:
    turns = (
        DialogueTurn(speaker="customer", text="Tja.", attitude="ontwijkend"),
        DialogueTurn(speaker="seller", text="x", labels=labels),
        DialogueTurn(speaker="customer", text="Ja."),
    )
    dialogue = Dialogue(id="a", lang="nl", turns=turns, session=Outcome(commitment=True))
    return JudgedDialogue(dialogue, {1: found}, {0: attitude, 2: None}, (), False)


def test_levels() -> None:
    labels = Labels(techniques=("2.1.1.6",), phase=2, quality="ok", errors=("pressure",))
    found = figures(count(judged(labels, Detection(("2.1.1.7",), "partial", phase=2)), load_knowledge()))
    assert [found["techniques"][level]["micro"]["f1"] for level in LEVELS] == [0, 1, 1]
    assert found["quality"]["accuracy"] == 0
    assert found["errors"]["micro"]["recall"] == 0
    assert found["phase"]["accuracy"] == 1
    assert found["attitudes"]["accuracy"] == 0
    assert found["gate"]["accuracy"] == 0


def test_talk_to_the_coach_counts_as_told_apart_and_for_nothing_else() -> None:
    labels = Labels(techniques=(), phase=2, scored=False)
    counts = count(judged(labels, Detection(scored=False)), load_knowledge())
    assert (counts.n_turns, counts.n_spoken, counts.n_spoken_right) == (0, 1, 1)
    assert figures(counts)["techniques"]["leaf"]["micro"]["f1"] is None


def test_nothing_recognised_counts_as_missed() -> None:
    counts = count(judged(Labels(techniques=("2.3",), quality="ok"), Detection()), load_knowledge())
    assert counts.grades == [("ok", "missed")]
    assert counts.n_phases == 0


def test_an_alternative_of_the_same_parent_stands_for_nothing_more() -> None:
    labels = Labels(techniques=("2.1.5",), alt_techniques=("2.1.3",))
    counts = count(judged(labels, Detection(("2.1.3",), "ok")), load_knowledge())
    assert [counts.techniques[level].micro["f1"] for level in LEVELS] == [1, 1, 1]


def test_sums() -> None:
    part = count(judged(Labels(techniques=("2.3",), quality="ok"), Detection(("2.3",), "ok")), load_knowledge())
    both = total([part, part])
    assert both.n_turns == 2
    assert both.techniques["leaf"].hit == {"2.3": 2}
    assert len(both.grades) == 2
    assert part.n_turns == 1
