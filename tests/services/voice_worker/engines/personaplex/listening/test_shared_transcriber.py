"""A session's transcript out of what the model heard anyway: windows of media time, waited for, and never for long."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from services.voice_worker.engines.base import SessionSpec
from services.voice_worker.engines.personaplex.build import build_engine
from services.voice_worker.engines.personaplex.inputs import SlotOutput
from services.voice_worker.engines.personaplex.listening import shared_transcriber
from services.voice_worker.engines.personaplex.listening.hearing import Hearing, SttConfig
from services.voice_worker.engines.personaplex.listening.shared_transcriber import SharedTranscriber
from services.voice_worker.engines.personaplex.slot import GRACE_TICKS, STALL_FRAMES, Conversation, FrameOut
from services.voice_worker.engines.personaplex.steering.words import WordAssembler
from services.voice_worker.session import HearingSession
from services.voice_worker.settings import VoiceSettings
from services.voice_worker.speech.interfaces import RecognisedWord, Recognition, Transcriber, WindowTranscriber
from shared.audio import FRAME_MS, FRAME_SAMPLES
from shared.audio.opus import OpusEncoder
from shared.streams import new_session_id
from shared.testing.engine_host import RecordingHost
from shared.wire import AudioFrame

PAD, EPAD, YES, NO = 3, 0, 4, 5


class Pieces:
    def encode(self, text: str) -> list[int]:
        raise NotImplementedError

    def id_to_piece(self, token: int) -> str:
        return {YES: "▁yes", NO: "▁no"}[token]


def ears(start_frame: int = 0) -> SharedTranscriber:
    return SharedTranscriber(Hearing(SttConfig(audio_delay_s=0.4), Pieces()), start_frame)


def hear(one: SharedTranscriber, *tokens: int) -> None:
    for token in tokens:
        one.heard(token, 0.0)


async def test_a_window_has_its_words_with_times_from_its_start() -> None:
    one = ears()
    hear(one, *[PAD] * 10, EPAD, YES, PAD, PAD, EPAD, NO, *[PAD] * 10)
    heard = await one.transcribe_window(300, 900, partial=False)
    assert heard == Recognition("yes no", (RecognisedWord("yes", 0.1, 0.295), RecognisedWord("no", 0.42, 0.58)))
    assert await one.transcribe_window(800, 1000, partial=False) == Recognition("")


async def test_the_end_of_a_window_is_waited_for_and_a_partial_takes_what_is_there() -> None:
    one = ears()
    hear(one, *[PAD] * 10, EPAD, YES, PAD)
    final = asyncio.create_task(one.transcribe_window(0, 800, partial=False))
    assert (await one.transcribe_window(0, 800, partial=True)).text == "yes"
    hear(one, EPAD)
    await asyncio.sleep(0)
    hear(one, NO)
    await asyncio.sleep(0)
    assert not final.done()
    hear(one, PAD)
    assert (await asyncio.wait_for(final, 5)).text == "yes no"


async def test_what_never_comes_is_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_transcriber, "WAIT_BEYOND_DELAY_S", -0.39)
    one = ears()
    hear(one, *[PAD] * 10, EPAD, YES, PAD)
    assert (await asyncio.wait_for(one.transcribe_window(0, 5000, partial=False), 5)).text == "yes"


async def test_media_time_begins_where_the_session_goes_on_and_jumps_with_it() -> None:
    one = ears(start_frame=100)
    for index in (*range(13), *range(63, 73)):  # 50 frames were lost
        one.fed(index)
    hear(one, *[PAD] * 10, EPAD, YES, PAD, *[PAD] * 6, EPAD, NO, PAD, PAD)
    heard = await one.transcribe_window(8_000, 20_000, partial=True)
    starts = [round(8_000 + 1000 * word.start_s) for word in heard.words]
    assert starts == [110 * FRAME_MS - 400, (100 + 69) * FRAME_MS - 400]


async def test_what_the_model_heard_while_it_waited_belongs_to_the_time_it_waited_for() -> None:
    """A word just before the user's connection stalls is recognised during silence that nobody is played."""
    one = ears()
    hear(one, *[PAD] * 10)
    one.heard(PAD, 0.5, before=(EPAD, YES, PAD, PAD))
    heard = await one.transcribe_window(0, 700, partial=False)
    assert [(word.text, word.start_s) for word in heard.words] == [("yes", 0.4)]
    assert one.pause_probability == 0.5


class Slot:
    """A conversation whose model is silent and whose recogniser counts what it hears, silence included, from 100."""

    def __init__(self) -> None:
        self.talk = Conversation(0, "guided", WordAssembler(str))
        self.talk.begin(np.zeros(8, np.int64), np.zeros(8, np.int64))
        self.out: list[FrameOut] = []
        self._n_heard = 99
        self.tick()

    def tick(self, overdue: bool = False) -> None:
        if self.talk.next_input(overdue) is not None:
            nothing, silence = np.zeros(8, np.int64), np.zeros(FRAME_SAMPLES, np.float32)
            self.talk.take(SlotOutput(PAD, nothing, nothing, silence, PAD, True, self._n_heard, 0.5))
            self._n_heard += 1
        self.out += self.talk.collect()

    def run(self) -> None:
        self.talk.feed(np.zeros(FRAME_SAMPLES, np.float32), "1-1")
        self.tick()


def test_a_slot_hands_on_what_was_heard_though_nobody_is_played_it() -> None:
    slot = Slot()
    slot.run()
    for _ in range(1 + GRACE_TICKS):
        slot.tick(overdue=True)  # silence is heard in place of a late frame
    slot.run()  # which is answered with what came of that
    for _ in range(GRACE_TICKS + STALL_FRAMES + 1):
        slot.tick(overdue=True)  # silence is heard, until the clock stops
    slot.run()
    heard = [(frame.heard_text, frame.pause, frame.unplayed) for frame in slot.out]
    stalled = tuple(range(102, 102 + STALL_FRAMES))
    assert heard == [(100, 0.5, ()), (101, 0.5, ()), (102 + STALL_FRAMES, 0.5, stalled)]


def frame(n: int, encoder: OpusEncoder) -> AudioFrame:
    pcm = np.random.default_rng(n).normal(0, 0.1, FRAME_SAMPLES).astype(np.float32)
    return AudioFrame(n, FRAME_SAMPLES, encoder.encode(pcm))


async def test_an_engine_with_a_recogniser_gives_its_sessions_ears() -> None:
    engine = build_engine(VoiceSettings(personaplex_model="tiny", personaplex_slots=1, personaplex_stt="tiny"))
    await engine.start()
    host, encoder = RecordingHost(), OpusEncoder()
    session = await engine.open(SessionSpec(new_session_id(1), "personaplex", "en"), host)
    for n in range(25):
        session.feed(frame(n, encoder), f"1-{n}")
    await host.wait_for_frames(25)
    assert isinstance(session, HearingSession)
    own = session.transcriber
    assert own is not None
    assert isinstance(own, WindowTranscriber)
    assert not isinstance(own, Transcriber)
    heard = await own.transcribe_window(0, 800, partial=False)
    assert heard.text
    assert heard.text.split() == " ".join(word.text for word in heard.words).split()
    assert all(0 <= word.start_s <= word.end_s <= 0.8 for word in heard.words)
    assert 0 < own.pause_probability < 1
    await session.close()
    await engine.aclose()


async def test_an_engine_without_one_gives_none() -> None:
    engine = build_engine(VoiceSettings(personaplex_model="tiny", personaplex_slots=1))
    await engine.start()
    session = await engine.open(SessionSpec(new_session_id(1), "personaplex", "en"), RecordingHost())
    assert isinstance(session, HearingSession)
    assert session.transcriber is None
    await session.close()
    await engine.aclose()
