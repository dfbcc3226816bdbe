"""The cascade with a synthesizer of tones: what is said when, and how it gives way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.voice_worker.engines.base import SessionSpec, Unsaid
from services.voice_worker.engines.cascade.engine import CascadeEngine, CascadeSession, CascadeSettings
from services.voice_worker.engines.cascade.speech_maker import silence
from services.voice_worker.humanizer import HumanizerSettings
from services.voice_worker.signals import (
    AcknowledgementFits,
    BargeInCandidate,
    FalseInterruption,
    InterruptionConfirmed,
    UserSpeechStarted,
    UserTurnComplete,
)
from shared.errors import EngineError
from shared.events import (
    Backchannel,
    CoachToVoice,
    DeliveryHints,
    Interrupted,
    Notice,
    Spoken,
    Transcript,
    TurnEnded,
    TurnStarted,
)
from shared.streams import new_session_id
from shared.testing.engine_host import RecordingHost
from shared.testing.tones import ToneSynthesizer
from shared.wire import AudioFrame

SPEC = SessionSpec(new_session_id(1), "cascade", "en")
PLAIN = CascadeSettings(slots=2, humanizer=HumanizerSettings(hesitation_rate=0), warm_languages=())


async def test_a_voice_that_it_does_not_have_is_told_and_replaced() -> None:
    host = RecordingHost()
    engine = CascadeEngine(ToneSynthesizer(), PLAIN)
    await engine.start()
    for voice in ("", "tone2", "NATM1.pt"):
        await (await engine.open(replace(SPEC, voice=voice), host)).close()
    notices = [body for body, _, _ in host.events if isinstance(body, Notice)]
    assert [(notice.code, notice.level) for notice in notices] == [("unknown_voice", "info")]
    assert "NATM1.pt" in notices[0].message
    assert "tone" in notices[0].message


class Talk:
    """A cascade session with its host, fed frame by frame."""

    def __init__(self, engine: CascadeEngine, session: CascadeSession, host: RecordingHost, synth: ToneSynthesizer):
        self.engine, self.session, self.host, self.synth = engine, session, host, synth
        self._fed = 0

    def feed(self, n: int = 1) -> list[bool]:
        """Feed n frames; return for each if it came back with sound."""
        for _ in range(n):
            self.session.feed(AudioFrame(self._fed, 1920, (b"in",)), f"1-{self._fed}")
            self._fed += 1
        return [packets != silence() for packets, _, _ in self.host.frames[-n:]]

    async def made(self) -> None:
        """Wait until everything planned is synthesised."""
        async with asyncio.timeout(5):
            while self.session._plans or not all(item.closed for item in self.session._player._queue):
                await asyncio.sleep(0)

    async def say(self, text: str, turn: str = "u1", chunk: int = 0, *, last: bool = True, **options: object) -> None:
        self.session.on_coach(CoachToVoice(turn, text, chunk=chunk, last=last, **options))  # type: ignore[arg-type]
        await self.made()


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    synth, host = ToneSynthesizer(), RecordingHost()
    engine = CascadeEngine(synth, PLAIN)
    await engine.start()
    session = await engine.open(SPEC, host)
    yield Talk(engine, session, host, synth)
    await session.close()
    await engine.aclose()


async def test_is_silent_until_the_coach_speaks_then_says_it_in_one_turn(talk: Talk) -> None:
    assert talk.feed(3) == [False] * 3
    await talk.say("Good morning.", last=False)
    await talk.say("What do you sell?", chunk=1)
    sounds = talk.feed(30)
    assert sounds[0]
    assert not sounds[-1]
    assert [started.turn for started in talk.host.of(TurnStarted)] == ["h1"]
    (final,) = talk.host.of(Transcript)
    assert (final.text, final.final, final.start_ms) == ("Good morning. What do you sell?", True, 3 * 80)
    assert "".join(spoken.text for spoken in talk.host.of(Spoken)) == " Good morning. What do you sell?"
    (ended,) = talk.host.of(TurnEnded)
    assert ended.reason == "complete"
    assert talk.host.speaking == [True, False]
    assert ended.end_ms - final.start_ms == pytest.approx(6 * 200, abs=260)


async def test_event_ids_are_made_from_what_they_are_about(talk: Talk) -> None:
    await talk.say("Good.")
    talk.feed(10)
    ids = [event_id for _, event_id, _ in talk.host.events]
    assert ids == ["voice:turn_started:h1", "voice:spoken:h1:0", "voice:transcript:h1:final", "voice:turn_ended:h1"]


async def test_one_frame_out_for_each_1920_samples_in_whatever_the_packets(talk: Talk) -> None:
    for n in range(8):
        talk.session.feed(AudioFrame(n, 1440, (b"60 ms",)), f"1-{n}")
    assert len(talk.host.frames) == 6
    assert [consumed for _, _, consumed in talk.host.frames] == ["1-1", "1-2", "1-3", "1-5", "1-6", "1-7"]


async def test_barge_in_stops_the_voice_at_once_and_keeps_only_what_was_heard(talk: Talk) -> None:
    await talk.say("one two three four five six seven eight")
    talk.feed(6)
    talk.session.on_signal(UserSpeechStarted(1, 400, True))
    assert talk.feed(1) == [True]
    talk.session.on_signal(BargeInCandidate(1, 480))
    assert talk.feed(2) == [False, False]
    talk.session.on_signal(InterruptionConfirmed(1, "u2", 700))
    assert talk.feed(20) == [False] * 20
    (cut,) = talk.host.of(Interrupted)
    heard = cut.heard_text.split()
    assert heard == ["one", "two", "three"]
    assert cut.dropped_text == "four five six seven eight"
    (final,) = talk.host.of(Transcript)
    assert final.text == cut.heard_text
    assert [ended.reason for ended in talk.host.of(TurnEnded)] == ["interrupted"]


async def test_a_backchannel_does_not_interrupt_the_voice_goes_on_where_it_was(talk: Talk) -> None:
    await talk.say("one two three four")
    talk.feed(3)
    talk.session.on_signal(BargeInCandidate(1, 240))
    talk.feed(4)
    talk.session.on_signal(FalseInterruption(1, 560))
    talk.feed(20)
    (final,) = talk.host.of(Transcript)
    assert final.text == "one two three four"
    assert talk.host.of(Interrupted) == []


async def test_what_may_not_be_interrupted_is_said_to_its_end(talk: Talk) -> None:
    await talk.say("one two three four", allow_interrupt=False)
    talk.feed(2)
    talk.session.on_signal(BargeInCandidate(1, 160))
    talk.session.on_signal(InterruptionConfirmed(1, "u2", 300))
    assert all(talk.feed(4))
    talk.feed(20)
    assert talk.host.of(Transcript)[0].text == "one two three four"


async def test_late_sentences_of_an_interrupted_answer_are_not_said(talk: Talk) -> None:
    await talk.say("one two three four", last=False)
    talk.feed(2)
    talk.session.on_signal(BargeInCandidate(1, 160))
    talk.session.on_signal(InterruptionConfirmed(1, "u2", 300))
    talk.session.on_signal(UserTurnComplete("u2", 160, 800, "wait", True, False))
    await talk.say("five six", chunk=1)
    assert talk.feed(10) == [False] * 10


async def test_a_stale_answer_is_never_said(talk: Talk) -> None:
    talk.session.on_signal(UserTurnComplete("u3", 0, 100, "hello", False, False))
    await talk.say("An answer to the second turn.", turn="u2")
    assert not any(talk.feed(10))
    await talk.say("An answer to the third.", turn="u3")
    assert any(talk.feed(10))


async def test_a_new_turn_drops_an_answer_that_nobody_has_begun_to_hear(talk: Talk) -> None:
    await talk.say("An answer to the first turn.", turn="u1")
    talk.session.on_signal(UserSpeechStarted(2, 0, False))
    talk.session.on_signal(UserTurnComplete("u2", 0, 100, "and another thing", False, False))
    await talk.say("Second.", turn="u2")
    talk.feed(20)
    assert talk.host.of(Transcript)[0].text == "Second."


async def test_an_answer_waits_while_the_user_talks(talk: Talk) -> None:
    talk.session.on_signal(UserSpeechStarted(1, 0, False))
    await talk.say("Greetings.", turn="")
    assert not any(talk.feed(5))
    talk.session.on_signal(UserTurnComplete("u1", 0, 100, "", False, False))
    assert any(talk.feed(5))


async def test_the_same_message_twice_is_said_once(talk: Talk) -> None:
    await talk.say("Good.")
    await talk.say("Good.")
    talk.feed(20)
    assert [final.text for final in talk.host.of(Transcript)] == ["Good."]


async def test_the_next_sentence_is_made_while_one_is_spoken(talk: Talk) -> None:
    await talk.say("one two three four five", last=False)
    talk.feed(1)
    await talk.say("six.", chunk=1)
    assert talk.synth.asked == ["one two three four five", "six."]
    assert len(talk.host.frames) == 1


async def test_a_sentence_that_cannot_be_spoken_is_told_and_the_next_one_said(talk: Talk) -> None:
    talk.synth.failing.add("Broken.")
    await talk.say("Broken.", last=False)
    await talk.say("Fine.", chunk=1)
    talk.feed(10)
    (notice,) = talk.host.of(Notice)
    assert notice.code == "synthesis_failed"
    assert "Broken." in notice.message
    assert talk.host.of(Transcript)[0].text == "Fine."


async def test_repeated_phrases_come_from_the_cache(talk: Talk) -> None:
    await talk.say("Okay.", turn="u1")
    talk.feed(10)
    await talk.say("Okay.", turn="u2")
    talk.feed(10)
    assert talk.synth.asked == ["Okay."]
    assert [final.text for final in talk.host.of(Transcript)] == ["Okay.", "Okay."]


async def test_a_short_phrase_at_another_pace_comes_from_the_cache_too(talk: Talk) -> None:
    await talk.say("Okay.", turn="u1")
    talk.feed(10)
    await talk.say("Okay.", turn="u2", delivery_hints=DeliveryHints(pacing="slow"))
    talk.feed(10)
    assert talk.synth.asked == ["Okay."]


async def test_phrases_are_prepared_only_while_nobody_talks() -> None:
    synth = ToneSynthesizer()
    synth.gate.clear()
    engine = CascadeEngine(synth, CascadeSettings(warm_languages=("en",)))
    await engine.start()
    session = await engine.open(SPEC, RecordingHost())
    synth.gate.set()
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(synth.asked) <= 1
    await session.close()
    assert engine._warming is not None
    await engine._warming
    assert len(synth.asked) > 10
    await engine.aclose()


async def test_hugo_hums_while_the_user_talks_on_without_taking_the_floor() -> None:
    synth, host = ToneSynthesizer(), RecordingHost()
    engine = CascadeEngine(synth, CascadeSettings(warm_languages=("en",)))
    await engine.start()
    assert engine._warming is not None
    await engine._warming
    session = await engine.open(SPEC, host)
    session.on_signal(AcknowledgementFits(5_000))
    for n in range(5):
        session.feed(AudioFrame(n, 1920, (b"in",)), f"1-{n}")
    (hum,) = host.of(Backchannel)
    assert hum.speaker == "hugo"
    assert host.frames[0][0] != silence()
    assert host.speaking == []
    assert host.of(TurnStarted) == []
    await session.close()
    await engine.aclose()


async def test_a_language_without_a_voice_is_refused_with_what_to_do(talk: Talk) -> None:
    spec = SessionSpec(new_session_id(1), "cascade", "fr")  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="splitbrain models"):
        await talk.engine.open(spec, RecordingHost())


async def taken_over(unsaid: Unsaid) -> Talk:
    """A session whose last owner left this unsaid."""
    synth, host = ToneSynthesizer(), RecordingHost()
    engine = CascadeEngine(synth, PLAIN)
    await engine.start()
    session = await engine.open(replace(SPEC, unsaid=unsaid, hugo_turns=2), host)
    talk = Talk(engine, session, host, synth)
    await talk.made()
    return talk


async def test_a_new_owner_says_the_rest_of_an_answer_in_the_same_turn() -> None:
    messages = (CoachToVoice("u1", "Bikes, good.", last=False), CoachToVoice("u1", "Who buys them?", chunk=1))
    talk = await taken_over(Unsaid("h2", 800, ("Bikes,", "good.", "Who"), "u1", messages))
    talk.feed(12)
    assert talk.synth.asked == ["buys them?"]
    assert [body for body, _, _ in talk.host.events if isinstance(body, TurnStarted)] == []
    assert "".join(body.text for body in talk.host.of(Spoken)) == " buys them?"
    (final,), (ended,) = talk.host.of(Transcript), talk.host.of(TurnEnded)
    assert (final.turn, final.text, final.start_ms) == ("h2", "Bikes, good. Who buys them?", 800)
    assert (ended.turn, ended.reason) == ("h2", "complete")
    await talk.say("And then?", "u2")
    talk.feed(3)
    (started,) = talk.host.of(TurnStarted)
    assert (started.turn, started.answers) == ("h3", "u2")


async def test_a_new_owner_waits_for_the_sentences_that_are_still_to_come() -> None:
    talk = await taken_over(Unsaid("h2", 0, ("Good.",), "u1", (CoachToVoice("u1", "Good.", last=False),)))
    talk.feed(5)
    assert not talk.host.of(TurnEnded)
    await talk.say("Why?", chunk=1)
    talk.feed(5)
    assert talk.host.of(Transcript)[0].text == "Good. Why?"


async def test_a_turn_of_which_only_the_end_was_missing_is_ended() -> None:
    talk = await taken_over(Unsaid("h2", 0, ("Why?",), "u1", (CoachToVoice("u1", "Why?"),)))
    talk.feed(2)
    assert [(body.turn, body.reason) for body in talk.host.of(TurnEnded)] == [("h2", "complete")]


async def test_a_turn_whose_words_nobody_knows_is_closed() -> None:
    talk = await taken_over(Unsaid("h2", 0, ("Well",), None))
    (ended,) = talk.host.of(TurnEnded)
    assert (ended.turn, ended.reason) == ("h2", "interrupted")
    assert not talk.session._player.speaking


async def test_an_answer_that_was_cut_off_before_is_not_taken_up_again() -> None:
    talk = await taken_over(Unsaid(refused=frozenset({"u1"})))
    await talk.say("Late.", "u1", 1)
    assert not any(talk.feed(3))


async def test_an_answer_that_was_not_begun_is_said() -> None:
    talk = await taken_over(Unsaid(messages=(CoachToVoice("u1", "Who buys them?"),)))
    assert any(talk.feed(4))
    assert talk.host.of(TurnStarted)[0].turn == "h3"
