"""The error tree of splitbrain. Each class says who can mend it; messages say what to do."""

from __future__ import annotations


class SplitbrainError(Exception):
    """Root of all errors that splitbrain raises on purpose."""


class ConfigError(SplitbrainError):
    """A setting, file or command-line option is wrong. The operator mends it; the process does not start."""


class BadInput(SplitbrainError):
    """A client or a file sent something that is not of its form. Refused at the border; nothing was changed.

    `code` is a stable, machine-readable word; the message is for a person.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class WireError(BadInput):
    """A stream entry cannot be decoded: wrong version, unknown kind, too large, or fields of the wrong type."""

    def __init__(self, message: str) -> None:
        super().__init__("bad_entry", message)


class AudioError(BadInput):
    """Ogg or Opus data is not valid. Carries what was wrong and at which byte or packet."""

    def __init__(self, message: str) -> None:
        super().__init__("bad_audio", message)


class AuthError(BadInput):
    """A token, ticket or origin was refused. The message never repeats the token."""


class Overloaded(SplitbrainError):
    """A bound was reached: slots, queue, or limit. `retry_after_s` says when to come back."""

    def __init__(self, message: str, retry_after_s: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BrokerError(SplitbrainError):
    """Redis is absent, refuses, or answers something unexpected."""


class LeaseLost(SplitbrainError):
    """Another owner serves this session now: stop at once and publish nothing more."""


class EngineError(SplitbrainError):
    """A voice engine cannot open or go on with a session."""


class SpeechError(SplitbrainError):
    """Speech-to-text or text-to-speech failed."""


class SpeechHostDied(SpeechError):
    """The process that runs a speech model ended while it worked on a request."""


class ModelMissing(SpeechError):
    """A model file is not where it should be. `splitbrain models install` brings it."""


class ModelCorrupt(SpeechError):
    """A model file does not have the SHA-256 that it should have; it was not loaded."""
