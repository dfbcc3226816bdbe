"""The detector's contract: what every detector's answer keeps to."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.coaching.detection import MAX_TECHNIQUES, NO_CONTEXT, DetectionContext, Detector
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge

ATTITUDES = [None, *load_knowledge().attitudes]
CONTEXTS = st.builds(
    DetectionContext,
    phase=st.sampled_from([None, 1, 2, 3, 4]),
    attitude=st.sampled_from(ATTITUDES),
    done=st.lists(st.sampled_from(list(load_knowledge().techniques)), max_size=4).map(tuple),
    committed=st.booleans(),
    to_coach=st.booleans(),
)
WORDS = [
    "en",
    "dus",
    "wat",
    "hoe",
    "u",
    "je",
    "betekent",
    "klopt",
    "dat",
    "wilt",
    "korting",
    "altijd",
    "eerder",
    "of",
    "stel",
    "vandaag",
    "the",
    "what",
    "you",
    "so",
    "is",
    "it",
    "or",
]
TURNS = st.one_of(st.text(max_size=300), st.lists(st.sampled_from([*WORDS, "?", ".", ","]), max_size=40).map(" ".join))


def test_no_context_knows_nothing() -> None:
    assert [getattr(NO_CONTEXT, field.name) for field in fields(NO_CONTEXT)] == [None, None, "", (), False, False]


@settings(deadline=None)  # the first example loads the detector
@given(TURNS, st.sampled_from(["nl", "en"]), CONTEXTS)
def test_any_turn_gets_a_verdict_of_the_right_form(text: str, language: str, context: DetectionContext) -> None:
    detector: Detector = default_detector()
    knowledge = load_knowledge()
    found = detector.detect(text, language, context)  # type: ignore[arg-type]
    assert len(found.techniques) == len(set(found.techniques)) <= MAX_TECHNIQUES
    assert set(found.techniques) <= set(knowledge.techniques)
    assert set(found.errors) <= set(knowledge.error_codes)
    assert found.evidence in text
    assert found.scored or (not found.techniques and found.quality is None and not found.errors)
    assert found == detector.detect(text, language, context)  # type: ignore[arg-type]
    assert detector.attitude(text, language, context.phase) in ATTITUDES  # type: ignore[arg-type]
