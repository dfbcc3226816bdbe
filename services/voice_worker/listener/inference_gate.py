"""Whether anything about a person's state may be read from the voice at all. Pure; the only place that decides it.

EU Regulation 2024/1689, Art. 5(1)(f): inferring emotions at work or in education is unlawful, whoever consents.
"""

from __future__ import annotations

from typing import Final

from shared.events import Consent, Profile

_ALLOWED: Final[frozenset[Profile]] = frozenset({"personal_training", "research"})


def may_infer_emotion(profile: Profile, consent: Consent) -> bool:
    """Return True only for a profile where it is lawful, and with the user's own consent."""
    return profile in _ALLOWED and consent.emotion
