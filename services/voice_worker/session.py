"""One session in a voice worker: input frames to listener and engine, their frames and events to the broker.

Everything here runs on the event loop and is quick; the listener and the engine keep their work off it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from prometheus_client import Counter, Gauge

from services.voice_worker.engines.base import EngineSession, Packets, SessionSpec, VoiceEngine
from services.voice_worker.listener.spec import Emit, OnSignal
from services.voice_worker.signals import FalseInterruption, Signal, UserSpeechStarted, UserTurnComplete
from services.voice_worker.speech.interfaces import WindowTranscriber
from shared.audio import FRAME_MS
from shared.broker import Broker
from shared.broker.entries import readable
from shared.broker.frames import FrameFilter
from shared.broker.reader import Entries
from shared.errors import Overloaded
from shared.events import (
    Body,
    CoachToVoice,
    Consent,
    ConsentChanged,
    EngineState,
    Notice,
    SessionEnded,
)
from shared.leases import Lease
from shared.session_worker import BrokerPublisher, EpochFilter
from shared.wire import AudioFrame, decode_audio, decode_event

log = logging.getLogger(__name__)

FRAMES = Counter("splitbrain_voice_frames_total", "Frames taken in and given out", ["direction"])
DEFICIT = Gauge("splitbrain_voice_frame_deficit", "Frames that the slowest session's engine is behind its input")


class SessionListener(Protocol):
    """What hears the user, whatever engine speaks."""

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Make ready; its work runs in `tasks`."""
        ...

    def feed(self, frame: AudioFrame) -> None:
        """Take in a frame; never waits."""
        ...

    def set_hugo_speaking(self, speaking: bool, media_ms: int, wants_answer: bool = False) -> None:
        """Hugo takes or leaves the floor; `wants_answer` if he ended with a question."""
        ...

    def set_consent(self, consent: Consent) -> None:
        """The user changed what may be inferred."""
        ...

    async def close(self, *, deliver: bool = True) -> None:
        """End; an open turn is closed, and told of if `deliver`."""
        ...


@runtime_checkable
class HearingSession(Protocol):
    """An engine session that may recognise the user's words by itself."""

    @property
    def transcriber(self) -> WindowTranscriber | None:
        """Its recogniser; None if it has none."""
        ...


MakeListener = Callable[[SessionSpec, Emit, OnSignal, WindowTranscriber | None], SessionListener]
"""Makes the ears of a session. The last argument is the engine's own recogniser, to be used instead of another."""


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where the last owner stopped: the input entry it consumed last, the next frame to give out, and the
    event up to which the past is known ("0" for a session that nobody served before).

    `heard_again` are consumed frames that the listener needs once more: a turn that was open is in there.
    """

    consumed: str = "0"
    next_seq: int = 0
    events_after: str = "0"
    heard_again: tuple[AudioFrame, ...] = ()


class VoiceSession:
    """Runs from `start` to `close`; `on_over(session, reason)` is called once when it ends by itself."""

    def __init__(
        self,
        broker: Broker,
        lease: Lease,
        spec: SessionSpec,
        resume: ResumePoint,
        on_over: Callable[[VoiceSession, str], None],
    ) -> None:
        self.lease = lease
        self.spec = spec
        self.last_input_s = broker.clock.monotonic()
        self._broker = broker
        self._keys = broker.keys(lease.session_id)
        self._resume = resume
        self._on_over = on_over
        self._publisher = BrokerPublisher(broker, lease.session_id, "voice", lease.epoch)
        self._filter = EpochFilter()
        self._engine: EngineSession | None = None
        self._listener: SessionListener | None = None
        self._seq_out = resume.next_seq
        last = resume.heard_again[-1] if resume.heard_again else None
        self._frames = FrameFilter(last)
        self._seq_in = last.seq if last else -1
        self._shift = 0  # frames by which media time is ahead of the edge's numbers
        self._samples_in = 0
        self._samples_out = 0
        self._over = False
        self.output_shed = self._n_shed = 0
        self._hugo_speaks = bool(spec.unsaid.turn)
        self._user_speaks = False

    @property
    def calm(self) -> bool:
        """True while neither side speaks."""
        return not self._hugo_speaks and not self._user_speaks

    @property
    def frames_behind(self) -> float:
        """Frames that were fed and did not come back yet."""
        return (self._samples_in - self._samples_out) / 1920

    def owns(self, key: str) -> bool:
        """True for the stream that this session's frames go to."""
        return key == self._keys.audio_out

    def tell_shed(self) -> None:
        """Tell the client of frames that were lost on their way to Redis."""
        count, self.output_shed = self.output_shed, 0
        if count:
            self._n_shed += count
            text = f"{count} frames of Hugo's voice were lost: they could not be passed on in time"
            notice = Notice("output_shed", "warning", text, count)
            self.emit(notice, f"voice:notice:output_shed:{self.lease.epoch}.{self._n_shed}", self._seq_out * FRAME_MS)

    async def start(self, engine: VoiceEngine, make_listener: MakeListener | None, tasks: asyncio.TaskGroup) -> None:
        """Open the engine and begin to read. EngineError if the engine cannot serve the session."""
        resumed = self.lease.taken_over
        self._state("migrating" if resumed else "starting")
        self._engine = await engine.open(self.spec, self)
        if make_listener:
            own = self._engine.transcriber if isinstance(self._engine, HearingSession) else None
            self._listener = make_listener(self.spec, self.emit, self._on_signal, own)
            await self._listener.start(tasks)
            self._hear_again(self._listener)
        self._broker.reader.subscribe(self._keys.events, self._resume.events_after, self._on_events)
        self._broker.reader.subscribe(self._keys.audio_in, self._resume.consumed, self._on_audio)
        if resumed:
            self._state("resumed")
        self._state("ready")

    async def close(self, *, lost: bool = False) -> None:
        """Stop. `lost`: another worker owns the session now; nothing more is published."""
        if lost:
            self._publisher.active = False
        self._over = True
        self._broker.reader.unsubscribe(self._keys.audio_in)
        self._broker.reader.unsubscribe(self._keys.events)
        if self._listener:
            await self._listener.close(deliver=not lost)
        if self._engine:
            await self._engine.close()

    # --- what the engine calls

    def deliver(self, packets: Packets, n_samples: int, consumed: str) -> None:
        if not self._publisher.active:
            return
        self._samples_out += n_samples
        frame = AudioFrame(self._seq_out, n_samples, packets, self._broker.clock.wall_ms(), self.lease.epoch, consumed)
        self._seq_out += 1
        FRAMES.labels("out").inc()
        self._broker.publish_audio(self._keys.audio_out, frame)

    def emit(self, body: Body, event_id: str, media_ms: int) -> None:
        try:
            self._publisher.publish(body, event_id=event_id, media_ms=media_ms)
        except Overloaded as error:
            log.error("an event could not be published: %s", error)

    def set_speaking(self, speaking: bool, wants_answer: bool = False) -> None:
        self._hugo_speaks = speaking
        if self._listener:
            self._listener.set_hugo_speaking(speaking, self._seq_out * FRAME_MS, wants_answer)

    def fail(self, reason: str) -> None:
        self._state("failed", reason)
        self._finish("engine_failed")

    # --- what comes from the broker

    def _hear_again(self, listener: SessionListener) -> None:
        """Bring the listener to where the last owner's was: whether Hugo speaks, and the user since the last turn."""
        if self.spec.unsaid.turn:
            listener.set_hugo_speaking(True, self.spec.unsaid.start_ms)
        for frame in self._resume.heard_again:
            if frame.seq >= self.spec.listen_from_frame:
                listener.feed(frame)

    def _on_audio(self, key: str, entries: Entries) -> None:
        self.last_input_s = self._broker.clock.monotonic()
        for entry_id, frame in readable(entries, decode_audio, "audio.in"):
            if not self._frames.accepts(frame):
                continue
            if frame.seq <= self._seq_in:  # Redis lost the newer edge's fence, and the older one wrote on behind it
                self._shift += self._seq_in + 1 - frame.seq
            self._seq_in = frame.seq
            if self._shift:
                frame = replace(frame, seq=frame.seq + self._shift)
            self._samples_in += frame.n_samples
            FRAMES.labels("in").inc()
            if self._listener and frame.seq >= self.spec.listen_from_frame:
                self._listener.feed(frame)
            if self._engine:
                self._engine.feed(frame, entry_id)

    def _on_events(self, key: str, entries: Entries) -> None:
        for _, event in readable(entries, decode_event, "events"):
            if event.source == "voice" or not self._filter.accepts(event):
                continue
            match event.body:
                case CoachToVoice() if self._engine:
                    self._engine.on_coach(event.body)
                case ConsentChanged() if self._listener:
                    self._listener.set_consent(event.body.consent)
                case SessionEnded():
                    self._finish(event.body.reason)
                case _:
                    pass

    def _on_signal(self, signal: Signal) -> None:
        match signal:
            case UserSpeechStarted():
                self._user_speaks = True
            case UserTurnComplete() | FalseInterruption():
                self._user_speaks = False
            case _:
                pass
        if self._engine and not self._over:
            self._engine.on_signal(signal)

    def _finish(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self._on_over(self, reason)

    def _state(self, state: str, detail: str = "") -> None:
        body = EngineState(state, self.spec.engine, detail)  # type: ignore[arg-type]
        media_ms = self._seq_out * FRAME_MS
        self.emit(body, f"voice:engine_state:{state}:{self.lease.epoch}", media_ms)
