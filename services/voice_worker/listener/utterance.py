"""What is known of one utterance while it is spoken and until its text is there; and the events made of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.voice_worker.listener.delivery import TurnVoice
from services.voice_worker.listener.recognition import Request
from services.voice_worker.speech.interfaces import Recognition
from shared.events import Language, Prosody, Timing, Transcript, VoiceToCoach, Word
from shared.events import ProsodyMeasured as Measured

MAX_TEXT: Final = 20_000
"""Characters of a transcript that an event carries; no minute of speech has more."""


@dataclass(slots=True)
class Utterance:
    """One stretch of speech. `turn` is "" until it is known to be one."""

    number: int
    start_ms: int
    voice: TurnVoice
    quiet_before_s: float = 0.0
    turn: str = ""
    interrupt: bool = False
    continued: bool = False
    ended: bool = False
    end_ms: int = 0
    pause: int = 0
    answer: tuple[int, Recognition | None, Request] | None = None
    """The newest recognition at a pause: (pause, result or None if it failed, request)."""
    partials: int = 0
    asked_ms: int = 0
    """Media time of the last request for a partial."""

    def answered(self, pause: int) -> bool:
        """Whether the recogniser has answered for this pause."""
        return self.answer is not None and self.answer[0] == pause


def words_in_media_time(recognition: Recognition, request: Request) -> tuple[Word, ...]:
    """Return the words with their places in media time, kept inside the sound that was recognised."""
    words: list[Word] = []
    for word in recognition.words:
        start = _inside(request.start_ms + round(word.start_s * 1000), request)
        end = _inside(request.start_ms + round(word.end_s * 1000), request)
        words.append(Word(word.text.strip(), start, max(start, end), _unit(word.confidence)))
    return tuple(words)


def transcript(u: Utterance, recognition: Recognition, request: Request, language: Language, final: bool) -> Transcript:
    """Return what was said; a partial reaches as far as the sound that it rests on."""
    return Transcript(
        turn=u.turn,
        speaker="user",
        text=recognition.text.strip()[:MAX_TEXT],
        final=final,
        start_ms=u.start_ms,
        end_ms=u.end_ms if final else max(u.start_ms, request.end_ms),
        language=language,
        words=words_in_media_time(recognition, request),
        confidence=_unit(recognition.confidence),
    )


def to_coach(u: Utterance, said: Transcript, measured: Measured) -> VoiceToCoach:
    """Return the first message of the split brain for a finished turn."""
    return VoiceToCoach(
        turn=u.turn,
        transcript=said.text,
        timing=Timing(said.words, measured.speech_pace, u.quiet_before_s),
        prosody=Prosody(measured.prosody.confidence, measured.prosody.emotion, measured.prosody.energy),
        interrupt=u.interrupt,
        language=said.language,
        start_ms=u.start_ms,
        end_ms=u.end_ms,
        asr_confidence=said.confidence,
    )


def _inside(ms: int, request: Request) -> int:
    return max(request.start_ms, min(request.end_ms, ms))


def _unit(value: float | None) -> float | None:
    return None if value is None else max(0.0, min(1.0, value))
