"""What a page shows of a recording: the same card as the live one, and every mark at its place."""

from __future__ import annotations

from itertools import pairwise

from services.evaluator.evaluation import scorecard_bytes
from services.evaluator.report.data import session_view
from services.evaluator.scorecard import canonical_json
from shared.coaching.detector import rule_detector
from shared.events import Consent
from tests.services.evaluator.recorded_talks import (
    humming_view,
    recorded,
    role_play_events,
    role_play_view,
    view_of,
)


def test_the_card_is_the_live_one() -> None:
    recording = recorded(role_play_events())
    view = session_view(recording, rule_detector())
    assert canonical_json(view.card) == scorecard_bytes(recording.events, rule_detector())


def test_turns_carry_verdict_attitude_cut_and_prosody() -> None:
    turns = {each.turn.id: each for each in role_play_view().turns}
    pitch = turns["u5"].verdict
    assert pitch is not None
    assert "premature_pitch" in pitch.errors
    cut = turns["h6"].cut
    assert cut is not None
    assert (cut.by, cut.dropped) == ("user", "ik wil eerst weten wat")
    assert turns["u4"].prosody is not None
    shown = [each for each in turns.values() if each.attitude]
    assert shown
    assert {each.turn.speaker for each in shown} == {"hugo"}


def test_overlaps_and_hints_are_there() -> None:
    view = role_play_view()
    assert [(part.start_ms, part.end_ms) for part in view.overlaps] == [(64_230, 64_630)]
    assert len(view.hints) == 1
    assert view.hints[0].expected == ("2.3",)


def test_phases_follow_each_other_without_a_gap() -> None:
    phases = role_play_view().phases
    assert [number for number, _ in phases][:3] == [1, 2, 3]
    assert all(a[1].end_ms == b[1].start_ms for a, b in pairwise(phases))


def test_scores_lead_to_turns() -> None:
    view = role_play_view()
    starts = {each.turn.start_ms for each in view.turns}
    for key in ("phase:1", "phase:2", "error:premature_pitch", "gate"):
        assert view.evidence[key]
        assert {place.start_ms for place in view.evidence[key]} <= starts


def test_without_consent_there_are_no_words() -> None:
    view = view_of(role_play_events(), consent=Consent())
    assert not view.has_words
    assert not view.has_sound
    assert view.why_no_sound == "no_consent"
    assert all(each.turn.text == "" for each in view.turns)
    assert len(view.turns) > 5


def test_with_sound_the_length_covers_it() -> None:
    view = humming_view()
    assert view.has_sound
    assert view.length_ms >= view.recording.manifest.tracks["input"].n_samples // 24
