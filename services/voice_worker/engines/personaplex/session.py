"""One session of the engine on the event loop: packets to the model thread and back, signals, scripts, events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from services.voice_worker.engines.base import EngineHost, Packets, SessionSpec, turn_number
from services.voice_worker.engines.personaplex import metrics
from services.voice_worker.engines.personaplex.listening.shared_transcriber import SharedTranscriber
from services.voice_worker.engines.personaplex.model_loop import ModelLoop, Seat
from services.voice_worker.engines.personaplex.slot import FrameOut
from services.voice_worker.engines.personaplex.steering.agent_turns import AgentTurns, Told
from services.voice_worker.engines.personaplex.steering.script import build_script
from services.voice_worker.listener.reframer import Reframer
from services.voice_worker.media_thread import MediaThread
from services.voice_worker.signals import (
    AcknowledgementFits,
    BargeInCandidate,
    FalseInterruption,
    InterruptionConfirmed,
    Signal,
    UserSpeechStarted,
    UserTurnComplete,
)
from shared.audio import FRAME_MS, FRAME_SAMPLES
from shared.audio.opus import OpusDecoder, OpusEncoder
from shared.events import CoachToVoice, Notice, Tone
from shared.wire import AudioFrame

log = logging.getLogger(__name__)

SILENCE = np.zeros(FRAME_SAMPLES, dtype=np.float32)
Coded = list[tuple[Packets, FrameOut]]


@dataclass(frozen=True, slots=True)
class SessionTools:
    """What a session works with. `encode` gives a word's token ids; `reprompt(tone, summary)` renews the prompt.

    `transcriber` reads what the model's recogniser hears; None: it has none.
    """

    loop: ModelLoop
    codec: MediaThread
    encode: Callable[[str], list[int]]
    reprompt: Callable[[Tone, str], None]
    on_close: Callable[[PersonaPlexSession], None]
    transcriber: SharedTranscriber | None = None


class PersonaPlexSession:
    """Between the event loop, the codec thread and the model thread. All public calls come on the event loop."""

    def __init__(self, spec: SessionSpec, host: EngineHost, seat: Seat, tools: SessionTools) -> None:
        self._host = host
        self.seat = seat
        self._talk = seat.talk
        self._tools = tools
        self.transcriber = tools.transcriber
        self._decoder = OpusDecoder()
        self._encoder = OpusEncoder()
        self._reframer = Reframer(self._decoder)
        self._turns = AgentTurns(spec.hugo_turns + 1, spec.language, spec.unsaid)
        self._frame = spec.start_frame
        self._user_turn = spec.user_turns
        self._speaking = self._closed = False
        self._answer: str | None = None
        self._may_cut = True
        self._refused = set(spec.unsaid.refused)
        self._seen: set[tuple[str, int]] = set()
        self._restarts = 0
        for message in spec.unsaid.rest():
            self.on_coach(message)

    @property
    def _media_ms(self) -> int:
        return self._frame * FRAME_MS

    # --- frames in

    def feed(self, frame: AudioFrame, entry_id: str) -> None:
        # A frame that the codec thread has no room for is concealed, and answered, with the next one that it takes.
        if not self._closed:
            self._tools.codec.submit(partial(self._decode, frame, entry_id), _nothing, self._broken)

    def _decode(self, frame: AudioFrame, entry_id: str) -> None:
        """On the codec thread."""
        for whole in self._reframer.push(frame):
            if self.transcriber is not None:
                self.transcriber.fed(whole.index)
            self._tools.loop.post(partial(self._talk.feed, whole.pcm, entry_id))

    # --- frames out

    def on_frames(self, frames: list[FrameOut]) -> None:
        """Take frames from the model thread, on that thread."""
        if not self._tools.codec.submit(partial(self._encode, frames), self._deliver, self._broken):
            log.error("the codec thread is too far behind; a session loses %d frames", len(frames))

    def _encode(self, frames: list[FrameOut]) -> Coded:
        """On the codec thread."""
        return [(self._encoder.encode(SILENCE if frame.pcm is None else frame.pcm), frame) for frame in frames]

    def _deliver(self, coded: Coded) -> None:
        for packets, frame in coded:
            if self._closed:
                return
            at_ms = self._media_ms
            if self.transcriber is not None:
                self.transcriber.heard(frame.heard_text, frame.pause, frame.unplayed)
            for told in self._turns.advance(frame, at_ms):
                self._tell(told)
            self._host.deliver(packets, FRAME_SAMPLES, frame.consumed)
            self._frame += 1
            self._show_speaking()

    def _tell(self, told: Told) -> None:
        body, event_id, media_ms = told
        self._host.emit(body, event_id, media_ms)

    def _show_speaking(self) -> None:
        if self._turns.speaking != self._speaking:
            self._speaking = self._turns.speaking
            ended_with_question = not self._speaking and self._turns.heard.endswith("?")
            self._host.set_speaking(self._speaking, wants_answer=ended_with_question)

    def _broken(self, error: Exception) -> None:
        log.error("coding a frame failed", exc_info=error)
        if not self._closed:
            self._host.fail(f"the sound cannot be coded: {type(error).__name__}")

    def on_restarted(self, reason: str) -> None:
        """The voice had to be muted and primed again."""
        if not self._closed:
            self._restarts += 1
            body = Notice("voice_restarted", "warning", f"Hugo lost the thread and begins again ({reason})")
            self._host.emit(body, f"voice:notice:restarted:{self._restarts}", self._media_ms)

    def on_failed(self, reason: str) -> None:
        """The model failed: the session cannot go on."""
        if not self._closed:
            self._host.fail(reason)

    # --- the user and the coach

    def on_signal(self, signal: Signal) -> None:
        talk, post = self._talk, self._tools.loop.post
        match signal:
            case UserSpeechStarted():
                post(partial(talk.user_speaks, True))
            case BargeInCandidate():
                post(talk.hold)
            case FalseInterruption():
                post(talk.go_on)
                post(partial(talk.user_speaks, False))
            case InterruptionConfirmed():
                self._refuse_rest()
                post(talk.interrupt)
            case UserTurnComplete():
                post(talk.user_turn_over)
                if signal.text and turn_number(signal.turn) > self._user_turn:
                    self._user_turn = turn_number(signal.turn)
                    post(talk.forget_scripts)
            case AcknowledgementFits():
                """The model acknowledges by itself."""

    def on_coach(self, message: CoachToVoice) -> None:
        """Queue a sentence, once; an answer to an older turn than the user's newest is stale."""
        self._tools.reprompt(message.delivery_hints.tone, message.summary)
        key = (message.turn, message.chunk)
        is_stale = bool(message.turn) and turn_number(message.turn) < self._user_turn
        if key in self._seen or is_stale or message.turn in self._refused:
            return
        self._seen.add(key)
        self._answer = None if message.last else message.turn
        self._may_cut = message.allow_interrupt
        script = build_script(
            message.response_text,
            message.delivery_hints,
            self._tools.encode,
            allow_interrupt=message.allow_interrupt,
            label=message.turn,
            ends_turn=message.last,
        )
        self._tools.loop.post(partial(self._talk.say, script))

    def _refuse_rest(self) -> None:
        """What the coach still sends of the answer that was interrupted is not wanted any more."""
        if self._answer is not None and self._may_cut:
            self._refused.add(self._answer)
            self._answer = None

    async def close(self) -> None:
        if self._closed:
            return
        for told in self._turns.finish(self._media_ms):
            self._tell(told)
        self._closed = True
        if not self._tools.loop.failed:
            await asyncio.wrap_future(self._tools.loop.call(partial(self._tools.loop.leave, self.seat)))
        counts = self._talk.counts
        for outcome in ("late", "shed", "muted"):
            metrics.FRAMES.labels(outcome).inc(getattr(counts, outcome))
        metrics.FRAMES.labels("heard").inc(self._talk.n_heard)
        await self._tools.codec.drained()
        self._decoder.close()
        self._encoder.close()
        self._tools.on_close(self)


def _nothing(_: object) -> None:
    """A frame was decoded: it is with the model thread now."""
