"""How long a person waits for Hugo: from the end of their speech to his first sound, cascade on local models.

A role-play's recorded turns are spoken through the edge in real time, in turns, as `splitbrain talk` does it. The end
of speech is where the sound ends in what was sent, not where the service noticed it. The stages are split by the
events' arrival at the caller, so they add up to the whole.

    python -m benchmarks.turn_latency [--languages en nl] [--rounds 2]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import MISSING, number, percentile, table
from benchmarks.stack import Stack
from services.command_line.call_options import CallOptions
from services.command_line.call_report import AnswerLatency
from services.command_line.client import Received
from services.command_line.demo import load_role_play
from services.command_line.talk import Conversation, hold_conversation
from services.command_line.turn_script import TurnRules
from shared.audio import SAMPLE_RATE
from shared.events import CoachToVoice, VoiceToCoach

RULES = TurnRules(gap_ms=600, greeting_ms=8_000)
STAGES = ("speech end -> turn and words known", "-> coach's first sentence", "-> first sound", "whole")
_WINDOW = SAMPLE_RATE // 100
_LOUD = 32768 * 10 ** (-45 / 20)
_SEARCH_MS = 600


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer's stages in milliseconds. What did not come is MISSING."""

    heard_words: float
    thought: float
    spoke: float
    whole: float


def speech_end_ms(sent: NDArray[np.int16], about_ms: int) -> float:
    """Return where the last sound before or soon after `about_ms` ends, in 10 ms steps; `about_ms` if none does."""
    last = min(len(sent), (about_ms + _SEARCH_MS) * SAMPLE_RATE // 1000) // _WINDOW
    first = max(0, last - 2 * _SEARCH_MS // 10)
    windows = sent[first * _WINDOW : last * _WINDOW].reshape(-1, _WINDOW).astype(np.float64)
    loud = np.flatnonzero(np.sqrt(np.mean(windows**2, axis=1)) > _LOUD)
    return (first + int(loud[-1]) + 1) * 10.0 if len(loud) else float(about_ms)


def answers(done: Conversation) -> list[Answer]:
    """Return the stages of each answer of a conversation, in order."""
    sent = done.recording.sent()
    return [_stages(done, latency, sent) for latency in done.latencies]


def _stages(done: Conversation, latency: AnswerLatency, sent: NDArray[np.int16]) -> Answer:
    end_s = done.recording.said_at_s(speech_end_ms(sent, latency.user_end_ms))
    known_s = _arrival(done.received, VoiceToCoach, latency.user_turn)
    thought_s = _arrival(done.received, CoachToVoice, latency.user_turn)
    start_ms = latency.user_end_ms + latency.turn_ms
    sound = done.recording.first_sound(max(start_ms - 80, 0))

    def between(first: float | None, then: float | None) -> float:
        return MISSING if first is None or then is None else (then - first) * 1000

    heard_s = sound.at_s if sound else None
    return Answer(
        between(end_s, known_s), between(known_s, thought_s), between(thought_s, heard_s), between(end_s, heard_s)
    )


def _arrival(received: list[Received], kind: type[VoiceToCoach] | type[CoachToVoice], turn: str) -> float | None:
    for thing in received:
        if thing.event and isinstance(thing.event.body, kind) and thing.event.body.turn == turn:
            return thing.at_s
    return None


async def measure(url: str, language: str, n_rounds: int) -> tuple[list[Answer], int, int]:
    """Return the answers to every round's turns, how many there should be, and frames the caller was late with."""
    found: list[Answer] = []
    expected = late = 0
    for number_ in range(1, n_rounds + 1):
        _, clips = load_role_play(language, 99)
        done = await hold_conversation(
            url, clips, CallOptions(engine="cascade", language=language), RULES, scorecard_timeout_s=0.5
        )
        here = answers(done)
        found += here
        # A pause within a clip may end a turn: then there are more answers than clips. None may hide a missing one.
        expected += max(len(clips), len(here) + sum(outcome != "answered" for outcome in done.outcomes))
        late += done.late_frames
        print(f"{language} round {number_}: {', '.join(done.outcomes)}", file=sys.stderr)
    return found, expected, late


def rows(language: str, found: list[Answer], expected: int) -> list[list[str]]:
    """Return the table's rows; a turn without an answer counts, as missing."""
    columns = zip(*((a.heard_words, a.thought, a.spoke, a.whole) for a in found), strict=True) if found else [()] * 4
    result = []
    for stage, values in zip(STAGES, columns, strict=True):
        there = [value for value in values if value != MISSING]
        figures = (number(percentile(there, expected, share), 0) for share in (0.5, 0.9, 0.99))
        result.append([f"{language}: {stage}", f"{len(there)} of {expected}", *figures])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", nargs="+", default=["en", "nl"], choices=["en", "nl"])
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    environment = {"SPLITBRAIN_VOICE_ENGINES": "cascade", "SPLITBRAIN_LOG_LEVEL": "WARNING"}
    lines, late = [], 0
    for language in given.languages:
        with Stack(("edge", "voice", "coach"), {**environment, "SPLITBRAIN_VOICE_LANGUAGES": language}) as stack:
            found, expected, late_here = asyncio.run(measure(stack.url, language, given.rounds))
        lines += rows(language, found, expected)
        late += late_here
    print(table(("from -> to", "answers", "median ms", "p90 ms", "p99 ms"), lines))
    if late:
        print(f"\nThe caller itself was too slow for {late} frames: the figures are too long.")


if __name__ == "__main__":
    main()
