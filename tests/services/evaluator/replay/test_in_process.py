"""A replay in process gives the live bytes, whatever the id, the wall clock and what the evaluator said itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from services.evaluator.evaluation import scorecard_bytes
from services.evaluator.replay.in_process import Recorded, Replayed, beside_recorded, events_for_evaluator, replay
from services.evaluator.scorecard import canonical_json
from shared.events import Event, ScorecardReady, SessionEnded
from tests.services.evaluator.replay.conftest import LiveSession


def published(stream: list[Event]) -> bytes:
    return canonical_json(next(e.body.scorecard for e in stream if isinstance(e.body, ScorecardReady)))


def test_the_replay_equals_the_live_session(live: LiveSession) -> None:
    recorded = Recorded(live.session_id, tuple(live.stream), published(live.stream))
    replayed = replay(recorded)
    assert (replayed.agreement, replayed.differing()) == ("equal", [])
    assert replayed.card == published(live.stream) == scorecard_bytes(live.stream)


@pytest.mark.parametrize("number", range(12))
def test_each_of_many_talks_replays_equal(talk_of: Callable[[int], list[Event]], number: int) -> None:
    session = LiveSession(talk_of(number))
    assert replay(Recorded(session.session_id, tuple(session.stream))).agreement == "equal"


def test_neither_id_nor_wall_clock_come_to_stand_in_the_card(live: LiveSession) -> None:
    moved = [replace(e, session_id="0" * 26, wall_ms=e.wall_ms + 86_400_000, trace="t") for e in live.stream]
    assert replay(Recorded("0" * 26, tuple(moved))).card == published(live.stream)


def test_the_evaluators_own_events_are_not_fed(live: LiveSession, role_play: list[Event]) -> None:
    assert list(events_for_evaluator(live.stream)) == role_play
    assert {event.source for event in live.stream} > {event.source for event in role_play}


def test_what_stands_behind_the_end_changes_nothing(live: LiveSession, role_play: list[Event]) -> None:
    end = next(i for i, e in enumerate(role_play) if isinstance(e.body, SessionEnded))
    late = replace(role_play[end - 1], id="late", media_ms=role_play[end].media_ms + 80)
    assert replay(Recorded("x", (*role_play, late))).card == published(live.stream)


def test_a_card_that_differs_is_told_by_its_fields(live: LiveSession) -> None:
    other = json.loads(published(live.stream))
    other["totals"]["overall"] += 1
    other["turns"][2]["quality"] = "other"
    kept = canonical_json(other)
    replayed = replay(Recorded(live.session_id, tuple(live.stream), kept))
    assert replayed.agreement == "differs"
    third = other["turns"][2]["turn"]
    assert replayed.differing() == ["totals.overall", f"turns[{third}].quality"]


def test_without_a_recorded_card_there_is_nothing_to_compare(role_play: list[Event]) -> None:
    replayed = replay(Recorded("x", tuple(role_play)))
    assert (replayed.agreement, replayed.differing()) == ("not_recorded", [])


def test_bytes_that_are_no_card_differ_too(role_play: list[Event]) -> None:
    assert beside_recorded(Recorded("x", tuple(role_play), b"{"), b"{}").differing() == ["the whole"]
    spaced = Replayed("x", b'{"a":1}', kept=b'{"a": 1}')
    assert (spaced.agreement, spaced.differing()) == ("differs", ["the bytes, not the values"])
