"""The cascade: what the coach says becomes speech, sentence by sentence, and gives way when the user speaks.

It hears nothing itself: the listener tells it of the user's speech by signals, the coach sends the words.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from prometheus_client import Counter

from services.voice_worker.engines.base import EngineHost, SessionSpec, Unsaid, turn_number
from services.voice_worker.engines.cascade.player import Player, Tick, Utterance
from services.voice_worker.engines.cascade.speech_maker import SpeechMaker, silence
from services.voice_worker.humanizer import HumanizerSettings, Segment, humanize
from services.voice_worker.signals import (
    AcknowledgementFits,
    BargeInCandidate,
    FalseInterruption,
    InterruptionConfirmed,
    Signal,
    UserSpeechStarted,
    UserTurnComplete,
)
from services.voice_worker.speech.interfaces import Synthesizer
from shared.audio import FRAME_MS, FRAME_SAMPLES
from shared.coaching.phrases import acknowledgements, frequent_phrases
from shared.errors import EngineError, SpeechError
from shared.events import (
    Backchannel,
    CoachToVoice,
    Interrupted,
    Language,
    Notice,
    Spoken,
    Transcript,
    TurnEnded,
    TurnStarted,
)
from shared.wire import AudioFrame

log = logging.getLogger(__name__)

PLAN_BOUND = 64
"""Sentences that may wait to be synthesised; the oldest answer gives way."""

HOLD_LIMIT_FRAMES = 75
"""An answer waits at most 6 s for a user who went on talking; then it is spoken all the same."""

STALE = Counter("splitbrain_coach_stale_total", "Answers of the coach that came after a newer turn and were not said")
BARGE_INS = Counter("splitbrain_barge_ins_total", "Times that the user spoke over Hugo", ["outcome"])
UNDERRUNS = Counter("splitbrain_speech_underruns_total", "Frames of silence inside a turn: synthesis was behind")


@dataclass(frozen=True, slots=True)
class CascadeSettings:
    """What an operator can set of the cascade."""

    slots: int = 8
    humanizer: HumanizerSettings = field(default_factory=HumanizerSettings)
    warm_languages: tuple[Language, ...] = ("en", "nl")
    hugo_acknowledges: bool = True


class CascadeEngine:
    """Speaks with a synthesizer; any number of sessions share it and its phrase cache."""

    name = "cascade"
    history_s = 0.0
    accepting = True
    broken = ""

    def __init__(self, synthesizer: Synthesizer, settings: CascadeSettings) -> None:
        self.slots = settings.slots
        self._synthesizer = synthesizer
        self._settings = settings
        self._maker = SpeechMaker(synthesizer)
        self._warming: asyncio.Task[None] | None = None
        self._open_sessions = 0
        self._nobody_talks = asyncio.Event()
        self._nobody_talks.set()

    async def start(self) -> None:
        """Start the synthesizer; frequent phrases are prepared beside the first sessions."""
        try:
            await self._synthesizer.start()
        except SpeechError as error:
            raise EngineError(f"the cascade has no voice: {error}") from error
        self._warming = asyncio.create_task(self._warm(), name="phrase-cache")

    async def open(self, spec: SessionSpec, host: EngineHost) -> CascadeSession:
        voices = self._synthesizer.voices(spec.language)
        if not voices:
            raise EngineError(f"no voice speaks {spec.language!r}; see `splitbrain models list`")
        if spec.voice and spec.voice not in voices:
            # Not a warning: Moshi clients always name a voice of theirs, and would get a text to read in every call.
            text = f"the voice {spec.voice} is not known here: {voices[0]} speaks; known are {', '.join(voices[:8])}"
            notice = Notice("unknown_voice", "info", text)
            host.emit(notice, "voice:notice:unknown_voice", spec.start_frame * FRAME_MS)
        self._open_sessions += 1
        self._nobody_talks.clear()
        return CascadeSession(spec, host, self._maker, self._settings, self._closed)

    async def aclose(self) -> None:
        if self._warming:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        self._maker.close()
        await self._synthesizer.aclose()

    async def _warm(self) -> None:
        """Prepare what is said often, while nobody talks: a conversation needs the synthesizer more."""
        for language in self._settings.warm_languages:
            if not self._synthesizer.voices(language):
                continue
            choice = self._maker.choose(language, "")
            phrases = dict.fromkeys([*acknowledgements(language), *frequent_phrases(language)])
            for phrase in phrases:
                await self._nobody_talks.wait()
                await self._maker.warm(phrase, choice)
            log.info("%d frequent phrases are ready in %s", len(phrases), language)

    def _closed(self) -> None:
        self._open_sessions -= 1
        if not self._open_sessions:
            self._nobody_talks.set()


class CascadeSession:
    """One conversation. A task turns sentences into frames ahead of time; `feed` gives out one at a time."""

    def __init__(
        self,
        spec: SessionSpec,
        host: EngineHost,
        maker: SpeechMaker,
        settings: CascadeSettings,
        on_close: Callable[[], None],
    ) -> None:
        self._spec = spec
        self._host = host
        self._maker = maker
        self._settings = settings
        self._on_close = on_close
        self._is_open = True
        self._voice = maker.choose(spec.language, spec.voice)
        self._locale = spec.locale or {"nl": "nl-NL", "en": "en"}[spec.language]
        self._rng = random.Random(spec.session_id)
        self._player = Player()
        self._frame = spec.start_frame
        self._samples = 0
        self._hugo_turn = spec.hugo_turns
        self._user_turn = spec.user_turns
        self._turn_start_ms = spec.unsaid.start_ms
        self._answers: dict[str, str] = {}  # Hugo's turn -> the user's turn that it answers
        self._plans: deque[tuple[Utterance, list[Segment]]] = deque()
        self._planned = asyncio.Event()
        self._room = asyncio.Event()
        self._open_answer: tuple[str, str] | None = None
        self._seen: set[tuple[str, int]] = set()
        self._refused_answers = set(spec.unsaid.refused)
        self._hold_frames = 0
        self._barge_in = False
        self._backchannel: deque[tuple[bytes, ...]] = deque()
        self._speaker = asyncio.create_task(self._speak(), name="speak")
        self._take_up(spec.unsaid)

    def _take_up(self, unsaid: Unsaid) -> None:
        """Go on where the last owner stopped in the middle of what Hugo had to say."""
        if unsaid.turn:
            self._player.take_up(unsaid.turn, unsaid.heard)
            if unsaid.answers is not None and any(message.turn == unsaid.answers for message in unsaid.messages):
                self._answers[unsaid.turn] = unsaid.answers
                self._open_answer = (unsaid.answers, unsaid.turn)
            else:  # nobody knows how it would have gone on
                self._player.drop()
                self._end_turn(unsaid.turn, " ".join(unsaid.heard), "interrupted")
        for message in unsaid.rest():
            self.on_coach(message)

    @property
    def _media_ms(self) -> int:
        return self._frame * FRAME_MS

    # --- frames

    def feed(self, frame: AudioFrame, entry_id: str) -> None:
        self._samples += frame.n_samples
        while self._samples >= FRAME_SAMPLES:
            self._samples -= FRAME_SAMPLES
            self._step(entry_id)

    def _step(self, entry_id: str) -> None:
        held = self._hold_frames > 0 and not self._player.speaking
        self._hold_frames = max(self._hold_frames - 1, 0)
        tick = Tick() if held else self._player.tick()
        self._report(tick)
        packets = tick.packets
        if packets is None:
            if tick.turn and not tick.turn_ended:
                UNDERRUNS.inc()
            packets = self._backchannel.popleft() if self._backchannel and not self._player.speaking else silence()
        self._host.deliver(packets, FRAME_SAMPLES, entry_id)
        self._frame += 1
        if tick.turn_ended:
            self._end_turn(tick.turn, self._player.heard, "complete")
        if self._player.room:
            self._room.set()

    def _report(self, tick: Tick) -> None:
        if tick.turn_started:
            self._turn_start_ms = self._media_ms
            self._host.set_speaking(True)
            body = TurnStarted(tick.turn, "hugo", self._media_ms, self._answers.pop(tick.turn, None))
            self._host.emit(body, f"voice:turn_started:{tick.turn}", self._media_ms)
        if tick.words:
            body_words = Spoken(tick.turn, "".join(f" {word}" for word in tick.words), self._media_ms)
            self._host.emit(body_words, f"voice:spoken:{tick.turn}:{self._media_ms}", self._media_ms)

    def _end_turn(self, turn: str, heard: str, reason: str) -> None:
        at = self._media_ms
        self._host.set_speaking(False, wants_answer=reason == "complete" and heard.endswith("?"))
        final = Transcript(turn, "hugo", heard, True, self._turn_start_ms, at, self._spec.language)
        self._host.emit(final, f"voice:transcript:{turn}:final", at)
        ended = TurnEnded(turn, "hugo", self._turn_start_ms, at, reason)  # type: ignore[arg-type]
        self._host.emit(ended, f"voice:turn_ended:{turn}", at)

    # --- the user

    def on_signal(self, signal: Signal) -> None:
        match signal:
            case UserSpeechStarted():
                self._backchannel.clear()
                if not self._player.speaking:
                    self._hold_frames = HOLD_LIMIT_FRAMES
            case BargeInCandidate():
                if self._player.speaking and self._player.interruptible:
                    self._barge_in = True
                    self._player.pause()
            case FalseInterruption():
                self._resume("backchannel")
                self._hold_frames = 0
            case InterruptionConfirmed():
                self._interrupt(signal)
            case UserTurnComplete():
                self._hold_frames = 0
                if signal.text:  # a noise that nobody will answer makes no answer stale
                    self._user_turn = max(self._user_turn, turn_number(signal.turn))
                    self._drop_stale()
            case AcknowledgementFits():
                self._acknowledge()

    def _resume(self, outcome: str) -> None:
        if self._barge_in:
            BARGE_INS.labels(outcome).inc()
        self._barge_in = False
        self._player.resume()

    def _interrupt(self, signal: InterruptionConfirmed) -> None:
        if not self._player.interruptible:
            self._resume("not_allowed")
            return
        BARGE_INS.labels("interrupted").inc()
        self._barge_in = False
        dropped = self._player.drop()
        unplanned = [utterance.text for utterance, _ in self._plans if utterance.position == 0]
        self._plans.clear()
        if self._open_answer:  # what the coach still sends of this answer is not wanted any more
            self._refused_answers.add(self._open_answer[0])
            self._open_answer = None
        self._restart_speaker()
        self._hold_frames = HOLD_LIMIT_FRAMES
        if dropped is None:
            return
        unsaid = dropped.unsaid or " ".join(unplanned)
        body = Interrupted(dropped.turn, "user", signal.at_ms, dropped.heard, unsaid)
        self._host.emit(body, f"voice:interrupted:{dropped.turn}", self._media_ms)
        self._end_turn(dropped.turn, dropped.heard, "interrupted")

    def _acknowledge(self) -> None:
        """A short "hm" while the user talks on, from the phrase cache only: it must come now or not at all."""
        if not self._settings.hugo_acknowledges or self._player.busy or self._backchannel:
            return
        options = acknowledgements(self._spec.language)
        phrase = options[self._rng.randrange(len(options))]
        clip = self._maker.cached(phrase, self._voice)
        if clip is None:
            return
        self._backchannel.extend(clip.frames)
        end = self._media_ms + len(clip.frames) * FRAME_MS
        body = Backchannel("hugo", phrase, self._media_ms, end)
        self._host.emit(body, f"voice:backchannel:hugo:{self._media_ms}", self._media_ms)

    # --- the coach

    def on_coach(self, message: CoachToVoice) -> None:
        """Queue a sentence. An answer to an older turn than the user's newest is stale and not said."""
        key = (message.turn, message.chunk)
        if key in self._seen:
            return
        self._seen.add(key)
        if message.turn in self._refused_answers:
            return
        if message.turn and turn_number(message.turn) < self._user_turn:
            STALE.inc()
            return
        turn = self._turn_for(message)
        utterance = Utterance(turn, message.response_text, message.allow_interrupt, message.last)
        segments = humanize(
            message.response_text,
            message.delivery_hints,
            self._locale,
            self._rng,
            self._settings.humanizer,
            first=message.chunk == 0,
        )
        if len(self._plans) >= PLAN_BOUND:
            self._plans.popleft()
            log.warning("more than %d sentences wait to be spoken; the oldest was dropped", PLAN_BOUND)
        self._plans.append((utterance, segments))
        self._planned.set()

    def _turn_for(self, message: CoachToVoice) -> str:
        """Return Hugo's turn of an answer: one for all its sentences."""
        if self._open_answer is None or self._open_answer[0] != message.turn:
            self._hugo_turn += 1
            self._open_answer = (message.turn, f"h{self._hugo_turn}")
            self._answers[f"h{self._hugo_turn}"] = message.turn
        turn = self._open_answer[1]
        if message.last:
            self._open_answer = None
        return turn

    def _drop_stale(self) -> None:
        """A new turn of the user makes answers that nobody has begun to hear worthless."""
        if self._player.speaking:
            return
        if self._plans or self._player.busy:
            STALE.inc()
            self._plans.clear()
            self._player.drop()
            self._open_answer = None
            self._restart_speaker()

    # --- speech ahead of time

    async def _speak(self) -> None:
        while True:
            self._planned.clear()
            if not self._plans:
                await self._planned.wait()
            utterance, segments = self._plans.popleft()
            self._player.add(utterance)
            for segment in segments:
                while not self._player.room:
                    self._room.clear()
                    await self._room.wait()
                await self._make(utterance, segment)
            utterance.closed = True

    async def _make(self, utterance: Utterance, segment: Segment) -> None:
        try:
            await self._maker.fill(utterance, segment, self._voice)
        except SpeechError as error:
            log.warning("a sentence could not be spoken: %s", error)
            body = Notice("synthesis_failed", "warning", f"Hugo could not say this aloud: {segment.text}")
            self._host.emit(body, f"voice:notice:synthesis:{utterance.turn}:{self._media_ms}", self._media_ms)

    def _restart_speaker(self) -> None:
        """Give up the sentence that is being made. The cancelled call frees its place at the synthesizer."""
        self._speaker.cancel()
        self._speaker = asyncio.create_task(self._speak(), name="speak")

    async def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._on_close()
        self._speaker.cancel()
        with suppress(asyncio.CancelledError):
            await self._speaker
