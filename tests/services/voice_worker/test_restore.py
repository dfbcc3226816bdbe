"""What a session needs to go on, out of its events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.voice_worker.engines.base import Past
from services.voice_worker.restore import SessionOver, restore_session, spec_from_history
from services.voice_worker.session import ResumePoint
from shared.broker import Broker
from shared.events import (
    Body,
    CoachToVoice,
    Consent,
    ConsentChanged,
    Event,
    SessionEnded,
    SessionStarted,
    Spoken,
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
    assert (spec.mode, spec.seed, spec.past) == (None, None, None)


def test_the_spec_says_who_decides_the_words() -> None:
    spec = spec_from_history(events(replace(STARTED, mode="scripted", seed=0)), SID, "echo", ResumePoint())
    assert (spec.mode, spec.seed) == ("scripted", 0)


def test_a_session_without_beginning_or_with_an_end_is_refused() -> None:
    with pytest.raises(SessionOver, match="no beginning"):
        spec_from_history([], SID, "echo", ResumePoint())
    with pytest.raises(SessionOver, match="already ended"):
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


async def _talked(broker: Broker, n_in: int, n_out: int) -> tuple[list[AudioFrame], list[AudioFrame]]:
    """As if the client had sent `n_in` frames and got `n_out` back; return both."""
    keys = broker.keys(SID)
    for event in events(
        STARTED, Spoken("h1", " Hello", 80), TurnStarted("u1", "user", 90), Spoken("h1", " there.", 160)
    ):
        broker.publish_event(keys, event)
    sent = [AudioFrame(seq, 1920, (b"in", b"%d" % seq)) for seq in range(n_in)]
    for frame in sent:
        broker.publish_audio(keys.audio_in, frame)
    assert await broker.writer.drain()
    ids = [entry_id.decode() for entry_id, _ in await broker.client.xrange(keys.audio_in)]
    given = [AudioFrame(seq, 1920, (b"out",), epoch=1, consumed=ids[seq]) for seq in range(n_out)]
    for frame in given:
        broker.publish_audio(keys.audio_out, frame)
    assert await broker.writer.drain()
    return sent, given


async def test_the_past_of_a_session_ends_where_the_new_owner_goes_on(broker: Broker) -> None:
    sent, given = await _talked(broker, 9, 6)
    spec, resume = await restore_session(broker, SID, "echo", taken_over=True, history_s=90)
    assert spec.past == Past(tuple(sent[:6]), tuple(given), ((1, "Hello"), (3, "there.")))
    assert (spec.start_frame, resume.next_seq) == (6, 6)


async def test_no_more_of_the_past_is_read_than_the_engine_wants(broker: Broker) -> None:
    sent, given = await _talked(broker, 9, 6)
    spec, _ = await restore_session(broker, SID, "echo", taken_over=True, history_s=0.25)
    assert spec.past is not None
    assert (spec.past.input, spec.past.output) == (tuple(sent[3:6]), tuple(given[3:]))


async def test_who_needs_no_past_gets_none(broker: Broker) -> None:
    await _talked(broker, 2, 2)
    for taken_over, history_s in ((True, 0.0), (False, 90.0)):
        spec, _ = await restore_session(broker, SID, "echo", taken_over=taken_over, history_s=history_s)
        assert spec.past is None


async def test_a_session_that_nothing_was_given_back_in_has_no_sound_behind_it(broker: Broker) -> None:
    await _talked(broker, 3, 0)
    spec, _ = await restore_session(broker, SID, "echo", taken_over=True, history_s=90)
    assert spec.past is not None
    assert (spec.past.input, spec.past.output) == ((), ())


async def test_what_cannot_be_read_of_the_past_is_passed_over(broker: Broker) -> None:
    keys = broker.keys(SID)
    broker.writer.add(keys.audio_in, b"garbage", maxlen=10)
    broker.writer.add(keys.audio_out, b"garbage", maxlen=10)
    assert await broker.writer.drain()
    await broker.client.xadd(keys.audio_out, {"other": "field"})
    await broker.client.xadd(keys.audio_in, {"other": "field"})
    broker.publish_audio(keys.audio_in, AudioFrame(0, 1920, (b"x",)))
    assert await broker.writer.drain()
    (last,) = await broker.client.xrevrange(keys.audio_in, count=1)
    broker.publish_event(keys, events(STARTED)[0])
    broker.publish_audio(keys.audio_out, AudioFrame(4, 1920, (b"y",), consumed=last[0].decode()))
    assert await broker.writer.drain()
    spec, _ = await restore_session(broker, SID, "echo", taken_over=True, history_s=90)
    assert spec.past is not None
    assert ([frame.seq for frame in spec.past.input], [frame.seq for frame in spec.past.output]) == ([0], [4])


async def test_a_new_owner_goes_on_behind_the_newest_frame_not_behind_the_last(broker: Broker) -> None:
    """An owner that froze writes what it had in hand behind its successor, with its old epoch."""
    keys = broker.keys(SID)
    broker.publish_event(keys, events(STARTED)[0])
    for seq, epoch in ((0, 1), (1, 2), (2, 2), (1, 1)):
        broker.publish_audio(keys.audio_out, AudioFrame(seq, 1920, (b"x",), epoch=epoch, consumed=f"7-{seq}"))
    assert await broker.writer.drain()
    _, resume = await restore_session(broker, SID, "echo", taken_over=True)
    assert (resume.consumed, resume.next_seq) == ("7-2", 3)


async def test_the_user_is_heard_again_since_the_open_turn_began(broker: Broker) -> None:
    keys = broker.keys(SID)
    sent, _ = await _talked(broker, 90, 80)
    broker.publish_event(keys, Event("t", SID, "voice", 1, 0, 0, TurnStarted("u2", "user", 80 * 60)))
    assert await broker.writer.drain()
    spec, resume = await restore_session(broker, SID, "echo", taken_over=True)
    assert (spec.user_turns, spec.listen_from_frame, spec.start_frame) == (1, 55, 80)
    assert resume.heard_again == tuple(sent[55:80])
    first, fresh = await restore_session(broker, SID, "echo", taken_over=False)
    assert (first.user_turns, first.listen_from_frame, fresh.heard_again) == (2, 80, ())


async def test_what_hugo_has_not_said_goes_with_the_spec(broker: Broker) -> None:
    await _talked(broker, 4, 2)
    message = CoachToVoice("", "Hello there, who are you?")
    broker.publish_event(broker.keys(SID), Event("c", SID, "coach", 1, 0, 0, message))
    started = TurnStarted("h1", "hugo", 80, "")
    broker.publish_event(broker.keys(SID), Event("h", SID, "voice", 1, 0, 0, started))
    assert await broker.writer.drain()
    spec, _ = await restore_session(broker, SID, "echo", taken_over=True)
    assert (spec.unsaid.turn, spec.unsaid.heard) == ("h1", ("Hello", "there."))
    assert spec.unsaid.rest()[0].response_text == "who are you?"
