"""Turns a sentence and its delivery hints into what a voice can do: segments with pauses, pace and stress.

Pure and seeded: the same seed, text and hints give the same speech. Only for speech, never for stored text.
Numbers, names, prices and quotes are never altered: hesitations go between words, and never beside a digit or
a capital. Pauses and stress stay structured until a voice renders them; no markup ever reaches a voice.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from shared.events import DeliveryHints, Pace

SPEED: dict[Pace, float] = {"slow": 0.88, "normal": 1.0, "fast": 1.12}
"""Pace as a factor of the voice's own speed; a listener notices changes from about 5 to 15 % (Quené 2007)."""

HESITATIONS: dict[str, tuple[str, ...]] = {
    "nl-NL": ("eh", "nou", "even kijken", "hmm"),
    "nl-BE": ("euh", "allez", "goh", "hmm"),
    "en": ("uh", "um", "well", "hmm"),
}

_BREAK_WORDS = {"nl": {"en", "maar", "of", "want", "dus"}, "en": {"and", "but", "or", "because", "so"}}
_DIGIT_OR_SIGN = re.compile(r"[0-9€$£%\"“”'‘’«»]")


@dataclass(frozen=True, slots=True)
class Segment:
    """Words to say in one breath. `pause_s` is the silence after them; `speed` 1.0 is the voice's own.

    `spoken` is what the voice gets, `text` what counts as said (without hesitations).
    """

    spoken: str
    text: str
    pause_s: float = 0.0
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class HumanizerSettings:
    """Rates are per sentence. 0 turns a thing off (a voice that paces itself wants all of them off)."""

    hesitation_rate: float = 0.12
    min_hesitation_chars: int = 30
    breath_chars: int = 80
    breath_s: float = 0.15
    emphasis_pause_s: float = 0.08
    emphasis_slowdown: float = 0.94
    max_pause_s: float = 3.0


def humanize(
    text: str, hints: DeliveryHints, locale: str, rng: random.Random, settings: HumanizerSettings, *, first: bool
) -> list[Segment]:
    """Return the segments of a sentence, in order; their `text`s joined by spaces are the sentence.

    `first` marks the first sentence of an answer: it never hesitates. Unknown words in the hints have no effect.
    """
    words = text.split()
    if not words:
        return []
    speed = SPEED[hints.pacing]
    pauses = _pauses(words, hints, settings)
    if not pauses and len(text) > settings.breath_chars:
        pauses = _breath(words, locale, settings)
    stressed = _stressed(words, hints)
    for index in stressed:
        if index > 0:
            pauses.setdefault(index - 1, settings.emphasis_pause_s)
    hesitation = "" if first else _hesitation(text, words, locale, rng, settings)
    return _cut(words, pauses, stressed, speed, hesitation, settings)


def _cut(
    words: list[str],
    pauses: dict[int, float],
    stressed: set[int],
    speed: float,
    hesitation: str,
    settings: HumanizerSettings,
) -> list[Segment]:
    segments: list[Segment] = []
    start = 0
    for end in [*sorted(index for index in pauses if index < len(words) - 1), len(words) - 1]:
        part = words[start : end + 1]
        said = " ".join(part)
        slowed = speed * settings.emphasis_slowdown if any(start <= i <= end for i in stressed) else speed
        spoken = f"{hesitation}, {_lower_first(said)}" if hesitation and start == 0 else said
        segments.append(Segment(spoken, said, pauses.get(end, 0.0), round(slowed, 3)))
        start = end + 1
    return segments


def _pauses(words: list[str], hints: DeliveryHints, settings: HumanizerSettings) -> dict[int, float]:
    """Word index -> seconds of silence after it, for each pause whose words are in the text."""
    plain = [_plain(word) for word in words]
    found: dict[int, float] = {}
    for pause in hints.pauses:
        target = [_plain(word) for word in pause.after.split()]
        size = len(target)
        for start in range(len(plain) - size + 1):
            if size and plain[start : start + size] == target:
                found[start + size - 1] = min(pause.duration, settings.max_pause_s)
                break
    return found


def _breath(words: list[str], locale: str, settings: HumanizerSettings) -> dict[int, float]:
    """One breath near the middle of a long sentence: after a comma, or before a joining word."""
    joining = _BREAK_WORDS.get(locale[:2], set())
    total = sum(len(word) + 1 for word in words)
    best: tuple[float, int] | None = None
    reached = 0
    for index, word in enumerate(words[:-1]):
        reached += len(word) + 1
        fits = word.endswith((",", ";", ":")) or _plain(words[index + 1]) in joining
        if fits and 20 <= reached <= total - 20:
            distance = abs(reached - total / 2)
            if best is None or distance < best[0]:
                best = (distance, index)
    return {best[1]: settings.breath_s} if best else {}


def _stressed(words: list[str], hints: DeliveryHints) -> set[int]:
    wanted = {_plain(word) for phrase in hints.emphasis for word in phrase.split()}
    return {index for index, word in enumerate(words) if _plain(word) in wanted}


def _hesitation(text: str, words: list[str], locale: str, rng: random.Random, settings: HumanizerSettings) -> str:
    """A hesitation for the start of the sentence, or "". Draws from `rng` for every sentence, so that a
    sentence that cannot hesitate does not shift the luck of the next one."""
    luck, choice = rng.random(), rng.random()
    short = len(text) < settings.min_hesitation_chars
    fragile = bool(_DIGIT_OR_SIGN.search(words[0])) or (len(words) > 1 and words[1][:1].isupper())
    if luck >= settings.hesitation_rate or short or fragile or text.rstrip().endswith("?"):
        return ""
    options = HESITATIONS.get(locale) or HESITATIONS["nl-NL" if locale.startswith("nl") else "en"]
    return options[int(choice * len(options))].capitalize()


def _lower_first(text: str) -> str:
    """Lower the first letter of a plain word ("Dat is" -> "dat is"); "I", names and abbreviations stay."""
    word = text.split(maxsplit=1)[0]
    plain = word.strip(",.;:!?")
    if plain in {"I", "U"} or plain.startswith("I'") or not plain[1:].islower():
        return text
    return text[0].lower() + text[1:] if plain.lower() in _COMMON_STARTS else text


_COMMON_STARTS = frozenset(
    {
        "a",
        "als",
        "an",
        "and",
        "but",
        "dat",
        "de",
        "denk",
        "dit",
        "dus",
        "een",
        "en",
        "he",
        "het",
        "hij",
        "hoe",
        "how",
        "if",
        "it",
        "je",
        "jij",
        "laat",
        "let",
        "maar",
        "neem",
        "she",
        "so",
        "take",
        "that",
        "the",
        "they",
        "think",
        "this",
        "try",
        "waar",
        "waarom",
        "wanneer",
        "wat",
        "we",
        "what",
        "when",
        "where",
        "who",
        "why",
        "wie",
        "wij",
        "you",
        "ze",
        "zij",
    }
)


def _plain(word: str) -> str:
    return word.strip(",.;:!?…\"“”'‘’()").lower()
