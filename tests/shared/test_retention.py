"""What may be kept after a session's end: sound and words each by its own switch, and the last word counts."""

from __future__ import annotations

import pytest

from shared.events import Body, Consent, ConsentChanged, Event, SessionStarted, TurnStarted
from shared.retention import Retention, consent_from_state, consent_to_state, latest_consent, lifetimes
from shared.streams import new_session_id, session_keys

KEYS = session_keys(new_session_id(1))
RETENTION = Retention(kept_s=3_600, without_consent_s=120)


@pytest.mark.parametrize("store_audio", [False, True])
@pytest.mark.parametrize("store_transcript", [False, True])
@pytest.mark.parametrize("emotion", [False, True])
def test_sound_and_words_live_by_their_own_switch(store_audio: bool, store_transcript: bool, emotion: bool) -> None:
    found = lifetimes(KEYS, Consent(store_audio, store_transcript, emotion), RETENTION)
    sound_s, words_s = (3_600 if store_audio else 120), (3_600 if store_transcript else 120)
    assert found == {
        KEYS.audio_in: sound_s,
        KEYS.audio_out: sound_s,
        KEYS.events: words_s,
        KEYS.state: words_s,
        KEYS.scorecard: words_s,
        KEYS.dead: words_s,
    }


def test_without_consent_is_never_longer_than_with_it() -> None:
    assert set(lifetimes(KEYS, Consent(), Retention(kept_s=60, without_consent_s=120)).values()) == {60}


def said(*bodies: Body) -> list[Event]:
    return [Event(f"e{n}", KEYS.session_id, "edge", 1, 0, 0, body) for n, body in enumerate(bodies)]


def test_the_last_word_counts() -> None:
    started = SessionStarted("echo", "en", consent=Consent(store_audio=True))
    turn = TurnStarted("u1", "user", 0)
    assert latest_consent(said(started, turn)) == Consent(store_audio=True)
    taken_back = ConsentChanged(Consent())
    assert latest_consent(said(started, turn, ConsentChanged(Consent(store_transcript=True)), taken_back)) == Consent()
    assert latest_consent([]) == latest_consent(said(turn)) == Consent()


@pytest.mark.parametrize("consent", [Consent(), Consent(True, False, True), Consent(False, True, False)])
def test_the_state_hash_holds_it(consent: Consent) -> None:
    assert consent_from_state(consent_to_state(consent)) == consent


def test_a_state_that_is_gone_allows_nothing() -> None:
    assert consent_from_state({}) == Consent()
