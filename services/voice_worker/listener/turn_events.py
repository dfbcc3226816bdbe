"""The events and closing signals of the user's turns: their ids, their order, their content."""

from __future__ import annotations

from services.voice_worker.listener.delivery import Delivery
from services.voice_worker.listener.metrics import END_TO_TEXT_SECONDS, TURNS
from services.voice_worker.listener.recognition import Request
from services.voice_worker.listener.spec import Emit, OnSignal
from services.voice_worker.listener.utterance import Utterance, to_coach, transcript
from services.voice_worker.signals import UserTurnComplete
from services.voice_worker.speech.interfaces import Recognition
from shared.events import Backchannel, Language, Notice, TurnEnded, TurnStarted


class TurnEvents:
    """Speaks for one session. Event ids are made of the turn, so that doing it twice changes nothing."""

    def __init__(self, language: Language, delivery: Delivery, emit: Emit, on_signal: OnSignal) -> None:
        self._language = language
        self._delivery = delivery
        self._emit = emit
        self._signal = on_signal

    def started(self, u: Utterance, now_ms: int) -> None:
        """The utterance is a turn."""
        self._emit(TurnStarted(u.turn, "user", u.start_ms), f"voice:turn_started:{u.turn}", now_ms)

    def partial(self, u: Utterance, heard: Recognition, request: Request, now_ms: int) -> None:
        """What has been understood of the turn so far; nothing if no word was."""
        if not heard.text.strip():
            return
        u.partials += 1
        said = transcript(u, heard, request, self._language, final=False)
        self._emit(said, f"voice:transcript:{u.turn}:p{u.partials}", now_ms)

    def stretch(self, u: Utterance, until_ms: int, now_ms: int) -> None:
        """About a second of speech is full: how it sounds."""
        measured = self._delivery.stretch(u.voice, u.turn, until_ms)
        if measured is not None:
            self._emit(measured, f"voice:prosody:{u.turn}:{measured.end_ms}", now_ms)

    def ended(self, u: Utterance, now_ms: int, closing: bool) -> None:
        """The turn is over; its text may still come."""
        reason = "session_ended" if closing else "complete"
        body = TurnEnded(u.turn, "user", u.start_ms, u.end_ms, "session_ended" if closing else "complete")
        TURNS.labels(reason).inc()
        self._emit(body, f"voice:turn_ended:{u.turn}", now_ms)

    def backchannel(self, text: str, start_ms: int, end_ms: int, now_ms: int) -> None:
        """A short acknowledgement that takes no turn."""
        TURNS.labels("backchannel").inc()
        self._emit(Backchannel("user", text.strip(), start_ms, end_ms), f"voice:backchannel:user:{start_ms}", now_ms)

    def recognised(self, u: Utterance, heard: Recognition | None, request: Request, now_ms: int) -> None:
        """The text of a finished turn is there (None: it could not be had). The coach is told first of all."""
        text = "" if heard is None else heard.text.strip()
        if heard is not None and text:
            said = transcript(u, heard, request, self._language, final=True)
            n_words = len(said.words) or len(said.text.split())
            measured = self._delivery.turn(u.voice, u.turn, u.end_ms, said.text, n_words)
            self._emit(said, f"voice:transcript:{u.turn}:final", now_ms)
            self._emit(measured, f"voice:prosody:{u.turn}:final", now_ms)
            self._emit(to_coach(u, said, measured), f"voice:to_coach:{u.turn}", now_ms)
            END_TO_TEXT_SECONDS.observe(max(0, now_ms - u.end_ms) / 1000)
            text = said.text
        elif heard is None:
            self._failed(u, now_ms)
        else:
            TURNS.labels("empty").inc()
        self._signal(UserTurnComplete(u.turn, u.start_ms, u.end_ms, text, u.interrupt, u.continued))

    def _failed(self, u: Utterance, now_ms: int) -> None:
        message = f"turn {u.turn} could not be transcribed; please say it again"
        TURNS.labels("failed").inc()
        measured = self._delivery.turn(u.voice, u.turn, u.end_ms, "", 0)
        self._emit(measured, f"voice:prosody:{u.turn}:final", now_ms)
        notice = Notice("recognition_failed", "warning", message, 1)
        self._emit(notice, f"voice:notice:recognition_failed:{u.turn}", now_ms)
