"""Ids, order and content of a turn's events."""

from __future__ import annotations

import numpy as np
import pytest

from services.voice_worker.listener.delivery import Delivery
from services.voice_worker.listener.recognition import Request
from services.voice_worker.listener.turn_events import TurnEvents
from services.voice_worker.listener.utterance import Utterance
from services.voice_worker.signals import Signal, UserTurnComplete
from services.voice_worker.speech.interfaces import Recognition
from shared.events import Body, Consent, TurnEnded

REQUEST = Request(1, "final", 1, 0, 4_000, np.zeros(64_000, dtype=np.float32))


class Spoken:
    def __init__(self) -> None:
        self.events: list[tuple[str, str, int]] = []
        self.bodies: list[Body] = []
        self.signals: list[Signal] = []
        delivery = Delivery("nl", "", "workplace", Consent())
        self.events_of = TurnEvents("nl", delivery, self.emit, self.signals.append)
        self.u = Utterance(1, 300, delivery.begin(300), turn="u2", end_ms=3_500, interrupt=True)

    def emit(self, body: Body, event_id: str, media_ms: int) -> None:
        self.bodies.append(body)
        self.events.append((body.kind, event_id, media_ms))


def test_a_recognised_turn_reaches_the_coach_before_the_engine_is_told() -> None:
    spoken = Spoken()
    spoken.events_of.recognised(spoken.u, Recognition(" Hallo daar "), REQUEST, 4_000)
    assert spoken.events == [
        ("transcript", "voice:transcript:u2:final", 4_000),
        ("prosody", "voice:prosody:u2:final", 4_000),
        ("voice_to_coach", "voice:to_coach:u2", 4_000),
    ]
    assert spoken.signals == [UserTurnComplete("u2", 300, 3_500, "Hallo daar", True, False)]


@pytest.mark.parametrize(
    ("heard", "ids"),
    [
        (Recognition("  "), []),
        (None, ["voice:prosody:u2:final", "voice:notice:recognition_failed:u2"]),
    ],
)
def test_without_text_the_coach_is_not_asked_but_the_engine_knows(heard: Recognition | None, ids: list[str]) -> None:
    spoken = Spoken()
    spoken.events_of.recognised(spoken.u, heard, REQUEST, 4_000)
    assert [event_id for _, event_id, _ in spoken.events] == ids
    assert spoken.signals == [UserTurnComplete("u2", 300, 3_500, "", True, False)]


def test_partials_are_numbered_and_empty_ones_are_not_told() -> None:
    spoken = Spoken()
    for text in ("Hal", "", "Hallo daar"):
        spoken.events_of.partial(spoken.u, Recognition(text), REQUEST, 2_000)
    assert [event_id for _, event_id, _ in spoken.events] == ["voice:transcript:u2:p1", "voice:transcript:u2:p2"]


@pytest.mark.parametrize(("closing", "reason"), [(False, "complete"), (True, "session_ended")])
def test_the_end_of_a_turn_says_why(closing: bool, reason: str) -> None:
    spoken = Spoken()
    spoken.events_of.ended(spoken.u, 4_000, closing)
    (body,) = spoken.bodies
    assert isinstance(body, TurnEnded)
    assert (body.turn, body.reason, body.start_ms, body.end_ms) == ("u2", reason, 300, 3_500)


def test_a_backchannel_is_named_by_its_time() -> None:
    spoken = Spoken()
    spoken.events_of.backchannel(" Ja. ", 5_120, 5_400, 6_000)
    assert spoken.events == [("backchannel", "voice:backchannel:user:5120", 6_000)]
