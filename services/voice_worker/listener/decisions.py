"""What the turn machine decides. Values only; times are media ms, `utterance` counts stretches of speech."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech, long enough to be no click. Undecided until TurnOpened, BackchannelHeard or Discarded."""

    utterance: int
    start_ms: int
    while_hugo_speaks: bool


@dataclass(frozen=True, slots=True)
class ThirdSpeechFrame:
    """The user has spoken over Hugo for three frames: pause the voice now."""

    utterance: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class TurnOpened:
    """The utterance is a turn. `interrupt`: it took the floor from Hugo."""

    utterance: int
    turn: int
    start_ms: int
    interrupt: bool


@dataclass(frozen=True, slots=True)
class InterruptionConfirmed:
    """The user's turn goes on over Hugo's: drop what Hugo has not said."""

    utterance: int
    turn: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class FalseInterruption:
    """The voice may go on: what paused it takes no turn."""

    utterance: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class ShortPause:
    """A silence that may be the end: recognise what there is, ask if the turn sounds complete."""

    utterance: int
    pause: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """Speech again after a ShortPause: the turn goes on."""

    utterance: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class TurnComplete:
    """The turn is over; its speech ended at `end_ms`. `continued`: cut at the longest length, the next one is open."""

    utterance: int
    turn: int
    start_ms: int
    end_ms: int
    interrupt: bool
    continued: bool = False


@dataclass(frozen=True, slots=True)
class BackchannelHeard:
    """A short acknowledgement; no turn."""

    utterance: int
    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Discarded:
    """The utterance was no speech after all (no words in it), or nobody could say in time what it was."""

    utterance: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class AcknowledgementFits:
    """The user talks on: a short acknowledgement fits into this pause."""

    at_ms: int


Decision: TypeAlias = (
    SpeechStarted
    | ThirdSpeechFrame
    | TurnOpened
    | InterruptionConfirmed
    | FalseInterruption
    | ShortPause
    | Resumed
    | TurnComplete
    | BackchannelHeard
    | Discarded
    | AcknowledgementFits
)
