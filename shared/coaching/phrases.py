"""The short fixed phrases that Hugo says often, word for word, so that a voice may have them ready as audio."""

from __future__ import annotations

from shared.events import Language

_BACKCHANNELS: dict[Language, tuple[str, ...]] = {
    "nl": ("Hm.", "Mhm.", "Ja.", "Oké.", "Ja, ja."),
    "en": ("Hm.", "Mhm.", "Right.", "Okay.", "Yeah."),
}

_OPENERS: dict[Language, dict[str, tuple[str, ...]]] = {
    "nl": {
        "good": ("Mooi.", "Sterk.", "Ja, goed.", "Netjes.", "Dat is hem.", "Ja, precies.", "Kijk, dat werkt.", "Knap."),
        "half": ("Bijna.", "Ja, goed begin.", "Je zit dichtbij.", "Hm, half raak.", "Daar zit iets in.", "Bijna raak."),
        "miss": ("Ho, wacht even.", "Stop even.", "Hm.", "Mm, nee.", "Even terug.", "Pas op.", "Rustig even."),
        "take": ("Oké.", "Goed.", "Helder.", "Ja.", "Duidelijk.", "Ik hoor je.", "Check.", "Begrepen."),
    },
    "en": {
        "good": ("Nice.", "Strong.", "Yes, good.", "That's it.", "Well done.", "Yes, exactly.", "See, that works."),
        "half": (
            "Almost.",
            "Good start.",
            "You're close.",
            "Hm, halfway there.",
            "There's something in that.",
            "Nearly.",
        ),
        "miss": ("Hold on.", "Wait a second.", "Hm.", "Mm, no.", "One step back.", "Careful.", "Slow down."),
        "take": ("Okay.", "Good.", "Mm, right.", "Yes.", "Clear.", "I hear you.", "Got it.", "Understood."),
    },
}

_FLEMISH: dict[str, tuple[str, ...]] = {
    "good": ("Voilà.", "Heel goed.", "Amai, sterk."),
    "half": ("Allez, bijna.",),
    "miss": ("Allez, wacht even.",),
    "take": ("Bon.", "Goh, oké."),
}  # fmt: skip

_WHOLE: dict[Language, tuple[str, ...]] = {
    "nl": (
        "Hoi, ik ben Hugo, je digitale salescoach.",
        "Dag, Hugo hier, je digitale verkoopcoach.",
        "Sorry, dat heb ik niet goed gehoord.",
        "Dat viel even weg bij mij.",
        "Ga je gang.",
        "Doe maar.",
        "Probeer maar.",
        "Neem je tijd.",
    ),
    "en": (
        "Hi, I'm Hugo, your digital sales coach.",
        "Hello, Hugo here, your digital sales coach.",
        "Sorry, I didn't catch that.",
        "I lost you for a moment there.",
        "Go ahead.",
        "Your turn.",
        "Give it a try.",
        "Take your time.",
    ),
}

Mood = str
"""One of good, half, miss, take: what the first short sentence of an answer says about the turn."""


def acknowledgements(language: Language) -> tuple[str, ...]:
    """Return what Hugo may murmur while the other talks; it takes no turn and says nothing."""
    return _BACKCHANNELS[language]


def openers(language: Language, mood: Mood, locale: str = "") -> tuple[str, ...]:
    """Return the first short sentences that fit a mood; Flemish ones first in Belgium."""
    own = _FLEMISH[mood] if language == "nl" and is_flemish(locale) else ()
    return own + _OPENERS[language][mood]


def whole_sentences(language: Language) -> tuple[str, ...]:
    """Return the other fixed sentences: greetings, "I did not hear that", and invitations to speak."""
    return _WHOLE[language]


def frequent_phrases(language: Language, locale: str = "") -> tuple[str, ...]:
    """Return every fixed phrase of a language, each once: worth having ready as audio."""
    moods = [phrase for mood in _OPENERS[language] for phrase in openers(language, mood, locale)]
    return tuple(dict.fromkeys([*moods, *_WHOLE[language]]))


def is_flemish(locale: str) -> bool:
    """Tell whether a BCP 47 locale is Dutch as spoken in Belgium."""
    return locale.replace("_", "-").lower().startswith("nl-be")
