"""How an answer is to be said: pace, stress, pauses, tone, from how the seller spoke and what Hugo says. Pure."""

from __future__ import annotations

import re
from typing import Literal

from shared.coaching.words import fold
from shared.events import DeliveryHints, Pace, Pause, Tone, VoiceToCoach

Role = Literal["opener", "body", "cue", "ask"]

HIGH_ENERGY = 0.75
THINKING_PAUSE_S = 1.2
BREATH_S = 0.4
MAX_EMPHASIS = 2

_STRESSED = {
    "één", "een", "open", "eerst", "niet", "nu", "stilte", "zwijg", "hoe", "wat", "welke", "waarom", "duidelijke",
    "one", "first", "not", "now", "quiet", "silence", "how", "what", "which", "why", "clear",
}  # fmt: skip
_STRESSED_FOLDED = frozenset(map(fold, _STRESSED))
_HARD = re.compile(r"\b(?:welke?|wat|hoe|which|what|how|why|waarom)\b", re.IGNORECASE)


def hints_for(
    text: str, role: Role, heard: VoiceToCoach | None, move: str, names: tuple[str, ...] = ()
) -> DeliveryHints:
    """Return the hints for one stretch of an answer.

    `names` are technique names in the text that deserve the stress. After a hard question comes a silence, so
    that the seller can think.
    """
    return DeliveryHints(
        pacing=_pacing(heard),
        emphasis=_emphasis(text, names),
        pauses=_pauses(text, role),
        tone=_tone(heard, move, role),
    )


def _pacing(heard: VoiceToCoach | None) -> Pace:
    """Go slower with somebody who is rushed, and stay with somebody who takes their time."""
    if heard is None:
        return "normal"
    rushed = heard.timing.speech_pace == "fast" or (heard.prosody.energy or 0.0) > HIGH_ENERGY
    uneasy = heard.prosody.emotion in ("frustrated", "uncertain")
    return "slow" if rushed or uneasy else "normal"


def _tone(heard: VoiceToCoach | None, move: str, role: Role) -> Tone:
    if heard is not None and heard.prosody.emotion in ("frustrated", "uncertain"):
        return "supportive"
    if move == "correct" and role != "opener":
        return "challenging"
    if role == "cue":
        return "neutral"
    return "supportive" if move in ("praise", "polish", "help", "confirm", "close", "ask_slot") else "neutral"


def _emphasis(text: str, names: tuple[str, ...]) -> tuple[str, ...]:
    chosen = [name for name in names if name and name in text]
    chosen += [word for word in re.findall(r"[^\W\d_]+", text) if fold(word) in _STRESSED_FOLDED and word not in chosen]
    return tuple(chosen[:MAX_EMPHASIS])


def _pauses(text: str, role: Role) -> tuple[Pause, ...]:
    words = text.split()
    if role == "ask" and text.endswith("?") and _HARD.search(text) and len(words) >= 4:
        return (Pause(words[-1], THINKING_PAUSE_S),)
    if role == "body" and ", " in text and len(words) >= 9:
        return (Pause(text.split(", ")[0].split()[-1] + ",", BREATH_S),)
    return ()
