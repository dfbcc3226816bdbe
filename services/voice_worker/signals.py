"""What the listener tells the voice engine of its own session, now and in this process; nothing of it is stored.

Times are media ms. `utterance` counts stretches of speech in the session, those that become no turn included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class UserSpeechStarted:
    """The user is speaking; it is not known yet if this becomes a turn."""

    utterance: int
    start_ms: int
    while_hugo_speaks: bool


@dataclass(frozen=True, slots=True)
class BargeInCandidate:
    """The user speaks over Hugo: pause the voice now, and keep its place.

    InterruptionConfirmed or FalseInterruption of the same utterance follows.
    """

    utterance: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class InterruptionConfirmed:
    """The user takes the floor: drop what Hugo has not said yet. `turn` is the user's turn."""

    utterance: int
    turn: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class FalseInterruption:
    """It was a backchannel or a noise: go on where the voice was paused."""

    utterance: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class UserTurnComplete:
    """The user's turn is over and recognised: it is Hugo's turn to answer.

    `text` is "" if nothing was recognised (a Notice says so if the recogniser failed): there is no VoiceToCoach then,
    so no answer of the coach comes. `continued` is true if the turn was cut at the longest length while the user
    talks on.
    """

    turn: str
    start_ms: int
    end_ms: int
    text: str
    interrupt: bool
    continued: bool


@dataclass(frozen=True, slots=True)
class AcknowledgementFits:
    """The user talks on and has paused for a moment: a short "hm" of Hugo would fit now."""

    at_ms: int


Signal: TypeAlias = (
    UserSpeechStarted
    | BargeInCandidate
    | InterruptionConfirmed
    | FalseInterruption
    | UserTurnComplete
    | AcknowledgementFits
)
