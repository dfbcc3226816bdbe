"""Makes frames of speech: synthesis, trimming, Opus, word times; with a cache of what is said often.

Everything is encoded before it is due, off the event loop, so that giving a frame out costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from prometheus_client import Counter, Histogram

from services.voice_worker.engines.base import Packets
from services.voice_worker.engines.cascade.player import Utterance
from services.voice_worker.humanizer import Segment
from services.voice_worker.speech.interfaces import Pcm, Synthesizer
from shared.audio import FRAME_MS, FRAME_SAMPLES
from shared.audio.opus import OpusEncoder
from shared.errors import SpeechError

log = logging.getLogger(__name__)

CACHE_BYTES = 16 * 1024 * 1024
CHARS_PER_SECOND = 15.0
"""First guess of how fast a voice reads, until its own speed is known."""

SHORT_PHRASE_CHARS = 24
"""Up to this length a phrase at another pace sounds the same: what counts is that it comes at once."""

_SILENT = 0.004  # about -48 dB re full scale
_LEAD_SAMPLES = 480
_TAIL_SAMPLES = 1_920

CACHE_HITS = Counter("splitbrain_phrase_cache_total", "Segments asked of the phrase cache", ["outcome"])
FIRST_CHUNK = Histogram(
    "splitbrain_synthesis_first_chunk_seconds",
    "From asking for a segment to its first frame",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 4.0),
)


@dataclass(frozen=True, slots=True)
class Clip:
    """A finished segment: its frames and, for each word, the frame in which it begins."""

    frames: tuple[Packets, ...]
    words: tuple[tuple[int, str], ...]

    @property
    def n_bytes(self) -> int:
        return sum(len(packet) for frame in self.frames for packet in frame) + 64 * len(self.frames)


@dataclass(frozen=True, slots=True)
class VoiceChoice:
    """Language and voice that a session speaks with."""

    language: str
    voice: str


class PhraseCache:
    """Least recently used clips go first when `limit_bytes` is reached."""

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._clips: OrderedDict[tuple[str, str, float, str], Clip] = OrderedDict()

    def get(self, choice: VoiceChoice, segment: Segment) -> Clip | None:
        """Return the clip of a segment, if it is there."""
        clip = self._clips.get(self._key(choice, segment))
        if clip:
            self._clips.move_to_end(self._key(choice, segment))
        CACHE_HITS.labels("hit" if clip else "miss").inc()
        return clip

    def put(self, choice: VoiceChoice, segment: Segment, clip: Clip) -> None:
        """Keep a clip; one that is larger than an eighth of the cache is not kept."""
        if clip.n_bytes > self._limit // 8:
            return
        old = self._clips.pop(self._key(choice, segment), None)
        self._size += clip.n_bytes - (old.n_bytes if old else 0)
        self._clips[self._key(choice, segment)] = clip
        while self._size > self._limit:
            _, dropped = self._clips.popitem(last=False)
            self._size -= dropped.n_bytes

    def __contains__(self, key: tuple[VoiceChoice, Segment]) -> bool:
        return self._key(*key) in self._clips

    @staticmethod
    def _key(choice: VoiceChoice, segment: Segment) -> tuple[str, str, float, str]:
        return (choice.language, choice.voice, segment.speed, segment.spoken)


class SpeechMaker:
    """Fills utterances with frames as they are synthesised. One per process, shared by its sessions."""

    def __init__(self, synthesizer: Synthesizer, cache: PhraseCache | None = None) -> None:
        self._synthesizer = synthesizer
        self._cache = cache or PhraseCache()
        self._encoders = ThreadPoolExecutor(1, thread_name_prefix="opus-encode")
        self._chars_per_second: dict[VoiceChoice, float] = {}

    def choose(self, language: str, voice: str) -> VoiceChoice:
        """Return the wanted voice where the synthesizer has it for the language, else its best one."""
        known = self._synthesizer.voices(language)
        return VoiceChoice(language, voice if voice in known else (known[0] if known else ""))

    async def fill(self, utterance: Utterance, segment: Segment, choice: VoiceChoice) -> None:
        """Append the segment's frames and words to `utterance` as they come, then its pause.

        Raises SpeechError; what was appended before it is good speech.
        """
        clip = self._ready(choice, segment)
        if clip:
            start = len(utterance.frames)
            utterance.words.extend((start + frame, text) for frame, text in clip.words)
            utterance.frames.extend(clip.frames)
        else:
            await self._synthesize(utterance, segment, choice)
        if segment.pause_s > 0:
            frames = round(segment.pause_s * 1000 / FRAME_MS)
            utterance.frames.extend([silence()] * frames)

    async def warm(self, phrase: str, choice: VoiceChoice) -> bool:
        """Put a phrase into the cache; False if it could not be made."""
        segment = Segment(phrase, phrase)
        try:
            if (choice, segment) not in self._cache:
                await self._synthesize(Utterance("", phrase), segment, choice)
        except SpeechError as error:
            log.warning("a frequent phrase could not be prepared: %s", error)
            return False
        return True

    def _ready(self, choice: VoiceChoice, segment: Segment) -> Clip | None:
        """A clip from the cache; a short phrase is taken at the voice's own pace rather than made anew."""
        clip = self._cache.get(choice, segment)
        if clip is None and segment.speed != 1.0 and len(segment.spoken) <= SHORT_PHRASE_CHARS:
            clip = self._cache.get(choice, replace(segment, speed=1.0))
        return clip

    def cached(self, phrase: str, choice: VoiceChoice) -> Clip | None:
        """Return a phrase that is ready to be said, or None."""
        return self._cache.get(choice, Segment(phrase, phrase))

    def close(self) -> None:
        """End the encoder thread."""
        self._encoders.shutdown(wait=False, cancel_futures=True)

    async def _synthesize(self, utterance: Utterance, segment: Segment, choice: VoiceChoice) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        first_frame = len(utterance.frames)
        words = _WordPlacer(segment.text, self._chars_per_second.get(choice, CHARS_PER_SECOND) * segment.speed)
        framer = _Framer()
        source = self._synthesizer.synthesize(
            segment.spoken, language=choice.language, voice=choice.voice, speed=segment.speed
        )
        placed: list[tuple[int, str]] = []
        async for chunk in source:
            frames = await loop.run_in_executor(self._encoders, framer.push, chunk)
            if frames and len(utterance.frames) == first_frame:
                FIRST_CHUNK.observe(loop.time() - started)
            self._append(utterance, frames, words.place(framer.n_frames), first_frame, placed)
        frames = await loop.run_in_executor(self._encoders, framer.finish)
        self._append(utterance, frames, words.finish(framer.n_frames), first_frame, placed)
        if not framer.n_frames:
            raise SpeechError("the synthesizer gave no sound for a sentence")
        self._chars_per_second[choice] = len(segment.text) / (framer.n_frames * FRAME_MS / 1000) / segment.speed
        self._cache.put(choice, segment, Clip(tuple(utterance.frames[first_frame:]), tuple(placed)))

    @staticmethod
    def _append(
        utterance: Utterance,
        frames: list[Packets],
        words: list[tuple[int, str]],
        first_frame: int,
        placed: list[tuple[int, str]],
    ) -> None:
        placed.extend(words)
        utterance.words.extend((first_frame + frame, text) for frame, text in words)
        utterance.frames.extend(frames)


class _Framer:
    """Cuts PCM into whole frames and encodes them; silence before the first sound and after the last is cut."""

    def __init__(self) -> None:
        self._encoder = OpusEncoder()
        self._rest: Pcm = np.empty(0, np.float32)
        self._begun = False
        self.n_frames = 0

    def push(self, pcm: Pcm) -> list[Packets]:
        """Return the whole frames that `pcm` completes."""
        if not self._begun:
            loud = np.flatnonzero(np.abs(pcm) > _SILENT)
            if not len(loud):
                return []
            pcm = pcm[max(int(loud[0]) - _LEAD_SAMPLES, 0) :]
            self._begun = True
        self._rest = np.concatenate([self._rest, pcm])
        # Trailing silence is held back until sound follows it, so that the end can be cut.
        loud = np.flatnonzero(np.abs(self._rest) > _SILENT)
        ready = int(loud[-1]) + 1 if len(loud) else 0
        return self._encode(ready // FRAME_SAMPLES)

    def finish(self) -> list[Packets]:
        """Return what is left, padded to a whole frame with a short tail of silence."""
        loud = np.flatnonzero(np.abs(self._rest) > _SILENT)
        if not len(loud):
            return []
        end = min(int(loud[-1]) + 1 + _TAIL_SAMPLES, len(self._rest))
        n_frames = -(-end // FRAME_SAMPLES)
        self._rest = np.pad(self._rest[:end], (0, n_frames * FRAME_SAMPLES - end))
        return self._encode(n_frames)

    def _encode(self, n_frames: int) -> list[Packets]:
        frames = [
            self._encoder.encode(self._rest[index * FRAME_SAMPLES : (index + 1) * FRAME_SAMPLES])
            for index in range(n_frames)
        ]
        self._rest = self._rest[n_frames * FRAME_SAMPLES :]
        self.n_frames += n_frames
        return frames


class _WordPlacer:
    """Estimates in which frame each word begins: by letters, at the voice's measured speed, until the end is known."""

    def __init__(self, text: str, chars_per_second: float) -> None:
        self._left: deque[str] = deque(text.split())
        self._chars_per_frame = max(chars_per_second, 1.0) * FRAME_MS / 1000
        self._chars = 0.0
        self._frame = 0

    def place(self, n_frames: int) -> list[tuple[int, str]]:
        """Return the words that begin within the first `n_frames`."""
        placed: list[tuple[int, str]] = []
        while self._left and self._chars / self._chars_per_frame < n_frames:
            word = self._left.popleft()
            self._frame = int(self._chars / self._chars_per_frame)
            placed.append((self._frame, word))
            self._chars += len(word) + 1
        return placed

    def finish(self, n_frames: int) -> list[tuple[int, str]]:
        """Spread the words that are left over the frames that are left."""
        chars_left = sum(len(word) + 1 for word in self._left)
        start = min(int(self._chars / self._chars_per_frame), max(n_frames - 1, 0)) if self._chars else 0
        placed: list[tuple[int, str]] = []
        passed = 0
        while self._left:
            word = self._left.popleft()
            frame = start + int((n_frames - start) * passed / max(chars_left, 1))
            self._frame = max(self._frame, min(frame, max(n_frames - 1, 0)))
            placed.append((self._frame, word))
            passed += len(word) + 1
        return placed


@cache
def silence() -> Packets:
    """Return one frame of silence, from an encoder that has heard nothing else."""
    encoder = OpusEncoder()
    quiet = np.zeros(FRAME_SAMPLES, np.float32)
    encoder.encode(quiet)
    return encoder.encode(quiet)
