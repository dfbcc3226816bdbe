from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from services.evaluator.evaluation import Evaluation, evaluate_events, scorecard_bytes
from shared.coaching.detector import default_detector
from shared.events import (
    Event,
    Prosody,
    ProsodyMeasured,
    SessionEnded,
    SessionStarted,
    Transcript,
    TurnEnded,
    VoiceToCoach,
)
from shared.wire import decode_event, encode_event, event_to_json

FIXTURE = Path(__file__).parents[2] / "fixtures" / "events" / "role_play.jsonl"


def metric(data: dict[str, Any], name: str) -> Any:
    return next(entry["value"] for entry in data["metrics"] if entry["name"] == name)


def test_the_fixture_is_what_its_maker_writes(maker: ModuleType) -> None:
    lines = [json.dumps(event_to_json(event), ensure_ascii=False, sort_keys=True) for event in maker.role_play()]
    assert FIXTURE.read_text(encoding="utf-8") == "\n".join(lines) + "\n"


def test_the_role_play_is_judged_as_its_writer_meant_it(role_play: list[Event]) -> None:
    data = evaluate_events(role_play).data
    verdicts = {entry["turn"]: (entry["techniques"], entry["quality"]) for entry in data["turns"]}
    assert verdicts["u1"] == (["1.1"], "ok")
    assert verdicts["u2"] == (["1.2"], "ok")
    assert verdicts["u5"] == (["3.2"], "missed")  # a pitch before the customer's yes
    assert verdicts["u6"] == (["2.3"], "ok")
    assert verdicts["u7"] == (["2.4"], "ok")
    assert data["gate"] == {"asked": True, "committed": True, "passed_early": ["u5"]}
    assert data["turns"][-1]["is_final"] is False
    assert metric(data, "interruptions_by_user") == 1
    assert metric(data, "pauses_in_user_turns") == 1
    assert metric(data, "talk_share") == pytest.approx(0.55, abs=0.01)
    assert data["session"]["end_reason"] == "client_closed"


def test_the_phases_of_the_talk_share_come_from_the_verdicts(role_play: list[Event]) -> None:
    """Phase 1 once more from the raw events: user turns with a scored verdict in it, and Hugo until the next."""
    data = evaluate_events(role_play).data
    ended = {event.body.turn: event.body for event in role_play if isinstance(event.body, TurnEnded)}
    turns = data["turns"]
    phase = {entry["turn"]: entry["phase"] for entry in turns if entry["is_scored"]}
    user = hugo = 0
    for entry, after in pairwise(turns):
        if phase.get(entry["turn"]) == 1:
            user += ended[entry["turn"]].end_ms - ended[entry["turn"]].start_ms
            hugo += sum(
                max(0, min(after["start_ms"], body.end_ms) - max(entry["start_ms"], body.start_ms))
                for body in ended.values()
                if body.speaker == "hugo"
            )
    pause, acknowledged = 680, 300  # a silence within u2, and the "ja" during Hugo's story
    user += acknowledged - pause
    assert [phase.get(f"u{n}") for n in range(1, 5)] == [1, 1, 1, 2]
    assert metric(data, "talk_share_phase_1") == round(user / (user + hugo), 4)
    assert metric(data, "talk_share_phase_4") is None


def test_evidence_is_quoted_from_the_turn(role_play: list[Event]) -> None:
    said = {event.body.turn: event.body.text for event in role_play if isinstance(event.body, Transcript)}
    quoted = [entry for entry in evaluate_events(role_play).data["turns"] if entry["evidence"]]
    assert len(quoted) >= 7
    assert all(entry["evidence"] in said[entry["turn"]] for entry in quoted)


def test_the_same_events_give_the_same_bytes(role_play: list[Event]) -> None:
    once = scorecard_bytes(role_play)
    assert scorecard_bytes(iter(role_play)) == once
    assert scorecard_bytes([event for event in role_play for _ in range(2)]) == once  # each delivered twice
    assert scorecard_bytes([decode_event(encode_event(event)) for event in role_play]) == once


def test_looking_at_it_on_the_way_changes_nothing(role_play: list[Event]) -> None:
    once = scorecard_bytes(role_play)
    for seed in range(3):
        dice = random.Random(seed)
        evaluation = Evaluation(default_detector())
        for event in role_play:
            evaluation.add(event)
            if evaluation.is_due:
                evaluation.score()
            if dice.random() < 0.3:
                evaluation.metrics()
        assert evaluation.scorecard().to_bytes() == once


def test_wall_time_and_trace_do_not_matter(role_play: list[Event]) -> None:
    moved = [replace(event, wall_ms=event.wall_ms + 86_400_000, trace="t") for event in role_play]
    assert scorecard_bytes(moved) == scorecard_bytes(role_play)


def without_emotion(event: Event) -> Event:
    body = event.body
    if isinstance(body, VoiceToCoach | ProsodyMeasured):
        return replace(event, body=replace(body, prosody=Prosody(energy=body.prosody.energy)))
    return event


def test_emotion_never_enters_a_score(role_play: list[Event]) -> None:
    angry = [
        replace(
            event, body=replace(event.body, prosody=replace(event.body.prosody, emotion="frustrated", confidence=0))
        )
        if isinstance(event.body, VoiceToCoach | ProsodyMeasured)
        else event
        for event in role_play
    ]
    bare = [without_emotion(event) for event in role_play]
    assert bare != role_play
    assert scorecard_bytes(bare) == scorecard_bytes(role_play) == scorecard_bytes(angry)


def test_what_stands_behind_the_end_belongs_to_nobody(role_play: list[Event]) -> None:
    last = role_play[-1]
    assert isinstance(last.body, SessionEnded)
    late = Transcript("u9", "user", "Negentig euro per rit, alles inbegrepen.", True, 98_250, 101_000, "nl")
    more = [*role_play, replace(last, id="voice:transcript:u9:final", source="voice", epoch=2, body=late)]
    assert scorecard_bytes(more) == scorecard_bytes(role_play)


def test_fillers_never_lower_a_technique_score(scene: Any, maker: ModuleType) -> None:
    plain, hesitant = maker.Scene("nl", "nl-NL"), maker.Scene("nl", "nl-NL")
    for target, filler in ((plain, ""), (hesitant, "Euh, ")):
        target.start()
        end = target.hugo(1, 500, "We verliezen een dag per maand aan bonnetjes.")
        target.user(1, end + 800, f"{filler}Een dag per maand. En wat betekent dat concreet voor jou, die dag?")
        target.end(30_000)
    first, second = (evaluate_events(target.events).data for target in (plain, hesitant))
    assert first["turns"][0]["techniques"] == ["2.3"]
    for key in ("techniques", "quality", "phase", "errors"):
        assert first["turns"][0][key] == second["turns"][0][key]


def test_an_acknowledgement_gets_no_verdict(scene: Any) -> None:
    end = scene.hugo(1, 500, "Dat is bij ons elke week zo.")
    scene.user(1, end + 100, "Ja ja", word_ms=200)
    scene.end(9_000)
    assert evaluate_events(scene.events).data["turns"] == []


def test_a_session_without_a_word_has_a_card_without_figures(scene: Any) -> None:
    scene.end(1_000)
    data = evaluate_events(scene.events).data
    assert [entry["value"] for entry in data["metrics"]] == [None] * len(data["metrics"])
    assert data["totals"]["overall"] is None
    assert data["structure"]["score"] is None


def test_missing_ends_are_noted(role_play: list[Event]) -> None:
    headless = [event for event in role_play if not isinstance(event.body, SessionStarted | SessionEnded)]
    notes = " ".join(evaluate_events(headless).data["notes"])
    assert "beginning of the session is missing" in notes
    assert "has not ended" in notes
    assert "beginning" not in " ".join(evaluate_events(role_play).data["notes"])
