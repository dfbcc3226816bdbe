from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.synthetic_talk import make_talk
from services.evaluator.evaluation import evaluate_events
from shared.coaching.detector import rule_detector
from shared.wire import event_from_json, event_to_json


def test_a_talk_has_what_a_spoken_call_has() -> None:
    talk = make_talk("0" * 26, 3, 1)
    kinds = Counter(event.body.kind for event in talk)
    assert {"session_started", "transcript", "spoken", "prosody", "voice_to_coach", "coach_to_voice"} <= kinds.keys()
    assert 150 < len(talk) / 3 < 250  # events a minute; 169 in the recorded role-play
    assert talk[-1].media_ms == pytest.approx(180_000, abs=40_000)
    assert len({event.id for event in talk}) == len(talk)
    assert [event_from_json(event_to_json(event)) for event in talk] == talk


def test_the_same_seed_gives_the_same_talk_and_another_one_other_words() -> None:
    first, second = make_talk("0" * 26, 1, 1), make_talk("0" * 26, 1, 2)
    assert make_talk("0" * 26, 1, 1) == first != second
    card = evaluate_events(first, rule_detector()).data
    assert card["session"]["user_turns"] >= 2
    assert card["totals"]["overall"] is not None
