"""How long what a session leaves in Redis is kept after its end: as its user allows. Pure.

What a consent is and where it stands: in the session's events (the first one, then each change), and in its state hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shared.events import Consent, ConsentChanged, Event, SessionStarted
from shared.streams import SessionKeys

CONSENT_FIELDS = ("consent_store_audio", "consent_store_transcript", "consent_emotion")
"""Fields of the state hash, in the order of Consent's own."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Seconds after a session's end: for what the user allows to be kept, and for everything else."""

    kept_s: int = 3_600
    without_consent_s: int = 120


def lifetimes(keys: SessionKeys, consent: Consent, retention: Retention) -> dict[str, int]:
    """Return the seconds that each key of an ended session may still live.

    Sound is kept by `store_audio`; what was said, how it was judged and who it was by `store_transcript`. Without
    it there is just the time that the scorecard, its check and a client that comes late need.
    """
    short_s = min(retention.without_consent_s, retention.kept_s)
    sound_s = retention.kept_s if consent.store_audio else short_s
    words_s = retention.kept_s if consent.store_transcript else short_s
    return {key: sound_s if key in (keys.audio_in, keys.audio_out) else words_s for key in keys.all()}


def latest_consent(events: Iterable[Event]) -> Consent:
    """Return the consent that holds at the end of `events`; none where they do not say."""
    consent = Consent()
    for event in events:
        if isinstance(event.body, SessionStarted | ConsentChanged):
            consent = event.body.consent
    return consent


def consent_to_state(consent: Consent) -> dict[str, str]:
    """Return the fields of the state hash."""
    values = (consent.store_audio, consent.store_transcript, consent.emotion)
    return {name: str(int(value)) for name, value in zip(CONSENT_FIELDS, values, strict=True)}


def consent_from_state(fields: Mapping[str, str]) -> Consent:
    """Return what the state hash says; what it does not say is not allowed."""
    return Consent(*(fields.get(name) == "1" for name in CONSENT_FIELDS))
