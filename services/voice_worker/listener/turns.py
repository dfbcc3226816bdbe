"""When the user's turn begins and ends. Pure: a state machine on media time, fed window by window.

An utterance is a stretch of speech with pauses in it. In the clear it is a turn at once. Over Hugo's voice (or
right after it) it may be a backchannel: it is a turn as soon as it is too long for one or its words say so.
At most one turn is open at any time, and turn numbers go up by one.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.voice_worker.listener.backchannels import is_backchannel, may_be_backchannel, words_of
from services.voice_worker.listener.decisions import (
    AcknowledgementFits,
    BackchannelHeard,
    Decision,
    Discarded,
    FalseInterruption,
    InterruptionConfirmed,
    Resumed,
    ShortPause,
    SpeechStarted,
    ThirdSpeechFrame,
    TurnComplete,
    TurnOpened,
)
from services.voice_worker.listener.vad import WINDOW_MS
from shared.events import Language


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """Thresholds: probabilities 0..1, times in ms."""

    speech_on: float = 0.5
    speech_off: float = 0.35
    min_speech_ms: int = 100
    """Speech shorter than this is a click."""
    onset_gap_ms: int = 32
    """A longer gap than this within the first `min_speech_ms` starts the count again."""
    barge_in_ms: int = 200
    """Speech over Hugo after which the voice is paused: reached within the third frame."""
    short_pause_ms: int = 200
    early_end_ms: int = 420
    """Silence that ends a turn which sounds complete."""
    normal_end_ms: int = 800
    """Silence that ends a turn if nothing is known of how it sounds."""
    late_end_ms: int = 1_200
    """Silence that ends a turn which sounds unfinished."""
    complete_above: float = 0.7
    unfinished_below: float = 0.3
    backchannel_max_ms: int = 1_000
    backchannel_after_ms: int = 300
    """How long after Hugo's last sound a short word still counts as a backchannel to it."""
    undecided_max_ms: int = 2_000
    """Silence after which an utterance is dropped if no recognition says what it was."""
    max_turn_ms: int = 60_000
    acknowledge_after_ms: int = 4_000
    acknowledge_until_ms: int = 400
    acknowledge_every_ms: int = 6_000

    def end_after_ms(self, hint: float | None) -> int:
        """Return the silence that ends a turn, given how complete it sounds (None: not known)."""
        if hint is None:
            return self.normal_end_ms
        if hint >= self.complete_above:
            return self.early_end_ms
        return self.late_end_ms if hint <= self.unfinished_below else self.normal_end_ms


@dataclass(slots=True)
class _Hugo:
    """Hugo's voice as far as it matters here."""

    speaking: bool = False
    ended_ms: int | None = None
    wants_answer: bool = False


@dataclass(slots=True)
class _Onset:
    start_ms: int
    speech_ms: int = 0
    gap_ms: int = 0


@dataclass(slots=True)
class _Utterance:
    number: int
    start_ms: int
    end_ms: int
    speech_ms: int
    may_be_backchannel: bool
    turn: int | None = None
    over_hugo_ms: int = 0
    paused_voice: bool = False
    interrupt: bool = False
    pause: int | None = None
    hint: float | None = None
    acknowledged: bool = False


class TurnMachine:
    """The state of one session. Every method returns the decisions that follow from its input, in order."""

    def __init__(self, language: Language, settings: TurnSettings, first_turn: int = 1) -> None:
        self._language = language
        self._settings = settings
        self._next_turn = first_turn
        self._next_utterance = 1
        self._next_pause = 1
        self._now_ms = 0
        self._hugo = _Hugo()
        self._onset: _Onset | None = None
        self._utterance: _Utterance | None = None
        self._acknowledged_ms: int | None = None

    @property
    def talking(self) -> bool:
        """Whether the user speaks right now, pauses within an utterance not included."""
        return self._utterance is not None and self._utterance.pause is None

    @property
    def onset(self) -> bool:
        """Whether something began that may become speech."""
        return self._onset is not None

    def on_window(self, start_ms: int, probability: float) -> list[Decision]:
        """Take the next 32 ms window; windows must come in order."""
        self._now_ms = start_ms + WINDOW_MS
        settings = self._settings
        if self._utterance is None:
            if probability >= settings.speech_on:
                return self._onset_speech(start_ms)
            self._onset_silence()
            return []
        if probability >= settings.speech_off:
            return self._speech(self._utterance)
        return self._silence(self._utterance)

    def on_hugo(self, speaking: bool, at_ms: int, wants_answer: bool = False) -> list[Decision]:
        """Hugo's voice starts or stops. `wants_answer`: it ended by itself, and with a question."""
        if speaking and not self._hugo.speaking and self._utterance is not None:
            self._utterance.over_hugo_ms = 0
        if speaking != self._hugo.speaking:
            self._hugo = _Hugo(speaking, None if speaking else at_ms, wants_answer and not speaking)
        u = self._utterance
        if u is not None and u.turn is None and self._hugo.wants_answer:
            return self._confirm(u)  # a "ja" that runs into the end of a question answers it
        return []

    def on_hint(self, utterance: int, pause: int, probability: float) -> list[Decision]:
        """How complete the turn sounds at this pause. A hint that comes too late is ignored."""
        u = self._utterance
        if u is None or u.number != utterance or u.pause != pause:
            return []
        u.hint = probability
        return self._while_silent(u)

    def on_text(self, utterance: int, pause: int | None, text: str) -> list[Decision]:
        """What has been recognised of an utterance: at a pause, or (`pause` None) while the user speaks."""
        u = self._utterance
        if u is None or u.number != utterance or u.turn is not None:
            return []
        if pause is None or u.pause != pause:  # more was said since
            return [] if may_be_backchannel(text, self._language) else self._confirm(u)
        if not words_of(text):
            return self._drop(u)
        if u.may_be_backchannel and is_backchannel(text, self._language):
            heard = BackchannelHeard(u.number, text, u.start_ms, u.end_ms)
            return [heard, *self._release(u)]
        return [*self._confirm(u), *self._while_silent(u)]

    def finish(self) -> list[Decision]:
        """The session is over: close what is open."""
        u = self._utterance
        if u is None:
            return []
        return self._complete(u) if u.turn is not None else self._drop(u)

    def jump(self, to_ms: int) -> list[Decision]:
        """Media time goes on without sound (a long loss): whatever was open has ended."""
        decisions = self.finish()
        self._onset = None
        self._now_ms = to_ms
        return decisions

    def _onset_speech(self, start_ms: int) -> list[Decision]:
        onset = self._onset or _Onset(start_ms)
        self._onset = onset
        onset.speech_ms += WINDOW_MS
        onset.gap_ms = 0
        if onset.speech_ms < self._settings.min_speech_ms:
            return []
        return self._open(onset)

    def _onset_silence(self) -> None:
        if self._onset is not None:
            self._onset.gap_ms += WINDOW_MS
            if self._onset.gap_ms > self._settings.onset_gap_ms:
                self._onset = None

    def _open(self, onset: _Onset) -> list[Decision]:
        after = None if self._hugo.ended_ms is None else onset.start_ms - self._hugo.ended_ms
        right_after = after is not None and after < self._settings.backchannel_after_ms
        u = _Utterance(
            number=self._take_utterance(),
            start_ms=onset.start_ms,
            end_ms=self._now_ms,
            speech_ms=onset.speech_ms,
            may_be_backchannel=self._hugo.speaking or (right_after and not self._hugo.wants_answer),
            over_hugo_ms=onset.speech_ms if self._hugo.speaking else 0,
        )
        self._onset, self._utterance = None, u
        started = SpeechStarted(u.number, u.start_ms, self._hugo.speaking)
        return [started] if u.may_be_backchannel else [started, *self._confirm(u)]

    def _speech(self, u: _Utterance) -> list[Decision]:
        decisions: list[Decision] = []
        if u.pause is not None:
            decisions.append(Resumed(u.number, self._now_ms - WINDOW_MS))
            u.pause, u.hint = None, None
        u.end_ms = self._now_ms
        u.speech_ms += WINDOW_MS
        if self._hugo.speaking:
            u.over_hugo_ms += WINDOW_MS
            decisions += self._over_hugo(u)
        if u.turn is None and self._now_ms - u.start_ms > self._settings.backchannel_max_ms:
            decisions += self._confirm(u)
        return decisions + self._cut_if_long(u)

    def _over_hugo(self, u: _Utterance) -> list[Decision]:
        if u.paused_voice or u.over_hugo_ms < self._settings.barge_in_ms:
            return []
        u.paused_voice = True
        third = ThirdSpeechFrame(u.number, self._now_ms)
        if u.turn is None:
            return [third]
        u.interrupt = True
        return [third, InterruptionConfirmed(u.number, u.turn, self._now_ms)]

    def _silence(self, u: _Utterance) -> list[Decision]:
        decisions: list[Decision] = []
        if u.pause is None and self._now_ms - u.end_ms >= self._settings.short_pause_ms:
            u.pause, u.acknowledged = self._next_pause, False
            self._next_pause += 1
            decisions.append(ShortPause(u.number, u.pause, u.end_ms))
        if u.turn is not None and self._now_ms - u.start_ms >= self._settings.max_turn_ms:
            return decisions + self._complete(u)
        return decisions + self._while_silent(u)

    def _while_silent(self, u: _Utterance) -> list[Decision]:
        """End the utterance if it has been silent for long enough."""
        silent_ms = self._now_ms - u.end_ms
        if u.pause is None:
            return []
        if u.turn is None:
            return self._drop(u) if silent_ms >= self._settings.undecided_max_ms else []
        if silent_ms >= self._settings.end_after_ms(u.hint):
            return self._complete(u)
        return self._acknowledge(u, silent_ms)

    def _acknowledge(self, u: _Utterance, silent_ms: int) -> list[Decision]:
        settings = self._settings
        if u.acknowledged or self._hugo.speaking or silent_ms > settings.acknowledge_until_ms:
            return []
        if u.end_ms - u.start_ms < settings.acknowledge_after_ms:
            return []
        last = self._acknowledged_ms
        if last is not None and self._now_ms - last < settings.acknowledge_every_ms:
            return []
        # Without a hint, wait until half of the time for it is over.
        known = u.hint is not None or silent_ms * 2 >= settings.short_pause_ms + settings.acknowledge_until_ms
        if not known or (u.hint is not None and u.hint >= settings.complete_above):
            return []
        u.acknowledged = True
        self._acknowledged_ms = self._now_ms
        return [AcknowledgementFits(self._now_ms)]

    def _confirm(self, u: _Utterance) -> list[Decision]:
        u.turn = self._next_turn
        self._next_turn += 1
        u.interrupt = u.paused_voice or self._hugo.speaking
        opened = TurnOpened(u.number, u.turn, u.start_ms, u.interrupt)
        if not u.interrupt:
            return [opened]
        return [InterruptionConfirmed(u.number, u.turn, self._now_ms), opened]

    def _drop(self, u: _Utterance) -> list[Decision]:
        return [Discarded(u.number, u.start_ms, u.end_ms), *self._release(u)]

    def _release(self, u: _Utterance) -> list[Decision]:
        self._utterance = None
        return [FalseInterruption(u.number, self._now_ms)] if u.paused_voice else []

    def _complete(self, u: _Utterance) -> list[Decision]:
        assert u.turn is not None
        self._utterance = None
        return [TurnComplete(u.number, u.turn, u.start_ms, u.end_ms, u.interrupt)]

    def _cut_if_long(self, u: _Utterance) -> list[Decision]:
        """Cut a turn at the longest length; if the user talks on, that is the next turn."""
        if u.turn is None or self._now_ms - u.start_ms < self._settings.max_turn_ms:
            return []
        self._utterance = None
        return [TurnComplete(u.number, u.turn, u.start_ms, u.end_ms, u.interrupt, continued=True)]

    def _take_utterance(self) -> int:
        number = self._next_utterance
        self._next_utterance += 1
        return number
