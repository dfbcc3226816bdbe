"""The whole listener on real speech: events in order, times in place, and nothing that hangs when a model fails."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import soxr

from services.voice_worker.listener.listener import Listener
from services.voice_worker.listener.spec import ListenerSettings, ListenerSpec, ListenerTools
from services.voice_worker.listener.turns import TurnSettings
from services.voice_worker.listener.vad import Pcm, SileroPool
from services.voice_worker.media_thread import MediaThread
from services.voice_worker.signals import (
    AcknowledgementFits,
    BargeInCandidate,
    FalseInterruption,
    InterruptionConfirmed,
    Signal,
    UserSpeechStarted,
    UserTurnComplete,
)
from services.voice_worker.speech.interfaces import RecognisedWord, Recognition
from shared.audio import FRAME_MS, FRAME_SAMPLES
from shared.audio.opus import OpusEncoder
from shared.clock import SystemClock
from shared.errors import SpeechError
from shared.events import (
    Backchannel,
    Body,
    Consent,
    Notice,
    ProsodyMeasured,
    Transcript,
    TurnEnded,
    TurnStarted,
    VoiceToCoach,
)
from shared.wire import AudioFrame

CLIPS = Path(__file__).parents[3] / "fixtures" / "audio" / "en_human"
POOL = SileroPool()


def clip(number: int) -> tuple[Pcm, str]:
    """Return (24 kHz sound, its text) of a recording of a man reading."""
    about = json.loads((CLIPS / "manifest.json").read_text())[number]
    sound, rate = sf.read(CLIPS / about["file"], dtype="float32")
    return soxr.resample(sound, rate, 24_000).astype(np.float32), about["text"]


def silence(ms: int) -> Pcm:
    return (1e-4 * np.random.default_rng(ms).standard_normal(24 * ms)).astype(np.float32)


def entries(sound: Pcm, first_seq: int = 0) -> list[AudioFrame]:
    whole = np.pad(sound, (0, -len(sound) % FRAME_SAMPLES))
    with OpusEncoder() as encoder:
        return [
            AudioFrame(first_seq + i, FRAME_SAMPLES, encoder.encode(frame))
            for i, frame in enumerate(whole.reshape(-1, FRAME_SAMPLES))
        ]


class Scripted:
    """A recogniser that answers what it is told to; it keeps what it was asked."""

    def __init__(self, answer: Callable[[Pcm, bool], Recognition]) -> None:
        self.answer = answer
        self.asked: list[tuple[float, bool]] = []
        self.sounds: list[Pcm] = []
        self.running = 0
        self.most_running = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def start(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    async def transcribe(self, pcm: Pcm, *, language: str, partial: bool) -> Recognition:
        self.asked.append((len(pcm) / 16_000, partial))
        self.sounds.append(pcm.copy())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.may_answer.wait()
            return self.answer(pcm, partial)
        finally:
            self.running -= 1


class Predictor:
    def __init__(self, probability: float | Exception) -> None:
        self.probability = probability

    async def start(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    async def complete_probability(self, pcm16k: Pcm) -> float:
        if isinstance(self.probability, Exception):
            raise self.probability
        return self.probability


def saying(text: str) -> Callable[[Pcm, bool], Recognition]:
    """Return an answer whose words share the sound evenly."""

    def answer(pcm: Pcm, partial: bool) -> Recognition:
        words = text.split()
        each = len(pcm) / 16_000 / max(1, len(words))
        placed = tuple(RecognisedWord(word, i * each, (i + 1) * each, 0.9) for i, word in enumerate(words))
        return Recognition(text, placed, 0.8)

    return answer


class Bench:
    """A listener with its surroundings."""

    def __init__(self, listener: Listener, media: MediaThread, scripted: Scripted) -> None:
        self.listener = listener
        self.media = media
        self.scripted = scripted
        self.events: list[tuple[Body, str, int]] = []
        self.signals: list[Signal] = []
        self.seq = 0
        self.changed = asyncio.Event()

    def emit(self, body: Body, event_id: str, media_ms: int) -> None:
        self.events.append((body, event_id, media_ms))
        self.changed.set()

    async def until(self, kind: type[Any]) -> None:
        """Return when an event of this kind is there."""
        while not self.bodies(kind):
            self.changed.clear()
            await self.changed.wait()

    async def hear(self, sound: Pcm) -> None:
        """Feed sound frame by frame, letting everything that follows from a frame happen before the next."""
        for frame in entries(sound, self.seq):
            self.seq = frame.seq + 1
            self.listener.feed(frame)
            await self.media.drained()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    def bodies(self, kind: type[Any]) -> list[Any]:
        return [body for body, _, _ in self.events if isinstance(body, kind)]

    def signal_kinds(self) -> list[type[Signal]]:
        return [type(signal) for signal in self.signals]

    def kinds(self) -> list[str]:
        return [body.kind for body, _, _ in self.events]


@asynccontextmanager
async def bench(
    answer: Callable[[Pcm, bool], Recognition],
    *,
    hint: float | Exception | None = None,
    limit: int = 512,
    **facts: Any,
) -> AsyncIterator[Bench]:
    spec = ListenerSpec(language=facts.pop("language", "en"), **facts)
    media = MediaThread(asyncio.get_running_loop(), limit=limit)
    scripted = Scripted(answer)
    predictor = None if hint is None else Predictor(hint)
    tools = ListenerTools(media, POOL, scripted, predictor, SystemClock())
    holder: list[Bench] = []
    listener = Listener(
        spec,
        tools,
        lambda body, event_id, media_ms: holder[0].emit(body, event_id, media_ms),
        lambda signal: holder[0].signals.append(signal),
    )
    holder.append(Bench(listener, media, scripted))
    try:
        async with asyncio.TaskGroup() as tasks:
            await listener.start(tasks)
            yield holder[0]
            await listener.close()
    finally:
        await media.close()


async def test_a_spoken_sentence_becomes_one_turn_with_text_and_prosody() -> None:
    sound, text = clip(0)
    async with bench(saying(text)) as b:
        await b.hear(np.concatenate((silence(500), sound, silence(1_500))))
        started, ended = b.bodies(TurnStarted), b.bodies(TurnEnded)
        assert [turn.turn for turn in started] == ["u1"]
        assert ended[0].start_ms == started[0].start_ms == pytest.approx(800, abs=100)
        assert ended[0].end_ms == pytest.approx(500 + 1000 * len(sound) / 24_000, abs=300)

        final = [said for said in b.bodies(Transcript) if said.final]
        assert [said.text for said in final] == [text]
        assert len(final[0].words) == len(text.split())
        assert final[0].words[0].start_ms == pytest.approx(started[0].start_ms - 300, abs=2)
        assert final[0].words[-1].end_ms == pytest.approx(ended[0].end_ms + 200, abs=100)

        (coach,) = b.bodies(VoiceToCoach)
        assert coach.transcript == text
        assert coach.timing.word_timestamps == final[0].words
        assert coach.timing.pause_duration == pytest.approx(started[0].start_ms / 1000)
        assert coach.timing.speech_pace == "normal"
        assert coach.interrupt is False
        assert (coach.prosody.confidence, coach.prosody.emotion) == (None, None)
        assert 0 < coach.prosody.energy < 1

        measured = b.bodies(ProsodyMeasured)
        assert 5 <= len(measured) <= 9
        whole = measured[-1]
        assert (whole.start_ms, whole.end_ms) == pytest.approx((started[0].start_ms, ended[0].end_ms), abs=16)
        assert whole.f0_median_hz == pytest.approx(97, abs=8)
        assert whole.syllables_per_s == pytest.approx(4.4, abs=0.5)
        assert whole.words_per_min == pytest.approx(60 * 21 / 6.9, abs=25)
        assert 0 < whole.quality <= 0.3

        ids = [event_id for _, event_id, _ in b.events]
        assert len(set(ids)) == len(ids)
        assert {"voice:turn_started:u1", "voice:transcript:u1:final", "voice:to_coach:u1"} <= set(ids)
        times = [media_ms for _, _, media_ms in b.events]
        assert times == sorted(times)
        assert b.signals[-1] == UserTurnComplete("u1", ended[0].start_ms, ended[0].end_ms, text, False, False)


async def test_the_text_is_there_when_the_turn_ends_and_is_recognised_once_for_it() -> None:
    sound, text = clip(1)
    async with bench(saying(text), hint=0.95) as b:
        await b.hear(np.concatenate((sound, silence(1_000))))
        (coach,) = b.bodies(VoiceToCoach)
        told_ms = next(media_ms for body, _, media_ms in b.events if isinstance(body, VoiceToCoach))
        ended_ms = next(media_ms for body, _, media_ms in b.events if isinstance(body, TurnEnded))
        assert told_ms == ended_ms
        assert told_ms - coach.end_ms <= 420 + 2 * FRAME_MS
        full = [seconds for seconds, partial in b.scripted.asked if not partial]
        pauses = len({round(seconds, 2) for seconds in full})
        assert len(full) == pauses  # no sound was recognised a second time


async def test_without_a_hint_or_with_a_broken_one_silence_decides() -> None:
    sound, text = clip(1)
    for hint in (None, SpeechError("no model"), ValueError("broken provider")):
        async with bench(saying(text), hint=hint) as b:
            await b.hear(np.concatenate((sound, silence(1_500))))
            (coach,) = b.bodies(VoiceToCoach)
            told_ms = next(media_ms for body, _, media_ms in b.events if isinstance(body, VoiceToCoach))
            assert 800 <= told_ms - coach.end_ms <= 800 + 2 * FRAME_MS


async def test_partials_come_while_the_user_talks_and_one_recognition_runs_at_a_time() -> None:
    sound, text = clip(0)
    async with bench(saying(text)) as b:
        await b.hear(np.concatenate((sound, silence(1_500))))
        partials = [said for said in b.bodies(Transcript) if not said.final]
        assert len(partials) >= 5
        assert b.scripted.most_running == 1
        ends = [said.end_ms for said in partials]
        assert ends == sorted(ends)


async def test_a_recogniser_that_is_busy_gets_no_more_partials() -> None:
    sound, text = clip(0)
    async with bench(saying(text)) as b:
        b.scripted.may_answer.clear()
        await b.hear(sound[: 24_000 * 5])
        assert [partial for _, partial in b.scripted.asked].count(True) <= 2
        b.scripted.may_answer.set()


async def test_two_sentences_are_two_turns_and_no_sound_is_recognised_in_both() -> None:
    (one, text), (two, _) = clip(1), clip(4)
    async with bench(saying(text), hint=0.95) as b:
        await b.hear(np.concatenate((one, silence(700), two, silence(1_500))))
        assert [turn.turn for turn in b.bodies(TurnStarted)] == ["u1", "u2"]
        first, second = b.bodies(TurnEnded)
        final = [said for said in b.bodies(Transcript) if said.final]
        assert final[1].words[0].start_ms >= first.end_ms
        assert b.bodies(VoiceToCoach)[1].timing.pause_duration == pytest.approx((second.start_ms - first.end_ms) / 1000)


@pytest.mark.parametrize("fault", [SpeechError("died"), ValueError("provider's own fault")])
async def test_a_failed_recognition_ends_the_turn_with_a_notice(fault: Exception) -> None:
    def fail(pcm: Pcm, partial: bool) -> Recognition:
        raise fault

    sound, _ = clip(1)
    async with bench(fail) as b:
        await b.hear(np.concatenate((sound, silence(1_500))))
        assert [end.turn for end in b.bodies(TurnEnded)] == ["u1"]
        assert [notice.code for notice in b.bodies(Notice)] == ["recognition_failed"]
        assert b.bodies(VoiceToCoach) == []
        assert b.bodies(Transcript) == []
        complete = b.signals[-1]
        assert isinstance(complete, UserTurnComplete)
        assert complete.text == ""


async def test_a_recogniser_that_never_answers_is_given_up() -> None:
    sound, text = clip(1)
    async with bench(saying(text), settings=ListenerSettings(recognition_timeout_s=0.05)) as b:
        b.scripted.may_answer.clear()
        await b.hear(np.concatenate((sound, silence(1_500))))
        await b.until(Notice)
        assert [notice.code for notice in b.bodies(Notice)] == ["recognition_failed"]


async def test_closing_does_not_wait_longer_than_it_may_for_the_last_text() -> None:
    sound, text = clip(1)
    async with bench(saying(text), settings=ListenerSettings(close_timeout_s=0.05)) as b:
        b.scripted.may_answer.clear()
        await b.hear(sound)
        await b.listener.close()
        assert [(end.turn, end.reason) for end in b.bodies(TurnEnded)] == [("u1", "session_ended")]
        assert [notice.code for notice in b.bodies(Notice)] == ["recognition_failed"]
    assert b.scripted.running == 0


async def test_closing_delivers_the_text_of_the_turn_that_was_open() -> None:
    sound, text = clip(1)
    async with bench(saying(text)) as b:
        await b.hear(sound)
        await b.listener.close()
        assert [(end.turn, end.reason) for end in b.bodies(TurnEnded)] == [("u1", "session_ended")]
        assert [said.text for said in b.bodies(Transcript) if said.final] == [text]


async def test_a_session_that_moved_away_says_nothing_more() -> None:
    sound, text = clip(1)
    async with bench(saying(text)) as b:
        await b.hear(sound)
        count = len(b.events), len(b.signals)
        for frame in entries(sound, b.seq):
            b.listener.feed(frame)
        await b.listener.close(deliver=False)
        assert (len(b.events), len(b.signals)) == count


async def test_words_nobody_said_make_no_transcript() -> None:
    sound, _ = clip(1)
    async with bench(saying("")) as b:
        await b.hear(np.concatenate((sound, silence(1_500))))
        assert [end.turn for end in b.bodies(TurnEnded)] == ["u1"]
        assert b.bodies(Transcript) == []
        assert b.bodies(VoiceToCoach) == []
        assert b.bodies(Notice) == []


async def test_silence_and_a_click_make_nothing() -> None:
    click = silence(2_000)
    click[24_000 : 24_000 + 1_200] += 0.5
    async with bench(saying("hallo")) as b:
        await b.hear(np.concatenate((silence(2_000), click)))
        assert b.events == []
        assert b.scripted.asked == []


async def test_a_short_word_over_hugo_pauses_him_and_lets_him_go_on() -> None:
    sound, _ = clip(1)
    word = sound[4_800 : 4_800 + 16_000]
    async with bench(saying("okay")) as b:
        b.listener.set_hugo_speaking(True, 0)
        await b.hear(np.concatenate((silence(400), word, silence(1_200))))
        assert b.signal_kinds() == [UserSpeechStarted, BargeInCandidate, FalseInterruption]
        assert b.kinds() == ["backchannel"]
        (heard,) = b.bodies(Backchannel)
        assert (heard.speaker, heard.text) == ("user", "okay")
        assert b.events[0][1] == f"voice:backchannel:user:{heard.start_ms}"


async def test_a_sentence_over_hugo_takes_the_floor() -> None:
    sound, text = clip(0)
    async with bench(saying(text)) as b:
        b.listener.set_hugo_speaking(True, 0)
        await b.hear(np.concatenate((silence(400), sound[: 24_000 * 3])))
        b.listener.set_hugo_speaking(False, b.listener.media_ms)
        await b.hear(np.concatenate((sound[24_000 * 3 :], silence(1_500))))
        assert b.signal_kinds()[:3] == [UserSpeechStarted, BargeInCandidate, InterruptionConfirmed]
        (coach,) = b.bodies(VoiceToCoach)
        assert coach.interrupt is True
        assert coach.timing.pause_duration == 0


async def test_a_takeover_goes_on_with_the_next_turn_and_media_time() -> None:
    sound, text = clip(1)
    async with bench(saying(text), start_turn_number=8, start_media_ms=80_000) as b:
        b.seq = 1_000
        await b.hear(np.concatenate((sound, silence(1_500))))
        (started,) = b.bodies(TurnStarted)
        assert started.turn == "u8"
        assert 80_000 <= started.start_ms < 80_500
        assert b.bodies(Transcript)[-1].words[0].start_ms >= 80_000


async def test_what_a_busy_thread_refuses_is_told_and_takes_its_place_in_time() -> None:
    sound, text = clip(1)
    async with bench(saying(text), limit=0) as b:
        for frame in entries(silence(800)):
            b.listener.feed(frame)
        b.seq = 10
        b.media._limit = 512
        await b.hear(np.concatenate((silence(160), sound, silence(1_500))))
        notices = b.bodies(Notice)
        assert [(notice.code, notice.count) for notice in notices] == [("input_shed", 10)]
        assert len(b.bodies(TurnEnded)) == 1


async def test_a_long_loss_ends_the_turn_and_media_time_goes_on() -> None:
    sound, text = clip(1)
    async with bench(saying(text)) as b:
        await b.hear(sound)
        b.seq += 1_000
        await b.hear(np.concatenate((sound, silence(1_500))))
        one, two = b.bodies(TurnStarted)
        assert two.start_ms - one.start_ms > 80_000
        assert [end.turn for end in b.bodies(TurnEnded)] == ["u1", "u2"]


async def test_a_long_talker_is_cut_and_gets_an_acknowledgement() -> None:
    long = np.concatenate([clip(i)[0] for i in (0, 2, 3)])
    turns = TurnSettings(max_turn_ms=8_000, acknowledge_after_ms=2_000, late_end_ms=3_000)
    async with bench(saying("and so on"), hint=0.05, settings=ListenerSettings(turns=turns)) as b:
        await b.hear(np.concatenate((long, silence(3_500))))
        complete = [signal for signal in b.signals if isinstance(signal, UserTurnComplete)]
        assert [signal.continued for signal in complete] == [True, True, False]
        assert AcknowledgementFits in b.signal_kinds()
        for earlier, later in itertools.pairwise(complete):
            assert later.start_ms >= earlier.end_ms


@pytest.mark.parametrize(
    ("profile", "consent", "allowed"),
    [
        ("workplace", True, False),
        ("education", True, False),
        ("personal_training", False, False),
        ("research", False, False),
        ("personal_training", True, True),
        ("research", True, True),
    ],
)
async def test_emotion_is_computed_only_where_it_is_lawful_and_allowed(
    profile: Any, consent: bool, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.voice_worker.listener import emotion

    touched: list[str] = []
    for name in ("EmotionReader", "text_cues", "final_slope"):
        real = getattr(emotion, name)
        monkeypatch.setattr(emotion, name, lambda *a, n=name, r=real, **k: (touched.append(n), r(*a, **k))[1])
    sound, text = clip(1)
    async with bench(saying(text), profile=profile, consent=Consent(emotion=consent)) as b:
        await b.hear(np.concatenate((sound, silence(1_500))))
        (coach,) = b.bodies(VoiceToCoach)
    assert bool(touched) is allowed
    assert (coach.prosody.emotion is not None) is allowed
    assert (coach.prosody.confidence is not None) is allowed
    assert coach.prosody.energy is not None


async def test_consent_taken_back_holds_at_once() -> None:
    sound, text = clip(1)
    facts = {"profile": "personal_training", "consent": Consent(emotion=True)}
    async with bench(saying(text), **facts) as b:
        await b.hear(np.concatenate((sound, silence(300))))
        b.listener.set_consent(Consent(emotion=False))
        await b.hear(silence(1_200))
        assert b.bodies(VoiceToCoach)[0].prosody.emotion is None
        b.listener.set_consent(Consent(emotion=True))
        await b.hear(np.concatenate((sound, silence(1_500))))
        assert b.bodies(VoiceToCoach)[1].prosody.emotion is not None


async def test_feeding_before_the_start_is_a_fault_of_the_caller() -> None:
    media = MediaThread(asyncio.get_running_loop())
    tools = ListenerTools(media, POOL, Scripted(saying("")), None, SystemClock())
    listener = Listener(ListenerSpec("nl"), tools, lambda *_: None, lambda _: None)
    with pytest.raises(RuntimeError, match="start"):
        listener.feed(AudioFrame(0, 0, ()))
    await listener.close()
    await media.close()
