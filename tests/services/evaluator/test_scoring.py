from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from services.evaluator.scoring import MAX_EVIDENCE_CHARS, Scorer
from services.evaluator.turns import Turn
from shared.coaching.detection import NO_CONTEXT, Detection, DetectionContext
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.events import Body, CoachToVoice, Event, Language, Speaker, Transcript


@dataclass
class Script:
    """A judge that answers from a list, and keeps what it was asked."""

    answers: list[Detection] = field(default_factory=list)
    moods: dict[str, str] = field(default_factory=dict)
    asked: list[DetectionContext] = field(default_factory=list)
    version: str = "script"

    def detect(self, text: str, language: Language, context: DetectionContext = NO_CONTEXT) -> Detection:
        self.asked.append(context)
        return self.answers.pop(0)

    def attitude(self, text: str, language: Language, phase: int | None = None) -> str | None:
        return self.moods.get(text)

    def is_clear_yes(self, text: str, language: Language) -> bool:
        return text == "Ja."


def turn(name: str, start_ms: int, text: str = "tekst", *, is_final: bool = True) -> Turn:
    speaker: Speaker = "user" if name[0] == "u" else "hugo"
    return Turn(name, speaker, start_ms, start_ms + 500, text, "nl", is_final=is_final)


def ok(*techniques: str, phase: int = 2, **more: object) -> Detection:
    return Detection(techniques=techniques, quality="ok", phase=phase, **more)  # type: ignore[arg-type]


def scorer(judge: Script) -> Scorer:
    return Scorer(judge, load_knowledge())


def test_the_detector_is_told_what_the_talk_had_come_to() -> None:
    judge = Script([ok("2.1.1"), ok("2.3")], {"Tja.": "ontwijkend"})
    scores = scorer(judge)
    hugo = [turn("h1", 0, "We zitten vast."), turn("h2", 2_000, "Tja."), turn("h3", 9_000, "Later.")]
    scores.score(turn("u1", 1_000), hugo)
    scores.score(turn("u2", 3_000), hugo)
    assert judge.asked[0] == DetectionContext(customer_text="We zitten vast.")
    assert judge.asked[1] == DetectionContext(
        phase=2, attitude="ontwijkend", customer_text="We zitten vast.\nTja.", done=("2.1.1",)
    )


@pytest.mark.parametrize(("answer", "committed"), [("Ja.", True), ("Misschien wel.", False)])
def test_only_the_customers_yes_commits(answer: str, committed: bool) -> None:
    judge = Script([ok("2.4"), ok("3.2", phase=3)])
    scores = scorer(judge)
    scores.score(turn("u1", 1_000), [])
    assert not scores.is_committed  # asking is not getting
    scores.score(turn("u2", 3_000), [turn("h1", 2_000, answer)])
    assert scores.is_committed is committed
    assert judge.asked[1].committed is committed


def test_a_yes_to_anything_else_commits_to_nothing() -> None:
    judge = Script([ok("2.1.1"), ok("2.3")])
    scores = scorer(judge)
    scores.score(turn("u1", 1_000), [])
    scores.score(turn("u2", 3_000), [turn("h1", 2_000, "Ja.")])
    assert not scores.is_committed


def test_a_pitch_before_the_yes_does_not_move_the_talk_on() -> None:
    early = Detection(("3.2",), "missed", ("premature_pitch", "no_commitment_before_phase3"), phase=3)
    judge = Script([ok("2.1.1"), early, ok("2.3")])
    scores = scorer(judge)
    for number in range(3):
        scores.score(turn(f"u{number}", number * 1_000), [])
    assert [context.phase for context in judge.asked] == [None, 2, 2]


def test_an_attitude_is_met_by_what_it_calls_for_and_nothing_else() -> None:
    judge = Script(
        [
            ok("4.2.4", phase=4, expected=("4.2",)),  # a child of what is called for
            ok("2.1.1", expected=("4.2.4",)),
            Detection(("4.2.4",), "missed", phase=4, expected=("4.2.4",)),
            ok("2.1.1"),
        ],
        {"Te duur.": "bezwaar"},
    )
    scores = scorer(judge)
    hugo = [turn(f"h{n}", n * 1_000, "Te duur." if n < 3 else "Goed.") for n in range(4)]
    found = [scores.score(turn(f"u{n}", n * 1_000 + 500), hugo).is_handled for n in range(4)]
    assert found == [True, False, False, None]


def test_a_customers_line_is_heard_once() -> None:
    judge = Script([ok("2.1.1"), ok("2.1.1")], {"Tja.": "ontwijkend"})
    scores = scorer(judge)
    scores.score(turn("u1", 1_000), [turn("h1", 0, "Tja.")])
    scores.score(turn("u2", 2_000), [turn("h1", 0, "Tja.")])
    assert [context.attitude for context in judge.asked] == ["ontwijkend", None]
    assert judge.asked[1].customer_text == "Tja."


def event(body: Body, name: str) -> Event:
    return Event(name, "s", "voice", 1, 0, 0, body)


def test_a_coached_talk_hears_the_customer_in_what_the_coach_quotes() -> None:
    line = 'Goed zo. Je klant zegt: "Te duur." Wat zeg je?'
    judge = Script([ok("2.1.1"), ok("4.2.4", phase=4, expected=("4.2.4",))], {"Te duur.": "bezwaar"})
    scores = scorer(judge)
    scores.take(event(CoachToVoice("", "Dag, wat verkoop je?", rationale="move=begin"), "c0"))
    scores.take(event(Transcript("h1", "hugo", "Dag, laten we beginnen.", True, 0, 500, "nl"), "h1"))
    scores.score(turn("u1", 1_000), [turn("h1", 0, "Dag, laten we beginnen.")])
    scores.take(event(CoachToVoice("u1", line, rationale="move=praise"), "c1"))
    scores.take(event(Transcript("h2", "hugo", line, True, 2_000, 2_500, "nl"), "h2"))
    verdict = scores.score(turn("u2", 3_000), [turn("h2", 2_000, line)])
    assert scores.is_coached
    assert judge.asked[0] == DetectionContext()  # the coach's own words are no customer's
    assert (judge.asked[1].attitude, judge.asked[1].customer_text) == ("bezwaar", "Te duur.")
    assert verdict.is_handled is True


def test_an_answer_to_the_coach_is_no_try_at_selling() -> None:
    judge = Script([Detection((), "missed", ("closed_question",), phase=None)])
    scores = scorer(judge)
    asked = CoachToVoice("", "Wat verkoop je?", rationale="move=ask_slot; slot=product")
    scores.take(event(asked, "c0"))
    verdict = scores.score(turn("u1", 1_000, "Machines voor de bouw"), [])
    assert (verdict.is_scored, verdict.quality, verdict.errors) == (False, None, ())


def test_a_hint_without_a_plan_leaves_hugo_the_customer() -> None:
    scores = scorer(Script())
    scores.take(event(CoachToVoice("u1", "Ho, wacht even."), "c0"))
    assert not scores.is_coached


def test_half_a_turn_shows_what_was_said_never_what_was_left_out() -> None:
    judge = Script([Detection((), "missed", ("ignores_attitude",), phase=2), ok("2.3")])
    scores = scorer(judge)
    left_out = scores.score(turn("u1", 1_000, is_final=False), [])
    shown = scores.score(turn("u2", 2_000, is_final=False), [])
    assert (left_out.quality, left_out.errors, left_out.is_scored) == (None, (), False)
    assert (shown.techniques, shown.quality, shown.is_scored, shown.is_final) == (("2.3",), "ok", True, False)


def test_a_turn_is_scored_once() -> None:
    judge = Script([ok("2.3")])
    scores = scorer(judge)
    assert scores.score(turn("u1", 1_000), []) is scores.score(turn("u1", 1_000, "iets anders"), [])
    assert len(scores.verdicts) == len(judge.asked) == 1


def test_long_words_are_cut_to_their_bounds() -> None:
    judge = Script([ok("2.3", evidence="x" * 999)])
    scores = scorer(judge)
    verdict = scores.score(turn("u1", 1_000), [turn("h1", 0, "a" * 5_000 + "z")])
    assert len(verdict.body().evidence) == MAX_EVIDENCE_CHARS
    assert len(judge.asked[0].customer_text) == 2_000
    assert judge.asked[0].customer_text.endswith("z")  # the newest is kept


def test_the_evidence_stands_in_the_turn() -> None:
    text = "Goed. Wat betekent dat concreet voor u, elke maandag?"
    scores = Scorer(default_detector(), load_knowledge())
    body = scores.score(turn("u1", 1_000, text), [turn("h1", 0, "Elke maandag is een ramp.")]).body()
    assert body.techniques == ("2.3",)
    assert body.evidence
    assert body.evidence in text
