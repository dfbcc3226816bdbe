"""A scripted client of the cascade: says real speech in turns, listens to each answer, comes back with its token."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from services.command_line.turn_script import Say, TurnRules, TurnScript
from services.command_line.wav import Pcm, read_wav
from shared.audio import FRAME_MS, FRAME_SAMPLES
from shared.audio.ogg import OggError, OggOpusDemuxer
from shared.audio.opus import OpusEncoder
from shared.errors import WireError
from shared.wire import event_from_json
from tests.chaos.client import _AUDIO, ScriptedClient
from tests.chaos.frames import Packets
from tests.chaos.records import Heard, Sent
from tests.chaos.speech import Said

SPEECH = Path(__file__).parents[1] / "fixtures" / "audio" / "en_human"
RULES = TurnRules(gap_ms=400, greeting_ms=6_000)
MAX_TURNS = 10_000
QUIET_S = 0.4
"""A client that stopped sending and has heard nothing for so long has heard all."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording of one utterance and its words."""

    text: str
    pcm: Pcm


def human_speech() -> list[Clip]:
    """Return the clips of the fixtures, in order."""
    manifest = json.loads((SPEECH / "manifest.json").read_text("utf-8"))
    return [Clip(entry["text"], read_wav(SPEECH / entry["file"])) for entry in manifest]


class _CascadeHttp:
    """Opens sockets as the session that it is given does, for the cascade in place of the echo."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def ws_connect(self, url: str, **options: Any) -> aiohttp.ClientWebSocketResponse:
        ws: aiohttp.ClientWebSocketResponse = await self._http.ws_connect(
            url.replace("engine=echo", "engine=cascade"), **options
        )
        return ws


class SpeechClient(ScriptedClient):
    """One conversation with the cascade engine. Its frames count on from 0 through all its sockets.

    `trace.heard` has a number for each message of audio, in the order of arrival: what the frames hold differs from
    run to run. `said` and `packets` are what it said and sent.
    """

    def __init__(
        self, http: aiohttp.ClientSession, edges: list[str], first: int, name: str, clips: list[Clip], at: int = 0
    ) -> None:
        super().__init__(_CascadeHttp(http), edges, first, name)  # type: ignore[arg-type]
        self.said: list[Said] = []
        self.packets: list[Packets] = []
        self._clips = [*clips[at % len(clips) :], *clips[: at % len(clips)]]
        self._script = TurnScript(MAX_TURNS, RULES)
        self._queue: Pcm = np.zeros(0, np.float32)
        self._encoder: OpusEncoder

    @property
    def outcomes(self) -> list[str]:
        """How each thing that it said was answered (services/command_line/turn_script.py)."""
        return list(self._script.outcomes)

    async def run(self) -> None:
        """Talk until the conversation is over."""
        with OpusEncoder() as self._encoder:
            await super().run()

    async def _send_next(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        number, self._next = self._next, self._next + 1
        queued_ms = len(self._queue) // FRAME_SAMPLES * FRAME_MS
        action = self._script.tick(number * FRAME_MS, queued_ms)
        if isinstance(action, Say):
            clip = self._clips[action.clip % len(self._clips)]
            self._queue = np.concatenate([clip.pcm, np.zeros(-len(clip.pcm) % FRAME_SAMPLES, np.float32)])
            self.said.append(Said(clip.text, number * FRAME_MS, number * FRAME_MS + len(clip.pcm) * 1000 // 24_000))
        pcm, self._queue = self._queue[:FRAME_SAMPLES], self._queue[FRAME_SAMPLES:]
        packets = tuple(self._encoder.encode(pcm if len(pcm) else np.zeros(FRAME_SAMPLES, np.float32)))
        async with self._lock:
            self.packets.append(packets)
            self.trace.sent.append(Sent(number, time.monotonic(), len(self.trace.connections) - 1))
            await ws.send_bytes(bytes([_AUDIO]) + self._muxer.pages(packets, FRAME_SAMPLES))

    def _all_back(self) -> bool:
        heard = self.trace.heard
        return not heard or time.monotonic() - heard[-1].at_s > QUIET_S

    def _take_audio(self, demuxer: OggOpusDemuxer, payload: bytes) -> None:
        try:
            packets = demuxer.feed(payload)
        except OggError as error:
            self.trace.errors.append(f"damaged Ogg from the edge: {error}")
            return
        if packets:
            index = len(self.trace.connections) - 1
            self.trace.heard.append(Heard(len(self.trace.heard), True, time.monotonic(), index))

    def _take_event(self, data: dict[str, Any]) -> None:
        super()._take_event(data)
        with suppress(WireError):  # the session message is no event
            self._script.on_event(event_from_json(data))
