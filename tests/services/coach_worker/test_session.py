"""The coach's session handler: greeting, answers, cancelling, restart, consent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.coach_worker import metrics
from services.coach_worker.brain import Brain, BrainName, Heard, Part
from services.coach_worker.policy import PolicyBrain
from services.coach_worker.session import CoachParts, CoachSession
from shared.broker import Broker
from shared.clock import SystemClock
from shared.coaching.conversation import Conversation
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.dead_letters import DeadLetters
from shared.errors import Overloaded
from shared.events import (
    Body,
    CoachToVoice,
    Consent,
    ConsentChanged,
    Event,
    Interrupted,
    Language,
    Prosody,
    Role,
    SessionEnded,
    SessionStarted,
    Timing,
    Transcript,
    VoiceToCoach,
)
from shared.leases import Lease
from shared.session_feed import SessionFeed
from shared.testing.recorder import EventRecorder

SID = "00000000000000000000000001"
STARTED = SessionStarted("cascade", "nl", "nl-NL")


def event(body: Body, source: Role = "voice", media_ms: int = 0, id_: str = "") -> Event:
    return Event(id_ or f"{source}:{body.kind}:{getattr(body, 'turn', '')}", SID, source, 1, media_ms, 0, body)


def turn(number: int, text: str, **prosody: object) -> Event:
    body = VoiceToCoach(f"u{number}", text, Timing(), Prosody(**prosody), False, "nl", 0, 100)  # type: ignore[arg-type]
    return event(body, media_ms=number * 1000)


class GatedBrain:
    """Says one part, waits until it is let on, then says the last."""

    name: BrainName = "llm"

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.cancelled: list[str] = []
        self.heard: list[Heard] = []

    async def greet(self, conversation: Conversation, session_id: str) -> AsyncIterator[Part]:
        yield Part("Hoi.", last=True, plan="move=ask_slot", brain="llm")

    async def answer(self, conversation: Conversation, session_id: str, heard: Heard) -> AsyncIterator[Part]:
        name = heard.turn.turn
        gate = self.gates.setdefault(name, asyncio.Event())
        self.heard.append(heard)
        yield Part(f"Eerste {name}.", brain="llm")
        self.begun.put_nowait(name)
        try:
            await gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        yield Part(f"Laatste {name}.", last=True, brain="llm")


class BrokenBrain(GatedBrain):
    async def answer(self, conversation: Conversation, session_id: str, heard: Heard) -> AsyncIterator[Part]:
        if heard.turn.turn == "u2":
            yield Part("Begin.", brain="llm")
        raise RuntimeError("no thoughts")


def make(recorder: EventRecorder, brain: Brain | None = None) -> CoachSession:
    policy = PolicyBrain()
    parts = CoachParts(load_knowledge(), default_detector(), brain or policy, policy, SystemClock())
    return CoachSession(SID, recorder, parts)


async def settle(session: CoachSession) -> None:
    if session._answer is not None:
        await asyncio.wait({session._answer})


def ids(recorder: EventRecorder) -> list[str]:
    return [event_id for _, event_id, _ in recorder.published]


async def talk(session: CoachSession, *events: Event) -> None:
    for item in events:
        await session.on_event(item)
        await settle(session)


async def test_a_session_begins_with_a_greeting() -> None:
    recorder = EventRecorder()
    session = make(recorder)
    await talk(session, event(STARTED, "edge"))
    said = recorder.of(CoachToVoice)
    assert ids(recorder)[0] == "coach::0"
    assert {body.turn for body in said} == {""}
    assert [body.chunk for body in said] == list(range(len(said)))
    assert said[-1].last
    assert all(body.knowledge_hash == load_knowledge().knowledge_hash for body in said)


async def test_a_turn_is_answered_once_even_if_it_comes_twice() -> None:
    recorder = EventRecorder()
    session = make(recorder)
    await talk(session, event(STARTED, "edge"), turn(1, "Hoe loopt dat vandaag bij u?"))
    before = ids(recorder)
    await talk(session, turn(1, "Hoe loopt dat vandaag bij u?"), event(STARTED, "edge"))
    assert ids(recorder) == before
    answer = [body for body in recorder.of(CoachToVoice) if body.turn == "u1"]
    assert [event_id for event_id in before if event_id.startswith("coach:u1:")] == [
        f"coach:u1:{number}" for number in range(len(answer))
    ]
    assert answer[0].techniques == ("1.4",)
    assert answer[0].phase == 1


async def test_its_own_events_change_nothing() -> None:
    recorder = EventRecorder()
    session = make(recorder)
    await talk(session, event(STARTED, "edge"))
    asked = dict(session.conversation.asked)
    for body, event_id, media_ms in list(recorder.published):
        await session.on_event(event(body, "coach", media_ms, event_id))
    assert session.conversation.asked == asked


async def test_on_event_does_not_wait_for_the_brain_and_a_newer_turn_cancels() -> None:
    recorder, brain = EventRecorder(), GatedBrain()
    session = make(recorder, brain)
    await session.on_event(turn(1, "Eerste zin van mij"))
    assert await brain.begun.get() == "u1"
    await session.on_event(turn(2, "Nog een zin van mij"))
    assert await brain.begun.get() == "u2"
    assert brain.cancelled == ["u1"]
    brain.gates["u1"].set()
    brain.gates["u2"].set()
    await settle(session)
    assert ids(recorder) == ["coach:u1:0", "coach:u2:0", "coach:u2:1"]


async def test_the_first_part_is_published_before_the_rest_is_there() -> None:
    recorder, brain = EventRecorder(), GatedBrain()
    session = make(recorder, brain)
    await session.on_event(turn(1, "Een zin van mij"))
    await brain.begun.get()
    assert [body.last for body in recorder.of(CoachToVoice)] == [False]
    await session.close("lease lost")
    assert brain.cancelled == ["u1"]


async def test_the_end_of_the_session_stops_everything() -> None:
    recorder, brain = EventRecorder(), GatedBrain()
    session = make(recorder, brain)
    await session.on_event(turn(1, "Een zin van mij"))
    await brain.begun.get()
    await session.on_event(event(SessionEnded("client_closed"), "edge"))
    await session.on_event(turn(2, "Te laat"))
    assert ids(recorder) == ["coach:u1:0"]


async def test_a_broken_brain_leaves_the_answer_to_the_policy() -> None:
    recorder = EventRecorder()
    session = make(recorder, BrokenBrain())
    await talk(session, turn(1, "Vertel eens, hoe loopt dat vandaag bij u?"))
    first = recorder.of(CoachToVoice)
    assert first[-1].last
    assert {body.brain for body in first} == {"policy"}
    await talk(session, turn(2, "En wat betekent dat voor u?"))
    second = [body for body in recorder.of(CoachToVoice) if body.turn == "u2"]
    assert [body.brain for body in second] == ["llm", "policy"]
    assert [body.last for body in second] == [False, True]


async def test_emotion_reaches_the_brain_only_with_consent_and_a_lawful_profile() -> None:
    seen = []
    for profile, consent in (("personal_training", True), ("personal_training", False), ("workplace", True)):
        recorder, brain = EventRecorder(), GatedBrain()
        session = make(recorder, brain)
        started = replace(STARTED, profile=profile, consent=Consent(emotion=consent))  # type: ignore[arg-type]
        await session.on_event(event(started, "edge"))
        await session.on_event(turn(1, "Een zin van mij", emotion="frustrated", confidence=0.2, energy=0.9))
        await brain.begun.get()
        await session.on_event(event(ConsentChanged(Consent()), "edge"))
        await session.on_event(turn(2, "Nog een zin", emotion="frustrated", confidence=0.2))
        await brain.begun.get()
        seen.append([item.message.prosody for item in brain.heard])
        await session.close("ended")
    assert seen[0][0] == Prosody(0.2, "frustrated", 0.9)
    assert [prosody.emotion for prosodies in (seen[0][1:], *seen[1:]) for prosody in prosodies] == [None] * 5
    assert seen[2][0].energy == 0.9


async def history_of(*events: Event) -> tuple[list[Event], EventRecorder]:
    """Return a session's stream after the events, with the coach's own in their places."""
    recorder = EventRecorder()
    session = make(recorder)
    stream: list[Event] = []
    for item in events:
        stream.append(item)
        n_before = len(recorder.published)
        await talk(session, item)
        stream += [event(body, "coach", ms, id_) for body, id_, ms in recorder.published[n_before:]]
    await session.close("handed over")
    return stream, recorder


LINES = [
    event(STARTED, "edge"),
    turn(1, "Ik verkoop koffiemachines."),
    turn(2, "Aan kantoren."),
    turn(3, "In de horeca."),
]


async def test_a_restored_session_says_nothing_that_was_said_and_goes_on_alike() -> None:
    stream, _ = await history_of(*LINES)
    recorder = EventRecorder()
    session = make(recorder)
    session.restore(stream)
    await settle(session) if session._answer else None
    assert recorder.published == []
    await talk(session, turn(4, "Vertel eens, hoe loopt dat vandaag bij u?"))
    _, unbroken = await history_of(*LINES, turn(4, "Vertel eens, hoe loopt dat vandaag bij u?"))
    expected = [item for item in unbroken.published if item[1].startswith("coach:u4")]
    assert [item[:2] for item in recorder.published] == [item[:2] for item in expected]


async def test_only_the_newest_open_turn_is_answered_after_a_restart() -> None:
    recorder = EventRecorder()
    session = make(recorder)
    session.restore([event(STARTED, "edge"), turn(1, "Ik verkoop koffiemachines."), turn(2, "Aan kantoren.")])
    await settle(session)
    assert {body.turn for body in recorder.of(CoachToVoice)} == {"u2"}


async def test_a_session_that_was_never_greeted_is_greeted() -> None:
    recorder = EventRecorder()
    session = make(recorder)
    session.restore([event(STARTED, "edge")])
    await settle(session)
    assert ids(recorder)[0] == "coach::0"


@pytest.mark.parametrize("kept", [1, 2])
async def test_half_an_answer_is_finished_with_the_same_words(kept: int) -> None:
    stream, recorder = await history_of(*LINES)
    whole = [body for body in recorder.of(CoachToVoice) if body.turn == "u3"]
    n_own = len(whole)
    assert n_own > kept
    cut = stream[: len(stream) - (n_own - kept)]
    again = EventRecorder()
    session = make(again)
    session.restore(cut)
    assert [body.response_text for body in again.of(CoachToVoice)] == [body.response_text for body in whole[kept:]]
    assert ids(again)[0] == f"coach:u3:{kept}"


async def test_half_an_answer_of_a_model_gets_one_last_part_and_no_second_question() -> None:
    stream, _ = await history_of(*LINES[:2])
    question = CoachToVoice("u2", "Wat bedoel je daar mee?", chunk=0, last=False, brain="llm")
    recorder = EventRecorder()
    session = make(recorder)
    session.restore([*stream, LINES[2], event(question, "coach", id_="coach:u2:0")])
    said = recorder.of(CoachToVoice)
    assert ids(recorder) == ["coach:u2:1"]
    assert said[0].last
    assert "?" not in said[0].response_text


async def test_an_interrupted_customer_line_was_not_heard() -> None:
    recorder = EventRecorder()
    session = make(recorder)
    await talk(session, event(STARTED, "edge"), turn(1, "Vertel eens, hoe loopt dat vandaag bij u?"))
    answer = [body for body in recorder.of(CoachToVoice) if body.turn == "u1"]
    assert any("klant" in body.response_text for body in answer)
    heard = answer[0].response_text
    await talk(
        session,
        event(Interrupted("h2", "user", 900, heard, "…")),
        event(Transcript("h2", "hugo", heard, True, 0, 900, "nl")),
        turn(2, "Wacht, ik doe het opnieuw, hoe loopt dat bij u?"),
    )
    assert session.conversation.turns[-1].attitude is None
    assert session.conversation.lines[-2].text == heard


@pytest.mark.parametrize("language", ["en", "nl"])
async def test_the_last_part_tells_a_forgetful_voice_what_was_said(language: Language) -> None:
    recorder = EventRecorder()
    session = make(recorder)
    said = {"en": "I sell coffee machines to offices.", "nl": "Ik verkoop koffiemachines aan kantoren."}[language]
    message = turn(1, said)
    assert isinstance(message.body, VoiceToCoach)
    spoken = replace(message, body=replace(message.body, language=language))
    await talk(session, event(replace(STARTED, language=language, locale=""), "edge"), spoken)
    greeting = [body.summary for body in recorder.of(CoachToVoice) if body.turn == ""]
    answer = [body.summary for body in recorder.of(CoachToVoice) if body.turn == "u1"]
    assert set(greeting) == {""}
    assert set(answer[:-1]) <= {""}
    assert ("The seller said last: I sell coffee machines to offices." in answer[-1]) == (language == "en")
    assert (answer[-1] == "") == (language == "nl")


async def test_a_turn_that_makes_the_coach_fail_costs_only_its_own_answer(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = Conversation.apply

    def fails(self: Conversation, given: Event) -> None:
        if isinstance(given.body, VoiceToCoach) and given.body.turn == "u2":
            raise ValueError("cannot be understood")
        apply(self, given)

    monkeypatch.setattr(Conversation, "apply", fails)
    keys, policy = broker.keys(SID), PolicyBrain()
    parts = CoachParts(load_knowledge(), default_detector(), policy, policy, SystemClock())
    feed = SessionFeed(
        broker,
        "coach",
        Lease("sb:coach", "1-0", 1, SID),
        lambda session_id, publisher: CoachSession(session_id, publisher, parts),
        asyncio.Lock(),
    )

    async def answered(name: str) -> list[CoachToVoice]:
        async with asyncio.timeout(10):
            while True:
                said = [e.body for e in (await broker.history(SID))[0] if isinstance(e.body, CoachToVoice)]
                if any(body.turn == name and body.last for body in said):
                    return said
                await asyncio.sleep(0)

    broker.publish_event(keys, event(STARTED, "edge"))
    assert await broker.writer.drain()
    task = asyncio.create_task(feed.run())
    await answered("")
    broker.publish_event(keys, turn(1, "Wat zijn uw grootste uitdagingen?"))
    broker.publish_event(keys, turn(2, "En wat nog?"))
    broker.publish_event(keys, turn(3, "Hoe gaat u daar nu mee om?"))
    said = await answered("u3")
    broker.publish_event(keys, event(SessionEnded("client_closed"), "edge"))
    async with asyncio.timeout(10):
        await task
    await feed.close("ended")
    assert {body.turn for body in said} >= {"", "u3"}
    assert "u2" not in {body.turn for body in said}
    ((_, letter),) = await DeadLetters(broker.client).all()
    assert (letter.about, letter.attempts) == ("voice_to_coach", 3)


async def test_an_answer_that_the_broker_cannot_take_is_counted() -> None:
    class FullBroker(EventRecorder):
        def publish(self, body: Body, *, event_id: str, media_ms: int) -> None:
            raise Overloaded("too much waits for Redis")

    before = metrics.UNPUBLISHED._value.get()
    session = make(FullBroker())
    await talk(session, event(STARTED, "edge"))
    assert session._answer is not None
    assert session._answer.exception() is None
    assert metrics.UNPUBLISHED._value.get() == before + 1
