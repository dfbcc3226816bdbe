"""One session's ears: frames in; turns, transcript, prosody and signals out, whatever engine speaks.

Sound work runs on the process's media thread; decisions and recognition run on the event loop.
"""

from __future__ import annotations

import asyncio
import logging

from services.voice_worker.listener.follower import TurnFollower
from services.voice_worker.listener.frame_work import FrameWork, Heard
from services.voice_worker.listener.metrics import SHED_FRAMES
from services.voice_worker.listener.spec import Emit, ListenerSpec, ListenerTools, OnSignal
from services.voice_worker.listener.vad import VoiceActivity
from shared.audio.opus import OpusDecoder
from shared.events import Consent, Notice
from shared.wire import AudioFrame

_LOG = logging.getLogger(__name__)


class Listener:
    """Call `start` once, then `feed` for every entry, and `close` at the end. All on one event loop."""

    def __init__(self, spec: ListenerSpec, tools: ListenerTools, emit: Emit, on_signal: OnSignal) -> None:
        """`emit` and `on_signal` are called on the loop, in order, and must not block."""
        self._spec = spec
        self._tools = tools
        self._emit = emit
        self._follower = TurnFollower(spec, tools, emit, on_signal)
        self._activity: VoiceActivity | None = None
        self._decoder: OpusDecoder | None = None
        self._work: FrameWork | None = None
        self._shed = 0
        self._shed_told_ms: int | None = None
        self._broken = False
        self._closed = False

    @property
    def media_ms(self) -> int:
        """Media time up to which the user's sound is known."""
        return self._follower.media_ms

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Get the models' state and make ready. Recognition runs in `tasks`, which must outlive `close`."""
        # Both load native code or a model: 50 ms and more, so neither here on the loop nor on the media thread.
        self._activity = await asyncio.to_thread(self._tools.activities.lease)
        self._decoder = await asyncio.to_thread(OpusDecoder)
        self._work = FrameWork(self._decoder, self._activity, self._spec.start_media_ms)
        self._follower.start(tasks)

    def feed(self, frame: AudioFrame) -> None:
        """Take in the next entry; never waits. What a full media thread refuses is counted, told and concealed."""
        work = self._work
        if work is None:
            raise RuntimeError("start the listener before feeding it")
        if self._closed:
            return
        if self._tools.media_thread.submit(lambda: work.process(frame), self._on_heard, self._on_failed):
            return
        SHED_FRAMES.inc()
        self._shed += 1

    def set_hugo_speaking(self, speaking: bool, media_ms: int, wants_answer: bool = False) -> None:
        """Hugo takes or leaves the floor at `media_ms`.

        `wants_answer`: he has ended by himself, and with a question: a "yes" right after it is then a turn.
        """
        if not self._closed:
            self._follower.on_hugo(speaking, media_ms, wants_answer)

    def set_consent(self, consent: Consent) -> None:
        """The user's switches changed; they hold at once."""
        self._follower.set_consent(consent)

    async def close(self, *, deliver: bool = True) -> None:
        """End the open turn, wait a bounded time for its text, free everything. Idempotent.

        Without `deliver` (the session has another owner) nothing more is published.
        """
        if self._closed:
            return
        self._closed = True
        if not deliver:
            self._follower.stop()
        await self._tools.media_thread.drained()
        if deliver:
            await self._follower.finish(self._spec.settings.close_timeout_s)
        if self._activity is not None:
            self._tools.activities.give_back(self._activity)
        if self._decoder is not None:
            self._decoder.close()

    def _on_heard(self, heard: Heard) -> None:
        self._follower.on_heard(heard)
        self._tell_shed()

    def _on_failed(self, error: Exception) -> None:
        """A frame could not be worked on: the session goes on, deaf for this frame."""
        if self._broken:
            return
        self._broken = True
        _LOG.error("listening to a frame failed", exc_info=error)
        notice = Notice("listening_failed", "error", "part of what you said was not heard; please say it again", 1)
        self._emit(notice, f"voice:notice:listening_failed:{self.media_ms}", self.media_ms)

    def _tell_shed(self) -> None:
        if not self._shed:
            return
        last = self._shed_told_ms
        if last is not None and self.media_ms - last < self._spec.settings.shed_notice_every_ms:
            return
        message = f"{self._shed} frames of your sound were not listened to: the server is too busy"
        notice = Notice("input_shed", "warning", message, self._shed)
        self._shed, self._shed_told_ms = 0, self.media_ms
        self._emit(notice, f"voice:notice:input_shed:{self.media_ms}", self.media_ms)
