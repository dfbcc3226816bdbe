"""What a caller asks for, and the ways in which a call fails. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

from shared.errors import BadInput, SplitbrainError

DEFAULT_URL = "ws://127.0.0.1:8080"
"""Where `splitbrain up` listens unless told otherwise."""

Trouble = Literal["unreachable", "refused", "busy", "restarting", "failed", "protocol"]
CLOSES: dict[int, tuple[Trouble, str]] = {
    1007: ("protocol", "the server did not understand what was sent"),
    1008: ("refused", "the server refused the call"),
    1009: ("protocol", "a message was too large for the server"),
    1011: ("failed", "the server could not go on with the call"),
    1012: ("restarting", "the server restarts: call again"),
    1013: ("busy", "the server has no free slot: call again later"),
}
STATUSES: dict[int, tuple[Trouble, str]] = {
    400: ("refused", "the server cannot use what was asked for: engine, language, voice or another parameter"),
    401: ("refused", "the server wants a valid token: give one with --token"),
    403: ("refused", "the server does not allow this call"),
    404: ("protocol", "there is no voice endpoint at this address; is the path /api/chat?"),
    429: ("busy", "too many calls: try again later"),
    503: ("busy", "the server takes no calls now: try again later"),
}


class CallFailed(SplitbrainError):
    """The call did not come about or was cut off. `trouble` says how; `code` is the close code, 0 if none."""

    def __init__(self, trouble: Trouble, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.code = code


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What the caller asks for; what is empty is left to the server. `extra` holds further query parameters."""

    engine: str = ""
    language: str = ""
    voice: str = ""
    prompt: str = ""
    token: str = field(default="", repr=False)
    resume: str = field(default="", repr=False)
    events: bool = True
    extra: tuple[tuple[str, str], ...] = ()

    def address(self, url: str) -> str:
        """Return the full address for `url` (ws, wss, http or https; path /api/chat if it has none)."""
        parts = urlsplit(url)
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        if scheme not in ("ws", "wss") or not parts.netloc:
            raise BadInput("bad_url", f"{url!r} is no address of a server: use ws://host:port")
        named = {
            "engine": self.engine,
            "language": self.language,
            "voice_prompt": self.voice,
            "text_prompt": self.prompt,
            "resume": self.resume,
            "events": "1" if self.events else "",
        }
        query = urlencode([*((key, value) for key, value in named.items() if value), *self.extra])
        both = "&".join(part for part in (parts.query, query) if part)
        path = parts.path if parts.path not in ("", "/") else "/api/chat"
        return urlunsplit((scheme, parts.netloc, path, both, ""))
