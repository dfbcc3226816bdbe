"""A client's query parameters -> what the session shall be. Pure. All are optional; unknown ones are left alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from shared.errors import BadInput
from shared.events import Consent, Language, VoiceMode

MAX_TEXT_PROMPT = 4000
LANGUAGES = ("nl", "en")

_VOICE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
_SEED = re.compile(r"-?[0-9]{1,18}")
_RESUME = re.compile(r"[0-9a-z]{20,40}\.[A-Za-z0-9_-]{43}")
_EVENT_ID = re.compile(r"[\x21-\x7e]{1,200}")
_NO_CONSENT = Consent()
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


@dataclass(frozen=True, slots=True)
class SessionParams:
    """What a client asked for. Empty: not said. `seed` None: drawn by the engine."""

    engine: str = ""
    language: Language | None = None
    locale: str = ""
    persona: str = ""
    voice: str = ""
    seed: int | None = None
    mode: VoiceMode | None = None
    wants_events: bool = False
    consent: Consent = _NO_CONSENT
    resume: str = ""
    last_event: str = ""


def read_params(query: Mapping[str, str]) -> SessionParams:
    """Return the parameters. Raises BadInput that names the parameter and its form."""
    locale = _matching(query, "locale", _LOCALE, "a language tag such as nl-BE")
    return SessionParams(
        engine=_matching(query, "engine", re.compile(r"[a-z][a-z0-9_]{0,31}"), "an engine's id (GET /api/engines)"),
        language=_language(query.get("language", ""), locale),
        locale=locale,
        persona=_text_prompt(query.get("text_prompt", "")),
        voice=_matching(query, "voice_prompt", _VOICE, "a file name of letters, digits, _ . and -, without a path"),
        seed=_seed(query),
        mode=_mode(query.get("mode", "")),
        wants_events=_switch(query, "events"),
        consent=Consent(
            store_audio=_switch(query, "consent_store_audio"),
            store_transcript=_switch(query, "consent_store_transcript"),
            emotion=_switch(query, "consent_emotion"),
        ),
        resume=_matching(query, "resume", _RESUME, "the resume token of an earlier connection"),
        last_event=_matching(query, "last_event", _EVENT_ID, "the id of the last event that you got"),
    )


def _matching(query: Mapping[str, str], name: str, form: re.Pattern[str], what: str) -> str:
    value = query.get(name, "")
    if value and not form.fullmatch(value):
        raise BadInput(f"bad_{name}", f"{name} must be {what}")
    return value


def _language(value: str, locale: str) -> Language | None:
    if not value:
        prefix = locale[:2].lower()
        return cast(Language, prefix) if prefix in LANGUAGES else None
    if value not in LANGUAGES:
        raise BadInput("bad_language", f"language must be one of: {', '.join(LANGUAGES)}")
    return cast(Language, value)


def _text_prompt(value: str) -> str:
    if len(value) > MAX_TEXT_PROMPT:
        raise BadInput("bad_text_prompt", f"text_prompt has {len(value)} characters; at most {MAX_TEXT_PROMPT}")
    return value


def _seed(query: Mapping[str, str]) -> int | None:
    value = _matching(query, "seed", _SEED, "a whole number of at most 18 digits; -1 draws one")
    return int(value) if value and value != "-1" else None


def _mode(value: str) -> VoiceMode | None:
    if value and value not in get_args(VoiceMode):
        raise BadInput("bad_mode", f"mode must be one of: {', '.join(get_args(VoiceMode))}")
    return cast(VoiceMode, value) if value else None


def _switch(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "").lower()
    if value not in _YES + _NO:
        raise BadInput(f"bad_{name}", f"{name} must be 1 or 0")
    return value in _YES
