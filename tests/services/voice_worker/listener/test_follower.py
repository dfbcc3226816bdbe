"""A user's turns on real speech: events in order, times in place, one recognition for each piece of sound."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from services.voice_worker.listener.spec import ListenerSettings
from services.voice_worker.listener.turns import TurnSettings
from services.voice_worker.signals import (
    AcknowledgementFits,
    BargeInCandidate,
    FalseInterruption,
    InterruptionConfirmed,
    UserSpeechStarted,
    UserTurnComplete,
)
from shared.audio import FRAME_MS
from shared.errors import SpeechError
from shared.events import (
    Backchannel,
    Consent,
    Notice,
    ProsodyMeasured,
    Transcript,
    TurnEnded,
    TurnStarted,
    VoiceToCoach,
)


async def test_a_spoken_sentence_becomes_one_turn_with_text_and_prosody(lab: Any) -> None:
    sound, text = lab.clip(0)
    async with lab.bench(lab.saying(text)) as b:
        await b.hear(np.concatenate((lab.silence(500), sound, lab.silence(1_500))))
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


async def test_the_text_is_there_when_the_turn_ends_and_is_recognised_once_for_it(lab: Any) -> None:
    sound, text = lab.clip(1)
    async with lab.bench(lab.saying(text), hint=0.95) as b:
        await b.hear(np.concatenate((sound, lab.silence(1_000))))
        (coach,) = b.bodies(VoiceToCoach)
        told_ms = next(media_ms for body, _, media_ms in b.events if isinstance(body, VoiceToCoach))
        ended_ms = next(media_ms for body, _, media_ms in b.events if isinstance(body, TurnEnded))
        assert told_ms == ended_ms
        assert told_ms - coach.end_ms <= 420 + 2 * FRAME_MS
        full = [seconds for seconds, partial in b.scripted.asked if not partial]
        pauses = len({round(seconds, 2) for seconds in full})
        assert len(full) == pauses  # no sound was recognised a second time


async def test_without_a_hint_or_with_a_broken_one_silence_decides(lab: Any) -> None:
    sound, text = lab.clip(1)
    for hint in (None, SpeechError("no model"), ValueError("broken provider")):
        async with lab.bench(lab.saying(text), hint=hint) as b:
            await b.hear(np.concatenate((sound, lab.silence(1_500))))
            (coach,) = b.bodies(VoiceToCoach)
            told_ms = next(media_ms for body, _, media_ms in b.events if isinstance(body, VoiceToCoach))
            assert 800 <= told_ms - coach.end_ms <= 800 + 2 * FRAME_MS


async def test_partials_come_while_the_user_talks_and_one_recognition_runs_at_a_time(lab: Any) -> None:
    sound, text = lab.clip(0)
    async with lab.bench(lab.saying(text)) as b:
        await b.hear(np.concatenate((sound, lab.silence(1_500))))
        partials = [said for said in b.bodies(Transcript) if not said.final]
        assert len(partials) >= 5
        assert b.scripted.most_running == 1
        ends = [said.end_ms for said in partials]
        assert ends == sorted(ends)


async def test_a_recogniser_that_is_busy_gets_no_more_partials(lab: Any) -> None:
    sound, text = lab.clip(0)
    async with lab.bench(lab.saying(text)) as b:
        b.scripted.may_answer.clear()
        await b.hear(sound[: 24_000 * 5])
        assert [partial for _, partial in b.scripted.asked].count(True) <= 2
        b.scripted.may_answer.set()


async def test_two_sentences_are_two_turns_and_no_sound_is_recognised_in_both(lab: Any) -> None:
    (one, text), (two, _) = lab.clip(1), lab.clip(4)
    async with lab.bench(lab.saying(text), hint=0.95) as b:
        await b.hear(np.concatenate((one, lab.silence(700), two, lab.silence(1_500))))
        assert [turn.turn for turn in b.bodies(TurnStarted)] == ["u1", "u2"]
        first, second = b.bodies(TurnEnded)
        final = [said for said in b.bodies(Transcript) if said.final]
        assert final[1].words[0].start_ms >= first.end_ms
        assert b.bodies(VoiceToCoach)[1].timing.pause_duration == pytest.approx((second.start_ms - first.end_ms) / 1000)


async def test_words_nobody_said_make_no_transcript(lab: Any) -> None:
    sound, _ = lab.clip(1)
    async with lab.bench(lab.saying("")) as b:
        await b.hear(np.concatenate((sound, lab.silence(1_500))))
        assert [end.turn for end in b.bodies(TurnEnded)] == ["u1"]
        assert b.bodies(Transcript) == []
        assert b.bodies(VoiceToCoach) == []
        assert b.bodies(Notice) == []


async def test_silence_and_a_click_make_nothing(lab: Any) -> None:
    click = lab.silence(2_000)
    click[24_000 : 24_000 + 1_200] += 0.5
    async with lab.bench(lab.saying("hallo")) as b:
        await b.hear(np.concatenate((lab.silence(2_000), click)))
        assert b.events == []
        assert b.scripted.asked == []


async def test_a_short_word_over_hugo_pauses_him_and_lets_him_go_on(lab: Any) -> None:
    sound, _ = lab.clip(1)
    word = sound[4_800 : 4_800 + 16_000]
    async with lab.bench(lab.saying("okay")) as b:
        b.listener.set_hugo_speaking(True, 0)
        await b.hear(np.concatenate((lab.silence(400), word, lab.silence(1_200))))
        assert b.signal_kinds() == [UserSpeechStarted, BargeInCandidate, FalseInterruption]
        assert b.kinds() == ["backchannel"]
        (heard,) = b.bodies(Backchannel)
        assert (heard.speaker, heard.text) == ("user", "okay")
        assert b.events[0][1] == f"voice:backchannel:user:{heard.start_ms}"


async def test_a_sentence_over_hugo_takes_the_floor(lab: Any) -> None:
    sound, text = lab.clip(0)
    async with lab.bench(lab.saying(text)) as b:
        b.listener.set_hugo_speaking(True, 0)
        await b.hear(np.concatenate((lab.silence(400), sound[: 24_000 * 3])))
        b.listener.set_hugo_speaking(False, b.listener.media_ms)
        await b.hear(np.concatenate((sound[24_000 * 3 :], lab.silence(1_500))))
        assert b.signal_kinds()[:3] == [UserSpeechStarted, BargeInCandidate, InterruptionConfirmed]
        (coach,) = b.bodies(VoiceToCoach)
        assert coach.interrupt is True
        assert coach.timing.pause_duration == 0


async def test_a_long_loss_ends_the_turn_and_media_time_goes_on(lab: Any) -> None:
    sound, text = lab.clip(1)
    async with lab.bench(lab.saying(text)) as b:
        await b.hear(sound)
        b.seq += 1_000
        await b.hear(np.concatenate((sound, lab.silence(1_500))))
        one, two = b.bodies(TurnStarted)
        assert two.start_ms - one.start_ms > 80_000
        assert [end.turn for end in b.bodies(TurnEnded)] == ["u1", "u2"]


async def test_a_long_talker_is_cut_and_gets_an_acknowledgement(lab: Any) -> None:
    long = np.concatenate([lab.clip(i)[0] for i in (0, 2, 3)])
    turns = TurnSettings(max_turn_ms=8_000, acknowledge_after_ms=2_000, late_end_ms=3_000)
    async with lab.bench(lab.saying("and so on"), hint=0.05, settings=ListenerSettings(turns=turns)) as b:
        await b.hear(np.concatenate((long, lab.silence(3_500))))
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
    lab: Any, profile: Any, consent: bool, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.voice_worker.listener import emotion

    touched: list[str] = []
    for name in ("EmotionReader", "text_cues", "final_slope"):
        real = getattr(emotion, name)
        monkeypatch.setattr(emotion, name, lambda *a, n=name, r=real, **k: (touched.append(n), r(*a, **k))[1])
    sound, text = lab.clip(1)
    async with lab.bench(lab.saying(text), profile=profile, consent=Consent(emotion=consent)) as b:
        await b.hear(np.concatenate((sound, lab.silence(1_500))))
        (coach,) = b.bodies(VoiceToCoach)
    assert bool(touched) is allowed
    assert (coach.prosody.emotion is not None) is allowed
    assert (coach.prosody.confidence is not None) is allowed
    assert coach.prosody.energy is not None
