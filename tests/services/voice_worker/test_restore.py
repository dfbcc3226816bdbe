"""What a session needs to go on, out of its events."""

from __future__ import annotations

import pytest

from services.voice_worker.restore import restore_session, spec_from_history
from services.voice_worker.session import ResumePoint
from shared.broker import Broker
from shared.errors import EngineError
from shared.events import (
    Body,
    Consent,
    ConsentChanged,
    Event,
    SessionEnded,
    SessionStarted,
    TurnStarted,
)
from shared.streams import new_session_id
from shared.wire import AudioFrame

SID = new_session_id(1)


def events(*bodies: Body) -> list[Event]:
    return [Event(f"e{n}", SID, "edge", 0, n, 0, body) for n, body in enumerate(bodies)]


STARTED = SessionStarted("echo", "nl", locale="nl-BE", voice="sara", persona="short", consent=Consent(emotion=True))


def test_the_spec_is_what_the_session_asked_for_with_its_last_consent_and_turns() -> None:
    history = events(
        STARTED,
        TurnStarted("h1", "hugo", 0),
        TurnStarted("u1", "user", 10),
        TurnStarted("u2", "user", 20),
        ConsentChanged(Consent(store_audio=True)),
    )
    spec = spec_from_history(history, SID, "echo", ResumePoint("1-1", 40, "5-0"))
    assert (spec.language, spec.locale, spec.voice, spec.persona) == ("nl", "nl-BE", "sara", "short")
    assert spec.consent == Consent(store_audio=True)
    assert (spec.user_turns, spec.hugo_turns, spec.start_frame) == (2, 1, 40)


def test_a_session_without_beginning_or_with_an_end_is_refused() -> None:
    with pytest.raises(EngineError, match="no beginning"):
        spec_from_history([], SID, "echo", ResumePoint())
    with pytest.raises(EngineError, match="already ended"):
        spec_from_history(events(STARTED, SessionEnded("idle")), SID, "echo", ResumePoint())


async def test_a_new_owner_goes_on_behind_what_was_consumed(broker: Broker) -> None:
    keys = broker.keys(SID)
    for event in events(STARTED):
        broker.publish_event(keys, event)
    for seq in range(3):
        broker.publish_audio(keys.audio_out, AudioFrame(seq, 1920, (b"x",), epoch=1, consumed=f"7-{seq}"))
    assert await broker.writer.drain()
    _, first = await restore_session(broker, SID, "echo", taken_over=False)
    assert (first.consumed, first.next_seq, first.events_after) == ("7-2", 3, "0")
    _, later = await restore_session(broker, SID, "echo", taken_over=True)
    assert later.events_after != "0"


async def test_an_unreadable_last_frame_begins_anew_rather_than_failing(broker: Broker) -> None:
    keys = broker.keys(SID)
    broker.publish_event(keys, events(STARTED)[0])
    broker.writer.add(keys.audio_out, b"garbage", maxlen=10)
    assert await broker.writer.drain()
    _, resume = await restore_session(broker, SID, "echo", taken_over=True)
    assert (resume.consumed, resume.next_seq) == ("0", 0)
