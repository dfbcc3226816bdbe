"""The demo's script and its verdict on itself. The whole demo runs in tests/pipeline by the same parts."""

from __future__ import annotations

import pytest

from services.command_line.call_report import AnswerLatency
from services.command_line.demo import _missing, load_role_play
from services.command_line.recording import CallRecording
from services.command_line.talk import Conversation
from shared.events import ScorecardReady, Transcript


@pytest.mark.parametrize("language", ["en", "nl"])
def test_the_role_play_has_eight_spoken_turns(language: str) -> None:
    script, clips = load_role_play(language, 8)
    assert len(clips) == len(script["turns"]) == 8
    for clip in clips:
        assert 3 < len(clip) / 24_000 < 10


def test_fewer_turns_may_be_asked_for() -> None:
    assert len(load_role_play("en", 2)[1]) == 2


def conversation(outcomes: list[str], *, scorecard: bool = True) -> Conversation:
    latencies = [AnswerLatency(f"u{n}", f"h{n}", 0, 500, 600) for n, _ in enumerate(outcomes)]
    card = ScorecardReady("1.0.0", {}) if scorecard else None
    return Conversation(CallRecording(), [], outcomes, latencies, card, 0)


def said(n: int) -> list[Transcript]:
    return [Transcript(f"u{k}", "user", "hello", True, 0, 100, "en") for k in range(n)]


def test_a_whole_conversation_misses_nothing() -> None:
    assert _missing(conversation(["answered"] * 2), said(2), 2, 2) == []


def test_says_what_is_missing() -> None:
    missing = _missing(conversation(["answered", "no_answer"], scorecard=False), said(1), 2, 1)
    assert missing == [
        "turn 2 of the seller was not answered (no_answer)",
        "only 1 of 2 turns of the seller are in the transcript",
        "only 1 of 2 answers were heard",
        "the scorecard",
    ]
