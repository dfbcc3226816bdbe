"""What a listener is given: the session's facts, its settings and the process's tools. Values and protocols only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from services.voice_worker.engines.base import SessionSpec
from services.voice_worker.listener.turns import TurnSettings
from services.voice_worker.listener.vad import VoiceActivityPool
from services.voice_worker.media_thread import MediaThread
from services.voice_worker.signals import Signal
from services.voice_worker.speech.interfaces import Transcriber, TurnPredictor, WindowTranscriber
from shared.audio import FRAME_MS
from shared.clock import Clock
from shared.events import Body, Consent, Language, Profile

OnSignal = Callable[[Signal], None]


class Emit(Protocol):
    """Publishes an event of the session; never blocks."""

    def __call__(self, body: Body, event_id: str, media_ms: int) -> None: ...


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """Settings of all listeners of a process. Times in ms of media time unless they end in `_s` (seconds awake)."""

    turns: TurnSettings = field(default_factory=TurnSettings)
    preroll_ms: int = 300
    """Sound before the first speech window that is recognised with it: a soft first consonant is in there."""
    partial_every_ms: int = 1_000
    partial_load: float = 0.5
    """Share of the time that partials may keep the recogniser busy; a slow one gives fewer of them."""
    recognition_timeout_s: float = 6.0
    hint_timeout_s: float = 0.5
    hint_sound_ms: int = 8_000
    close_timeout_s: float = 4.0
    """How long `close` waits for the text of the last turn."""
    shed_notice_every_ms: int = 10_000
    stretch_ms: int = 1_000
    """Speech between two ProsodyMeasured events."""


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """One session. A takeover says where it goes on: the next turn's number and the media time of the next frame."""

    language: Language
    locale: str = ""
    profile: Profile = "workplace"
    consent: Consent = field(default_factory=Consent)
    start_turn_number: int = 1
    start_media_ms: int = 0
    settings: ListenerSettings = field(default_factory=ListenerSettings)


def listener_spec(session: SessionSpec) -> ListenerSpec:
    """Return what the listener of a session is given."""
    return ListenerSpec(
        session.language,
        session.locale,
        session.profile,
        session.consent,
        start_turn_number=session.user_turns + 1,
        start_media_ms=session.listen_from_frame * FRAME_MS,
    )


@dataclass(frozen=True, slots=True)
class ListenerTools:
    """What all listeners of a process share. Without a `turn_predictor` turns end by silence alone."""

    media_thread: MediaThread
    activities: VoiceActivityPool
    transcriber: Transcriber | WindowTranscriber
    turn_predictor: TurnPredictor | None
    clock: Clock
