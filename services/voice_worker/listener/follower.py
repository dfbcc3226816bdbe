"""Follows the user's turns on the event loop: windows in, recognition and end-of-turn hints asked for, events out."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

from services.voice_worker.listener import decisions as d
from services.voice_worker.listener.delivery import Delivery
from services.voice_worker.listener.frame_work import Heard, Window
from services.voice_worker.listener.metrics import HINT_MISSED
from services.voice_worker.listener.recognition import Purpose, RecognitionQueue, Request
from services.voice_worker.listener.spec import Emit, ListenerSpec, ListenerTools, OnSignal
from services.voice_worker.listener.tape import Pcm, Tape
from services.voice_worker.listener.turn_events import TurnEvents
from services.voice_worker.listener.turns import TurnMachine
from services.voice_worker.listener.utterance import Utterance
from services.voice_worker.signals import (
    AcknowledgementFits,
    BargeInCandidate,
    FalseInterruption,
    InterruptionConfirmed,
    UserSpeechStarted,
)
from services.voice_worker.speech.interfaces import Recognition, TurnPredictor
from shared.errors import SplitbrainError
from shared.events import Consent

_ONSET_WINDOWS: Final = 12  # windows kept from before speech is noticed: it began up to this long ago (384 ms)
_TAPE_SPARE_MS: Final = 10_000
_IDLE_TAPE_MS: Final = 3_000
_IDLE_KEEP_MS: Final = 1_000

_LOG = logging.getLogger(__name__)


class TurnFollower:
    """The state of one session between its sound and its events."""

    def __init__(self, spec: ListenerSpec, tools: ListenerTools, emit: Emit, on_signal: OnSignal) -> None:
        self._settings = spec.settings
        self._tools = tools
        self._signal = on_signal
        self._machine = TurnMachine(spec.language, spec.settings.turns, spec.start_turn_number)
        self._tape = Tape(spec.start_media_ms, spec.settings.turns.max_turn_ms + _TAPE_SPARE_MS)
        self._delivery = Delivery(spec.language, spec.locale, spec.profile, spec.consent)
        self._events = TurnEvents(spec.language, self._delivery, emit, on_signal)
        self._recognition = RecognitionQueue(
            tools.transcriber, spec.language, spec.settings.recognition_timeout_s, tools.clock, self._on_recognised
        )
        self._recent: deque[Window] = deque(maxlen=_ONSET_WINDOWS)
        self._open: Utterance | None = None
        self._ending: dict[int, Utterance] = {}
        self._quiet_since_ms = spec.start_media_ms
        self._recognised_until_ms = spec.start_media_ms
        self._hugo_speaks = False
        self._closing = False
        self._stopped = False
        self._tasks: asyncio.TaskGroup | None = None
        self._hint: asyncio.Task[None] | None = None
        self.media_ms = spec.start_media_ms
        """The sound is known up to here."""

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Run recognition in `tasks`."""
        self._tasks = tasks
        self._recognition.start(tasks)

    def set_consent(self, consent: Consent) -> None:
        """The user's switches changed; they hold from now on."""
        self._delivery.set_consent(consent)

    def on_hugo(self, speaking: bool, media_ms: int, wants_answer: bool) -> None:
        """Hugo takes or leaves the floor."""
        if self._hugo_speaks and not speaking:
            self._quiet_since_ms = max(self._quiet_since_ms, media_ms)
        self._hugo_speaks = speaking
        self._follow(self._machine.on_hugo(speaking, media_ms, wants_answer))

    def on_heard(self, heard: Heard) -> None:
        """Take in what the media thread made of an entry."""
        if self._stopped:
            return
        if heard.jumped:
            first_ms = heard.windows[0].start_ms if heard.windows else heard.media_ms
            self._follow(self._machine.jump(first_ms))
            self._tape.restart(first_ms)
            self._recent.clear()
        self.media_ms = heard.media_ms
        for window in heard.windows:
            self._tape.append(window.pcm)
            self._recent.append(window)
            made = self._machine.on_window(window.start_ms, window.probability)
            if self._open is not None:
                self._add(self._open, window)
            self._follow(made)
        self._between_frames()

    async def finish(self, timeout_s: float) -> None:
        """Close the open turn and wait at most `timeout_s` for the texts that are due, then stop."""
        self._closing = True
        self._follow(self._machine.finish())
        try:
            async with asyncio.timeout(timeout_s):
                await self._recognition.settled()
        except TimeoutError:
            _LOG.warning("the text of the last turn came too late")
        for utterance in tuple(self._ending):
            self._fail(utterance)
        self.stop()

    def stop(self) -> None:
        """Give everything up now: no event comes after this."""
        self._stopped = True
        if self._hint is not None:
            self._hint.cancel()
        self._recognition.close()
        self._open = None
        self._ending.clear()

    def _add(self, u: Utterance, window: Window) -> None:
        is_speech = window.probability >= self._settings.turns.speech_off
        u.voice.track.add(window.hops, is_speech)

    def _between_frames(self) -> None:
        u = self._open
        if u is None:
            if self._tape.end_ms - self._tape.start_ms > _IDLE_TAPE_MS and not self._machine.onset:
                self._tape.forget_before(self._tape.end_ms - _IDLE_KEEP_MS)
            return
        if u.turn and u.voice.track.speech_ms - u.voice.stretch_speech_ms >= self._settings.stretch_ms:
            self._events.stretch(u, u.voice.track.end_ms, self.media_ms)
        every_ms = max(
            self._settings.partial_every_ms, 1000 * self._recognition.last_partial_s / self._settings.partial_load
        )
        if self._machine.talking and self.media_ms - u.asked_ms >= every_ms and self._recognition.idle:
            u.asked_ms = self.media_ms
            self._ask(u, "partial", 0)

    def _ask(self, u: Utterance, purpose: Purpose, pause: int, until_ms: int | None = None) -> None:
        # Never again what an earlier turn was made of: its last word would come twice.
        since_ms = max(u.start_ms - self._settings.preroll_ms, self._recognised_until_ms)
        start_ms, pcm = self._tape.since(since_ms, until_ms)
        end_ms = self._tape.end_ms if until_ms is None else until_ms
        self._recognition.submit(Request(u.number, purpose, pause, start_ms, end_ms, pcm))

    def _follow(self, made: list[d.Decision]) -> None:
        for decision in made:
            self._on_decision(decision)

    def _on_decision(self, decision: d.Decision) -> None:
        match decision:
            case d.SpeechStarted():
                self._speech_started(decision)
            case d.ThirdSpeechFrame(utterance, at_ms):
                self._signal(BargeInCandidate(utterance, at_ms))
            case d.InterruptionConfirmed(utterance, turn, at_ms):
                self._confirmed(utterance, turn, at_ms)
            case d.FalseInterruption(utterance, at_ms):
                self._signal(FalseInterruption(utterance, at_ms))
            case d.AcknowledgementFits(at_ms):
                self._signal(AcknowledgementFits(at_ms))
            case d.BackchannelHeard(_, text, start_ms, end_ms):
                self._events.backchannel(text, start_ms, end_ms, self.media_ms)
                self._let_go()
            case d.Discarded():
                self._let_go()
            case _:
                self._on_turn_decision(decision)

    def _on_turn_decision(self, decision: d.TurnOpened | d.ShortPause | d.Resumed | d.TurnComplete) -> None:
        u = self._open
        if u is None:
            return
        match decision:
            case d.TurnOpened(_, turn, _, interrupt):
                u.turn, u.interrupt = f"u{turn}", interrupt
                self._events.started(u, self.media_ms)
            case d.ShortPause(_, pause, _):
                u.pause = pause
                self._ask(u, "pause", pause)
                self._ask_hint(u, pause)
            case d.Resumed():
                u.pause = 0
            case d.TurnComplete():
                self._complete(u, decision)

    def _speech_started(self, started: d.SpeechStarted) -> None:
        u = Utterance(started.utterance, started.start_ms, self._delivery.begin(started.start_ms))
        u.asked_ms = self.media_ms
        if not started.while_hugo_speaks:
            u.quiet_before_s = max(0, started.start_ms - self._quiet_since_ms) / 1000
        for window in self._recent:
            if window.start_ms >= started.start_ms:
                self._add(u, window)
        self._open = u
        self._signal(UserSpeechStarted(u.number, u.start_ms, started.while_hugo_speaks))

    def _confirmed(self, utterance: int, turn: int, at_ms: int) -> None:
        if self._open is not None:
            self._open.interrupt = True
        self._signal(InterruptionConfirmed(utterance, f"u{turn}", at_ms))

    def _let_go(self) -> None:
        """The open utterance is no turn."""
        u, self._open = self._open, None
        if u is not None:
            self._recognition.withdraw(u.number)

    def _complete(self, u: Utterance, done: d.TurnComplete) -> None:
        self._open = None
        u.end_ms, u.interrupt, u.continued = done.end_ms, done.interrupt, done.continued
        self._quiet_since_ms = max(self._quiet_since_ms, u.end_ms)
        self._ending[u.number] = u
        self._events.ended(u, self.media_ms, self._closing)
        if u.pause and u.answer is not None and u.answered(u.pause):
            self._deliver(u, u.answer[1], u.answer[2])
        elif not (u.pause and self._recognition.promote(u.number, u.pause)):
            self._ask(u, "final", u.pause)
        self._recognised_until_ms = u.end_ms

    def _deliver(self, u: Utterance, heard: Recognition | None, request: Request) -> None:
        del self._ending[u.number]
        self._events.recognised(u, heard, request, self.media_ms)

    def _fail(self, utterance: int) -> None:
        u = self._ending[utterance]
        nothing: Pcm = self._tape.since(self._tape.end_ms)[1]
        self._deliver(u, None, Request(utterance, "final", 0, u.start_ms, u.end_ms, nothing))

    def _on_recognised(self, request: Request, heard: Recognition | None) -> None:
        ending = self._ending.get(request.utterance)
        if ending is not None:
            if request.purpose == "final":
                self._deliver(ending, heard, request)
            return
        u = self._open
        if u is None or u.number != request.utterance:
            return
        if request.purpose == "pause":
            u.answer = (request.pause, heard, request)
        if heard is None:
            return
        if u.turn:
            self._events.partial(u, heard, request, self.media_ms)
            return
        self._follow(self._machine.on_text(u.number, request.pause or None, heard.text))

    def _ask_hint(self, u: Utterance, pause: int) -> None:
        predictor = self._tools.turn_predictor
        if predictor is None or self._tasks is None:
            return
        if self._hint is not None:
            self._hint.cancel()
        start_ms = max(u.start_ms, self._tape.end_ms - self._settings.hint_sound_ms)
        pcm = self._tape.since(start_ms)[1]
        self._hint = self._tasks.create_task(self._get_hint(predictor, u.number, pause, pcm))

    async def _get_hint(self, predictor: TurnPredictor, utterance: int, pause: int, pcm: Pcm) -> None:
        """Ask how complete the turn sounds. Without an answer silence alone decides: nothing else is lost."""
        try:
            async with asyncio.timeout(self._settings.hint_timeout_s):
                probability = await predictor.complete_probability(pcm)
        except (SplitbrainError, TimeoutError):
            HINT_MISSED.inc()
            return
        except Exception:
            HINT_MISSED.inc()
            _LOG.exception("the end-of-turn hint failed")
            return
        self._follow(self._machine.on_hint(utterance, pause, probability))
