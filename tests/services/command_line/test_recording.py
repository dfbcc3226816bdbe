"""Both directions on media time, and when something was said and heard."""

from __future__ import annotations

import numpy as np
import pytest

from services.command_line import recording
from services.command_line.recording import CallRecording, level_db
from shared.audio import FRAME_SAMPLES

SILENCE = np.zeros(FRAME_SAMPLES, dtype=np.float32)
SOUND = np.full(FRAME_SAMPLES, 0.1, dtype=np.float32)


def test_level_of_known_signals() -> None:
    assert level_db(np.ones(10, dtype=np.float32)) == pytest.approx(0.0)
    assert level_db(SOUND) == pytest.approx(-20.0, abs=1e-4)
    assert level_db(SILENCE) == -120.0
    assert level_db(np.zeros(0, dtype=np.float32)) == -120.0


def test_first_sound_and_its_place() -> None:
    call = CallRecording()
    for number, pcm in enumerate([SOUND, SILENCE, SILENCE, SOUND]):
        call.add_heard(pcm, 10.0 + number)
    found = call.first_sound(100)
    assert found is not None
    assert (found.media_ms, found.at_s) == (240.0, 13.0)
    assert call.first_sound(241) is None
    assert call.loud_ms == 240.0
    assert len(call.heard()) == 4 * FRAME_SAMPLES


def test_a_frame_goes_out_when_its_last_sample_is_spoken() -> None:
    call = CallRecording()
    call.add_sent(SILENCE, 100.0)
    call.add_sent(SOUND, 100.08)
    assert call.said_at_s(80) == pytest.approx(100.0)
    assert call.said_at_s(120) == pytest.approx(100.04)
    assert call.said_at_s(0) == pytest.approx(99.92)
    assert call.said_at_s(160) is None
    assert call.said_at_s(-1) is None


def test_what_is_beyond_the_bound_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MAX_KEPT_S", 0.16)
    call = CallRecording()
    for _ in range(5):
        call.add_sent(SOUND, 0.0)
        call.add_heard(SOUND, 0.0)
    assert call.sent_frames == 5
    assert len(call.sent()) == len(call.heard()) == 2 * FRAME_SAMPLES
    assert call.heard_ms == 400


def test_nothing_is_kept_where_that_is_wanted() -> None:
    call = CallRecording(keep=False)
    call.add_sent(SOUND, 0.0)
    call.add_heard(SOUND, 0.0)
    assert len(call.sent()) == len(call.heard()) == 0
    assert call.loud_ms == 0.0
