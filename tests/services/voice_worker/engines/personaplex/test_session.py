"""Steering on the tiny model: the coach's words are said, an interruption cuts them, and both are told truly."""

from __future__ import annotations

import asyncio

from services.voice_worker.engines.personaplex.slot import FrameOut
from services.voice_worker.signals import (
    AcknowledgementFits,
    BargeInCandidate,
    FalseInterruption,
    InterruptionConfirmed,
    UserSpeechStarted,
    UserTurnComplete,
)
from shared.events import (
    CoachToVoice,
    DeliveryHints,
    Interrupted,
    Notice,
    Pause,
    Spoken,
    Transcript,
    TurnEnded,
    TurnStarted,
)
from shared.wire import AudioFrame
from tests.services.voice_worker.engines.personaplex.conftest import Caller, MakeEngine

SENTENCE = "What do you sell to them?"
LONG = "First we listen, then we plan, then we build, and at the end we measure."


def said(caller: Caller) -> str:
    return "".join(body.text for body in caller.host.of(Spoken)).strip()


async def test_the_coachs_words_are_said_in_order_and_become_the_transcript(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine(mode="scripted")).open()
    caller.session.on_coach(CoachToVoice("u1", "Right.", chunk=0, last=False))
    caller.session.on_coach(CoachToVoice("u1", SENTENCE, chunk=1))
    await caller.talk_until(lambda: caller.host.of(TurnEnded))
    assert said(caller) == f"Right. {SENTENCE}"
    final = next(body for body in caller.host.of(Transcript) if body.final)
    assert (final.text, final.speaker, final.turn) == (f"Right. {SENTENCE}", "hugo", "h1")
    started, ended = caller.host.of(TurnStarted)[0], caller.host.of(TurnEnded)[0]
    assert started.start_ms < final.end_ms <= ended.end_ms
    assert caller.host.speaking[:2] == [True, False]


async def test_a_sentence_that_comes_twice_is_said_once(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine(mode="scripted")).open()
    for _ in range(2):
        caller.session.on_coach(CoachToVoice("u1", "Right."))
    await caller.talk_until(lambda: caller.host.of(TurnEnded))
    await caller.talk(40)
    assert said(caller) == "Right."


async def test_pace_changes_how_long_it_takes(make_engine: MakeEngine) -> None:
    engine = await make_engine(mode="scripted", slots=2)
    lengths = []
    for number, pace in enumerate(("fast", "slow")):
        caller = await Caller(engine, number=number + 1).open()
        caller.session.on_coach(CoachToVoice("u1", LONG, DeliveryHints(pacing=pace)))
        await caller.talk_until(lambda caller=caller: "measure." in said(caller))  # type: ignore[misc]
        words = caller.host.of(Spoken)
        lengths.append(words[-1].start_ms - words[0].start_ms)
    assert lengths[1] > 1.4 * lengths[0]


async def test_who_takes_the_floor_cuts_the_script_and_it_is_told_what_was_heard(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine(mode="scripted")).open()
    caller.session.on_coach(CoachToVoice("u1", LONG, last=False))
    await caller.talk_until(lambda: "then we" in said(caller))
    caller.session.on_signal(UserSpeechStarted(2, 0, True))
    caller.session.on_signal(BargeInCandidate(2, 0))
    await caller.talk(3)
    heard = said(caller)
    caller.session.on_signal(InterruptionConfirmed(2, "u2", 0))
    caller.session.on_coach(CoachToVoice("u1", "And so on.", chunk=1))
    await caller.talk(40)
    assert said(caller) == heard
    cut = caller.host.of(Interrupted)[0]
    assert (cut.heard_text, f"{cut.heard_text} {cut.dropped_text}") == (heard, LONG)
    ended = caller.host.of(TurnEnded)[0]
    assert (ended.reason, ended.turn) == ("interrupted", "h1")
    assert caller.host.of(Transcript)[-1].text == heard


async def test_a_cough_only_holds_it_up(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine(mode="scripted")).open()
    caller.session.on_coach(CoachToVoice("u1", LONG))
    await caller.talk_until(lambda: "First we" in said(caller))
    caller.session.on_signal(BargeInCandidate(2, 0))
    await caller.talk(20)
    so_far = said(caller)
    assert so_far != LONG
    caller.session.on_signal(FalseInterruption(2, 0))
    caller.session.on_signal(AcknowledgementFits(0))
    await caller.talk_until(lambda: said(caller) == LONG)
    assert caller.host.of(Interrupted) == []


async def test_what_must_be_heard_is_not_interrupted(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine(mode="scripted")).open()
    caller.session.on_coach(CoachToVoice("u1", LONG, allow_interrupt=False))
    await caller.talk_until(lambda: "First" in said(caller))
    caller.session.on_signal(BargeInCandidate(2, 0))
    caller.session.on_signal(InterruptionConfirmed(2, "u2", 0))
    await caller.talk_until(lambda: said(caller) == LONG)


async def test_what_is_left_of_an_answer_that_must_be_heard_is_said_too(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine(mode="scripted")).open()
    caller.session.on_coach(CoachToVoice("u1", "Listen well.", allow_interrupt=False, last=False))
    await caller.talk_until(lambda: "Listen" in said(caller))
    caller.session.on_signal(InterruptionConfirmed(2, "u2", 0))
    caller.session.on_coach(CoachToVoice("u1", "Now you.", allow_interrupt=False, chunk=1))
    await caller.talk_until(lambda: said(caller) == "Listen well. Now you.")


async def test_a_last_sentence_without_sound_ends_the_turn(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine(mode="scripted")).open()
    caller.session.on_coach(CoachToVoice("u1", "Right.", last=False))
    caller.session.on_coach(CoachToVoice("u1", "…", chunk=1))
    await caller.talk_until(lambda: caller.host.of(TurnEnded))
    assert not caller.session.seat.talk._player.speaking


async def test_a_turn_that_is_open_at_the_end_is_told(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine(mode="scripted")).open()
    caller.session.on_coach(CoachToVoice("u1", LONG))
    await caller.talk_until(lambda: "First we" in said(caller))
    await caller.session.close()
    assert caller.host.of(Transcript)[-1].text == said(caller)
    assert caller.host.of(TurnEnded)[-1].reason == "session_ended"


async def test_the_models_own_words_can_be_interrupted(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine(padding_bonus=0.0), seed=1).open()
    await caller.talk_until(lambda: len(said(caller).split()) > 3)
    caller.session.on_signal(InterruptionConfirmed(1, "u1", 0))
    await caller.talk_until(lambda: caller.host.of(Interrupted))
    assert caller.host.of(Interrupted)[0].dropped_text == ""
    assert caller.host.of(TurnEnded)[0].reason == "interrupted"


async def test_a_pause_that_the_coach_wants_does_not_end_the_turn(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine(mode="scripted")).open()
    hints = DeliveryHints(pauses=[Pause("sell", 1.5)])
    caller.session.on_coach(CoachToVoice("u1", SENTENCE, hints))
    await caller.talk_until(lambda: caller.host.of(TurnEnded))
    assert said(caller) == SENTENCE


async def test_an_answer_to_an_older_turn_is_not_said(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine(mode="scripted")).open()
    caller.session.on_signal(UserTurnComplete("u2", 0, 10, "New words.", False, False))
    caller.session.on_coach(CoachToVoice("u1", "Too late."))
    caller.session.on_coach(CoachToVoice("u2", "In time."))
    await caller.talk_until(lambda: caller.host.of(TurnEnded))
    assert said(caller) == "In time."


async def test_in_free_mode_the_coach_is_not_heard(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine(padding_bonus=50.0), mode="free").open()
    caller.session.on_coach(CoachToVoice("u1", SENTENCE))
    await caller.talk(60)
    assert "sell" not in said(caller)


async def test_in_guided_mode_the_model_talks_until_the_coach_has_something(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine(padding_bonus=0.0), seed=1).open()
    await caller.talk_until(lambda: said(caller))
    caller.session.on_coach(CoachToVoice("u1", SENTENCE))
    await caller.talk_until(lambda: SENTENCE in said(caller))


async def test_packets_that_are_none_are_answered_all_the_same(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine()).open()
    await caller.talk(2)
    caller.session.feed(AudioFrame(2, 1920, (b"\xff\xff\xff", b"")), "1-2")
    caller.session.feed(AudioFrame(3, 1920, ()), "1-3")
    await caller.host.wait_for_frames(4)
    assert [consumed for _, _, consumed in caller.host.frames] == ["1-0", "1-1", "1-2", "1-3"]


async def test_frames_that_nobody_can_decode_in_time_are_answered(make_engine: MakeEngine) -> None:
    """The codec thread's queue is full: the frame is not heard, but it is answered with the next one."""
    caller = await Caller(await make_engine()).open()
    tools = caller.session._tools
    await caller.talk(1)
    tools.codec._limit = 0
    caller.send()
    tools.codec._limit = 4096
    caller.send()
    await caller.host.wait_for_frames(3)
    assert [consumed for _, _, consumed in caller.host.frames] == ["1-0", "1-2", "1-2"]


async def test_a_restart_is_told(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine()).open()
    await caller.talk(2)
    talk = caller.session.seat.talk
    await asyncio.wrap_future(caller.session._tools.loop.call(lambda: setattr(talk, "trouble", "silence")))
    await caller.talk_until(lambda: caller.host.of(Notice))
    assert caller.host.of(Notice)[0].code == "voice_restarted"
    await caller.talk(3)
    assert len(caller.host.frames) == len({consumed for _, _, consumed in caller.host.frames})


async def test_nothing_comes_after_close(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine()).open()
    await caller.talk(2)
    await caller.session.close()
    await caller.session.close()
    caller.session.on_frames([FrameOut(None, "late")])
    caller.send()
    await asyncio.sleep(0)
    assert len(caller.host.frames) == 2


async def test_between_two_sentences_of_an_answer_the_model_says_nothing_of_its_own(make_engine: MakeEngine) -> None:
    caller = await Caller(await make_engine()).open()
    caller.session.on_coach(CoachToVoice("u1", "Right.", last=False))
    await caller.talk_until(lambda: "Right." in said(caller))
    so_far = said(caller)
    await caller.talk(20)
    assert said(caller) == so_far
    caller.session.on_coach(CoachToVoice("u1", SENTENCE, chunk=1))
    await caller.talk_until(lambda: said(caller) == f"{so_far} {SENTENCE}")
