"""Reading emotion from a voice is locked where the law forbids it, whatever the user allows."""

from __future__ import annotations

import pytest

from services.voice_worker.listener.inference_gate import may_infer_emotion
from shared.events import Consent, Profile


@pytest.mark.parametrize(
    ("profile", "with_consent"),
    [("workplace", False), ("education", False), ("personal_training", True), ("research", True)],
)
def test_profile_and_consent_must_both_allow_it(profile: Profile, with_consent: bool) -> None:
    assert may_infer_emotion(profile, Consent(emotion=True)) is with_consent
    assert may_infer_emotion(profile, Consent(store_audio=True, store_transcript=True)) is False
