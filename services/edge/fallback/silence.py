"""The voice of a session that has none: one frame of silence for each frame in, on the streams like any other owner.

Each of its frames names the input that it answers, so an engine that takes the session goes on behind it.
"""

from __future__ import annotations

from services.edge import metrics
from shared.audio import FRAME_SAMPLES
from shared.audio.silence import SILENT_PACKETS
from shared.broker import Broker
from shared.broker.entries import readable
from shared.broker.frames import FrameFilter
from shared.broker.reader import Entries
from shared.streams import SessionKeys
from shared.wire import AudioFrame, decode_audio


class SilentVoice:
    """Answers between `start` and `stop`. Costs the loop something only while it does."""

    def __init__(self, broker: Broker, keys: SessionKeys) -> None:
        self.is_active = False
        self._broker = broker
        self._keys = keys
        self._epoch = 0
        self._frames = FrameFilter()
        self._seq_out = 0

    def start(self, consumed: str, next_seq: int, epoch: int) -> None:
        """Answer what came in behind the entry `consumed`, with frames from `next_seq` on."""
        self.is_active = True
        self._epoch, self._seq_out, self._frames = epoch, next_seq, FrameFilter()
        self._broker.reader.subscribe(self._keys.audio_in, consumed, self._on_audio)

    def stop(self) -> None:
        """Leave the session to an engine."""
        if self.is_active:
            self.is_active = False
            self._broker.reader.unsubscribe(self._keys.audio_in)

    def _on_audio(self, key: str, entries: Entries) -> None:
        for entry_id, frame in readable(entries, decode_audio, "audio.in"):
            if not self._frames.accepts(frame):
                continue
            wall_ms = self._broker.clock.wall_ms()
            silence = AudioFrame(self._seq_out, FRAME_SAMPLES, SILENT_PACKETS, wall_ms, self._epoch, entry_id)
            self._seq_out += 1
            self._broker.publish_audio(self._keys.audio_out, silence)
            metrics.FRAMES_DROPPED.labels("text_only").inc()
