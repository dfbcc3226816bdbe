"""Latencies from events and arrivals, and the lines that people and programs read."""

from __future__ import annotations

import numpy as np
import pytest

from services.command_line.call_report import (
    AnswerLatency,
    LatencyMeter,
    as_json,
    describe,
    latency_json,
    latency_line,
)
from services.command_line.client import Received
from services.command_line.recording import CallRecording
from shared.audio import FRAME_SAMPLES
from shared.events import (
    Body,
    CoachToVoice,
    Event,
    MetricsUpdated,
    MetricValue,
    Notice,
    Prosody,
    ProsodyMeasured,
    ScorecardReady,
    SessionStarted,
    Transcript,
    TurnEnded,
    TurnScored,
    TurnStarted,
)


def event(body: Body, media_ms: int = 0) -> Event:
    return Event("voice:e:final", "s", "voice", 1, media_ms, 0, body)


def call_of(levels: list[float], lag_s: float = 0.0) -> CallRecording:
    """A call in which frame n was sent at (n+1)*80 ms and its answer came `lag_s` later."""
    recording = CallRecording()
    for number, level in enumerate(levels):
        at_s = (number + 1) * 0.08
        recording.add_sent(np.zeros(FRAME_SAMPLES, dtype=np.float32), at_s)
        recording.add_heard(np.full(FRAME_SAMPLES, level, dtype=np.float32), at_s + lag_s)
    return recording


def test_latency_runs_from_the_end_of_speech_to_the_first_sound() -> None:
    recording = call_of([0.0] * 10 + [0.2] * 5, lag_s=0.03)
    meter = LatencyMeter(recording)
    meter.on_event(event(TurnStarted("u1", "user", 0)))
    meter.on_event(event(TurnEnded("u1", "user", 0, 400), 600))
    meter.on_event(event(TurnStarted("h1", "hugo", 800)))
    # Said at 0.40 s; the frame of 800 ms went out at 0.88 s and came back at 0.91 s.
    assert meter.latencies() == [AnswerLatency("u1", "h1", 400, 400, 510)]


def test_only_the_first_answer_to_a_turn_counts() -> None:
    meter = LatencyMeter(call_of([0.2] * 40))
    for body in (
        TurnStarted("h0", "hugo", 0),  # a greeting answers nobody
        TurnStarted("u1", "user", 100),
        TurnEnded("u1", "user", 100, 400),
        TurnStarted("u2", "user", 500),  # the user went on
        TurnEnded("u2", "user", 500, 900),
        TurnStarted("h1", "hugo", 1200),
        TurnStarted("h2", "hugo", 1800),
    ):
        meter.on_event(event(body))
    assert [(item.user_turn, item.hugo_turn, item.turn_ms) for item in meter.latencies()] == [("u2", "h1", 300)]


def test_an_answer_without_sound_has_no_latency_and_is_not_zero() -> None:
    meter = LatencyMeter(call_of([0.0] * 20))
    meter.on_event(event(TurnEnded("u1", "user", 0, 400)))
    meter.on_event(event(TurnStarted("h1", "hugo", 800)))
    (latency,) = meter.latencies()
    assert latency.heard_ms is None
    assert "no sound" in latency_line(latency)
    assert latency_json(latency)["heardMs"] is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (SessionStarted("cascade", "nl"), "[session] cascade, nl"),
        (Transcript("u1", "user", "Goedemorgen", True, 500, 1500, "nl"), "user (0.50 to 1.50): Goedemorgen"),
        (
            CoachToVoice("u1", "Vertel eens.", techniques=("t1",)),
            "[hint] policy, t1, pace normal, tone neutral: Vertel eens.",
        ),
        (
            ProsodyMeasured("u1", 0, 900, Prosody(energy=0.5), f0_median_hz=121.4),
            "[prosody] u1: pace normal, energy 0.50, confidence not inferred, emotion not inferred, pitch 121 Hz",
        ),
        (TurnScored("u1", (), None), "[score] u1: no technique, not scored"),
        (ScorecardReady("v1", {}), "[scorecard] version v1"),
        (Notice("x", "warning", "audio was shed"), "[warning] audio was shed"),
    ],
)
def test_lines_for_people(body: Body, expected: str) -> None:
    line = describe(Received("event", 0.0, event=event(body, 1500)))
    assert line is not None
    assert line.split(maxsplit=1) == ["1.50", expected]


def test_partials_and_figures_are_for_verbose_readers() -> None:
    partial = event(Transcript("u1", "user", "Goe", False, 0, 100, "nl"))
    figures = event(MetricsUpdated((MetricValue("talk_ratio", 0.5, "ratio"), MetricValue("wpm", None, ""))))
    for quiet in (partial, figures, event(TurnStarted("u1", "user", 0))):
        assert describe(Received("event", 0.0, event=quiet)) is None
    assert (describe(Received("event", 0.0, event=partial), verbose=True) or "").endswith("Goe ...")
    assert (describe(Received("event", 0.0, event=figures), verbose=True) or "").endswith("talk_ratio 0.5 ratio")


def test_of_prosody_only_the_whole_turns_is_told() -> None:
    body = ProsodyMeasured("u1", 0, 900, Prosody())
    part = Event("voice:prosody:u1:900", "s", "voice", 1, 0, 0, body)
    assert describe(Received("event", 0.0, event=part)) is None
    assert "[prosody] u1" in (describe(Received("event", 0.0, event=part), verbose=True) or "")


def test_json_keeps_the_event_as_it_came() -> None:
    assert as_json(Received("event", 1.0, data={"id": "x"})) == {"type": "event", "event": {"id": "x"}}
    assert as_json(Received("text", 1.0, " hallo")) == {"type": "text", "text": " hallo"}
    assert describe(Received("error", 0.0, "no slot")) == "  error  no slot"
    assert describe(Received("text", 0.0, "a piece")) is None
