"""What a voice engine is. One interface for all; a contract test runs over every engine.

The rule that clients rely on: **one frame out for each frame in**, silence included, in order. An engine
never waits in `feed`: heavy work runs on threads or in processes of its own, and its frames come later.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

from services.voice_worker.signals import Signal
from shared.events import Body, CoachToVoice, Consent, Language, Profile, VoiceMode
from shared.wire import AudioFrame

Packets = tuple[bytes, ...]
"""Opus packets of one frame, 24 kHz mono."""


def turn_number(turn: str) -> int:
    """Return 3 for "u3"; 0 for a turn without a number."""
    return int(turn[1:]) if turn[1:].isdigit() else 0


@dataclass(frozen=True, slots=True)
class Past:
    """The end of what was heard and said before: entries of both audio streams, and Hugo's (media ms, word)."""

    input: tuple[AudioFrame, ...]
    output: tuple[AudioFrame, ...]
    words: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Unsaid:
    """What Hugo still has to say where a session is taken over.

    `turn` is his turn that was open ("" for none), begun at `start_ms`, of which the words `heard` were said; it
    says the coach's answer `answers` (None: words of the voice's own). `messages` are the coach's sentences that
    are not said to their end, in order, those of `answers` whole. `refused` are answers that the user cut off:
    what comes of them later is not said.
    """

    turn: str = ""
    start_ms: int = 0
    heard: tuple[str, ...] = ()
    answers: str | None = None
    messages: tuple[CoachToVoice, ...] = ()
    refused: frozenset[str] = frozenset()

    def rest(self) -> list[CoachToVoice]:
        """Return the messages without the words that were said. One whose words were all said has an empty text."""
        n_said = len(self.heard)
        rest: list[CoachToVoice] = []
        for message in self.messages:
            words = message.response_text.split()
            if message.turn == self.answers:
                n_here = min(n_said, len(words))
                n_said -= n_here
                message = replace(message, response_text=" ".join(words[n_here:]))
            rest.append(message)
        return rest


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """What a session asked for, and where it goes on if somebody else served it before.

    `start_frame` is the number of the first frame to give back; `hugo_turns` counts the turns that Hugo began,
    `user_turns` those of the user that are over and understood: the listener hears the next one, which may have
    begun, from `listen_from_frame` on. `unsaid` is what Hugo was about to say. `past` is there for an engine with
    `history_s` that takes a session over. `mode` and `seed` are for engines that have them; empty and None: the
    engine's own.
    """

    session_id: str
    engine: str
    language: Language
    locale: str = ""
    voice: str = ""
    persona: str = ""
    profile: Profile = "workplace"
    consent: Consent = field(default_factory=Consent)
    start_frame: int = 0
    hugo_turns: int = 0
    user_turns: int = 0
    mode: VoiceMode | None = None
    seed: int | None = None
    past: Past | None = None
    listen_from_frame: int = 0
    unsaid: Unsaid = field(default_factory=Unsaid)


class EngineHost(Protocol):
    """What an engine session may call, on the event loop."""

    def deliver(self, packets: Packets, n_samples: int, consumed: str) -> None:
        """Give the next frame back. `consumed` is the id of the last input entry that it rests on."""
        ...

    def emit(self, body: Body, event_id: str, media_ms: int) -> None:
        """Publish an event of the session."""
        ...

    def set_speaking(self, speaking: bool, wants_answer: bool = False) -> None:
        """Hugo takes or leaves the floor; turn detection needs to know. `wants_answer`: he ended with a question."""
        ...

    def fail(self, reason: str) -> None:
        """The engine cannot go on with this session."""
        ...


class EngineSession(Protocol):
    """One session in an engine. All calls come on the event loop."""

    def feed(self, frame: AudioFrame, entry_id: str) -> None:
        """Take in the next frame. Never waits; calls `deliver` for it now or later."""
        ...

    def on_signal(self, signal: Signal) -> None:
        """Take in what the listener noticed of the user."""
        ...

    def on_coach(self, message: CoachToVoice) -> None:
        """Take in words and hints of the coach."""
        ...

    async def close(self) -> None:
        """End the session and free its slot. Nothing is delivered afterwards."""
        ...


class VoiceEngine(Protocol):
    """An engine with a fixed number of slots.

    `history_s` is how much of a session's past it wants when it takes one over, in seconds.
    """

    name: str
    slots: int
    history_s: float

    @property
    def accepting(self) -> bool:
        """False while no session should be admitted, though slots are free."""
        ...

    @property
    def broken(self) -> str:
        """Why the engine cannot serve any more, "" while it can: only a new process mends it."""
        ...

    async def start(self) -> None:
        """Load and warm up. EngineError says what is missing and how to mend it."""
        ...

    async def open(self, spec: SessionSpec, host: EngineHost) -> EngineSession:
        """Open a session. EngineError if it cannot be served."""
        ...

    async def aclose(self) -> None:
        """Free everything."""
        ...
