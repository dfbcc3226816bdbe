"""The listener's life: start, loss, faults of the models, takeover and close; nothing hangs."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from services.voice_worker.listener.listener import Listener
from services.voice_worker.listener.spec import ListenerSettings, ListenerSpec, ListenerTools
from services.voice_worker.listener.vad import Pcm
from services.voice_worker.media_thread import MediaThread
from services.voice_worker.signals import (
    UserTurnComplete,
)
from services.voice_worker.speech.interfaces import Recognition
from shared.clock import SystemClock
from shared.errors import SpeechError
from shared.events import (
    Consent,
    Notice,
    Transcript,
    TurnEnded,
    TurnStarted,
    VoiceToCoach,
)
from shared.wire import AudioFrame


@pytest.mark.parametrize("fault", [SpeechError("died"), ValueError("provider's own fault")])
async def test_a_failed_recognition_ends_the_turn_with_a_notice(lab: Any, fault: Exception) -> None:
    def fail(pcm: Pcm, partial: bool) -> Recognition:
        raise fault

    sound, _ = lab.clip(1)
    async with lab.bench(fail) as b:
        await b.hear(np.concatenate((sound, lab.silence(1_500))))
        assert [end.turn for end in b.bodies(TurnEnded)] == ["u1"]
        assert [notice.code for notice in b.bodies(Notice)] == ["recognition_failed"]
        assert b.bodies(VoiceToCoach) == []
        assert b.bodies(Transcript) == []
        complete = b.signals[-1]
        assert isinstance(complete, UserTurnComplete)
        assert complete.text == ""


async def test_a_recogniser_that_never_answers_is_given_up(lab: Any) -> None:
    sound, text = lab.clip(1)
    async with lab.bench(lab.saying(text), settings=ListenerSettings(recognition_timeout_s=0.05)) as b:
        b.scripted.may_answer.clear()
        await b.hear(np.concatenate((sound, lab.silence(1_500))))
        await b.until(Notice)
        assert [notice.code for notice in b.bodies(Notice)] == ["recognition_failed"]


async def test_closing_does_not_wait_longer_than_it_may_for_the_last_text(lab: Any) -> None:
    sound, text = lab.clip(1)
    async with lab.bench(lab.saying(text), settings=ListenerSettings(close_timeout_s=0.05)) as b:
        b.scripted.may_answer.clear()
        await b.hear(sound)
        await b.listener.close()
        assert [(end.turn, end.reason) for end in b.bodies(TurnEnded)] == [("u1", "session_ended")]
        assert [notice.code for notice in b.bodies(Notice)] == ["recognition_failed"]
    assert b.scripted.running == 0


async def test_closing_delivers_the_text_of_the_turn_that_was_open(lab: Any) -> None:
    sound, text = lab.clip(1)
    async with lab.bench(lab.saying(text)) as b:
        await b.hear(sound)
        await b.listener.close()
        assert [(end.turn, end.reason) for end in b.bodies(TurnEnded)] == [("u1", "session_ended")]
        assert [said.text for said in b.bodies(Transcript) if said.final] == [text]


async def test_a_session_that_moved_away_says_nothing_more(lab: Any) -> None:
    sound, text = lab.clip(1)
    async with lab.bench(lab.saying(text)) as b:
        await b.hear(sound)
        count = len(b.events), len(b.signals)
        for frame in lab.entries(sound, b.seq):
            b.listener.feed(frame)
        await b.listener.close(deliver=False)
        assert (len(b.events), len(b.signals)) == count


async def test_a_takeover_goes_on_with_the_next_turn_and_media_time(lab: Any) -> None:
    sound, text = lab.clip(1)
    async with lab.bench(lab.saying(text), start_turn_number=8, start_media_ms=80_000) as b:
        b.seq = 1_000
        await b.hear(np.concatenate((sound, lab.silence(1_500))))
        (started,) = b.bodies(TurnStarted)
        assert started.turn == "u8"
        assert 80_000 <= started.start_ms < 80_500
        assert b.bodies(Transcript)[-1].words[0].start_ms >= 80_000


async def test_what_a_busy_thread_refuses_is_told_and_takes_its_place_in_time(lab: Any) -> None:
    sound, text = lab.clip(1)
    async with lab.bench(lab.saying(text), limit=0) as b:
        for frame in lab.entries(lab.silence(800)):
            b.listener.feed(frame)
        b.seq = 10
        b.media._limit = 512
        await b.hear(np.concatenate((lab.silence(160), sound, lab.silence(1_500))))
        notices = b.bodies(Notice)
        assert [(notice.code, notice.count) for notice in notices] == [("input_shed", 10)]
        assert len(b.bodies(TurnEnded)) == 1


async def test_consent_taken_back_holds_at_once(lab: Any) -> None:
    sound, text = lab.clip(1)
    facts = {"profile": "personal_training", "consent": Consent(emotion=True)}
    async with lab.bench(lab.saying(text), **facts) as b:
        await b.hear(np.concatenate((sound, lab.silence(300))))
        b.listener.set_consent(Consent(emotion=False))
        await b.hear(lab.silence(1_200))
        assert b.bodies(VoiceToCoach)[0].prosody.emotion is None
        b.listener.set_consent(Consent(emotion=True))
        await b.hear(np.concatenate((sound, lab.silence(1_500))))
        assert b.bodies(VoiceToCoach)[1].prosody.emotion is not None


async def test_feeding_before_the_start_is_a_fault_of_the_caller(lab: Any) -> None:
    media = MediaThread(asyncio.get_running_loop())
    tools = ListenerTools(media, lab.pool, lab.Scripted(lab.saying("")), None, SystemClock())
    listener = Listener(ListenerSpec("nl"), tools, lambda *_: None, lambda _: None)
    with pytest.raises(RuntimeError, match="start"):
        listener.feed(AudioFrame(0, 0, ()))
    await listener.close()
    await media.close()
