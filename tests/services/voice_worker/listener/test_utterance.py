"""What is made of a recognition: words in media time, transcripts, the message to the coach."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.listener.delivery import Delivery
from services.voice_worker.listener.recognition import Request
from services.voice_worker.listener.utterance import (
    MAX_TEXT,
    Utterance,
    to_coach,
    transcript,
    words_in_media_time,
)
from services.voice_worker.speech.interfaces import RecognisedWord, Recognition
from shared.events import Consent, Event, Prosody, ProsodyMeasured, Word
from shared.wire import decode_event, encode_event

REQUEST = Request(1, "final", 1, 10_000, 14_000, np.zeros(64_000, dtype=np.float32))


def utterance() -> Utterance:
    voice = Delivery("nl", "", "workplace", Consent()).begin(10_300)
    return Utterance(1, 10_300, voice, quiet_before_s=0.6, turn="u3", interrupt=True, end_ms=13_500)


def test_words_stand_where_their_sound_is() -> None:
    heard = Recognition("Goede morgen", (RecognisedWord(" Goede", 0.3, 0.72, 0.9), RecognisedWord("morgen", 0.72, 1.2)))
    assert words_in_media_time(heard, REQUEST) == (
        Word("Goede", 10_300, 10_720, 0.9),
        Word("morgen", 10_720, 11_200, None),
    )


@given(st.lists(st.tuples(st.floats(-5, 50), st.floats(-5, 50), st.none() | st.floats(-1, 2)), max_size=5))
def test_whatever_a_recogniser_says_the_event_is_valid(times: list[tuple[float, float, float | None]]) -> None:
    words = tuple(RecognisedWord("w", start, end, confidence) for start, end, confidence in times)
    said = transcript(utterance(), Recognition("w " * 30_000, words, 1.7), REQUEST, "nl", final=True)
    event = Event("voice:transcript:u3:final", "0" * 26, "voice", 1, 14_080, 0, said)
    assert decode_event(encode_event(event)) == event
    assert len(said.text) <= MAX_TEXT
    assert all(10_000 <= word.start_ms <= word.end_ms <= 14_000 for word in said.words)


def test_a_partial_reaches_as_far_as_its_sound_and_a_final_as_far_as_the_speech() -> None:
    heard = Recognition(" Goede ")
    partial = transcript(utterance(), heard, REQUEST, "nl", final=False)
    final = transcript(utterance(), heard, REQUEST, "nl", final=True)
    assert (partial.text, partial.final, partial.end_ms) == ("Goede", False, 14_000)
    assert (final.start_ms, final.end_ms, final.final) == (10_300, 13_500, True)


def test_the_coach_gets_text_timing_prosody_and_who_interrupted() -> None:
    u = utterance()
    said = transcript(u, Recognition("Ja", (RecognisedWord("Ja", 0.3, 0.5),), 0.7), REQUEST, "nl", final=True)
    measured = ProsodyMeasured("u3", 10_300, 13_500, Prosody(None, None, 0.6), speech_pace="fast")
    message = to_coach(u, said, measured)
    assert message.transcript == "Ja"
    assert message.timing.word_timestamps == said.words
    assert (message.timing.speech_pace, message.timing.pause_duration) == ("fast", 0.6)
    assert message.prosody == Prosody(None, None, 0.6)
    assert (message.turn, message.interrupt, message.asr_confidence) == ("u3", True, 0.7)
    assert (message.start_ms, message.end_ms) == (10_300, 13_500)
