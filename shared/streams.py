"""Names of everything in Redis. The only place that builds a key; knows no connection.

Every key of a session carries its shard as the Redis Cluster hash tag (`sb:{07}:<sid>:events`), so that
a session's keys live on one node and one multi-key command serves a whole shard.
"""

from __future__ import annotations

import re
import secrets
import zlib
from dataclasses import dataclass

from shared.errors import BadInput
from shared.events import Role

DEFAULT_SHARDS = 16
MAX_SHARDS = 100  # two digits in the tag

_SESSION_ID = re.compile(r"[0-9a-z]{20,40}")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32, lower case
_ENGINE = re.compile(r"[a-z][a-z0-9_]{0,31}")

PROCESSES_KEY = "sb:processes"
"""Hash: worker id -> JSON of what it says of itself (`splitbrain ps` reads it)."""

DRAIN_TTL_S = 30
"""How long a request to drain is there to be read; its process looks once a second."""

DEAD_KEY = "sb:dead"
"""Stream: what was set aside since it makes its consumer fail; names it and holds nothing of what a user said."""

EDGE_SESSIONS_KEY = "sb:edge.sessions"
"""Sorted set: session id by the time at which any edge ends it unless its client's edge renews it."""

EDGE_LOOKED_KEY = f"{{{EDGE_SESSIONS_KEY}}}:looked"
"""String: when an edge last looked for sessions to end; on the node of the set itself."""


ENDED_KEY = "sb:ended"
"""Sorted set: session that ended and is not archived yet, by the time of its end (ms, Redis' clock)."""

ENDED_DUE_KEY = f"{{{ENDED_KEY}}}:due"
"""Sorted set beside it (same cluster slot): session by the time at which an archiver looks at it (again)."""

ENDED_TRIES_KEY = f"{{{ENDED_KEY}}}:tries"
"""Hash beside it: session -> how often an archiver began with it."""


def new_session_id(wall_ms: int) -> str:
    """Return a ULID-like id: 10 characters of time, then 16 (80 bits) that nobody can guess."""
    stamp = "".join(_ALPHABET[(wall_ms >> shift) & 31] for shift in range(45, -1, -5))
    return stamp + "".join(secrets.choice(_ALPHABET) for _ in range(16))


def check_session_id(text: str) -> str:
    """Return `text` if it has the form of a session id, else raise BadInput."""
    if not _SESSION_ID.fullmatch(text):
        raise BadInput("bad_session_id", "a session id has 20 to 40 characters 0-9 and a-z")
    return text


def shard_of(session_id: str, n_shards: int = DEFAULT_SHARDS) -> int:
    """Return the session's shard, 0..n_shards-1: CRC-32 of its id, the same in every process and release."""
    return zlib.crc32(session_id.encode()) % n_shards


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """The Redis keys of one session."""

    session_id: str
    shard: int

    @property
    def _base(self) -> str:
        return f"sb:{{{self.shard:02d}}}:{self.session_id}"

    @property
    def audio_in(self) -> str:
        """Stream: one entry for each frame that the client sent."""
        return f"{self._base}:audio.in"

    @property
    def audio_out(self) -> str:
        """Stream: one entry for each frame that the engine gave back."""
        return f"{self._base}:audio.out"

    @property
    def events(self) -> str:
        """Stream: typed events of all roles."""
        return f"{self._base}:events"

    @property
    def state(self) -> str:
        """Hash: status, engine, language, owner epoch, user, consent, caps used."""
        return f"{self._base}:state"

    @property
    def scorecard(self) -> str:
        """String: the scorecard as computed again after the session's end, canonical JSON."""
        return f"{self._base}:scorecard"

    @property
    def dead(self) -> str:
        """Hash: which entries were set aside by which role, and the words of the error that each one raised."""
        return f"{self._base}:dead"

    def all(self) -> tuple[str, ...]:
        return (self.audio_in, self.audio_out, self.events, self.state, self.scorecard, self.dead)


def session_keys(session_id: str, n_shards: int = DEFAULT_SHARDS) -> SessionKeys:
    """Return the keys of a session."""
    return SessionKeys(session_id, shard_of(session_id, n_shards))


def wake_key(shard: int, reader_id: str) -> str:
    """Stream that wakes one reader's blocked XREAD; in the reader's own shard."""
    return f"sb:{{{shard:02d}}}:wake:{reader_id}"


def request_stream(role: Role, engine: str = "") -> str:
    """Return the role-wide stream of requests to serve a session; an autoscaler watches it.

    For the voice role the engine is part of the name: `sb:voice.cascade`.
    """
    if role != "voice":
        return f"sb:{role}"
    if not _ENGINE.fullmatch(engine):
        raise BadInput("bad_engine", "an engine name has 1 to 32 characters a-z, 0-9 and _")
    return f"sb:voice.{engine}"


VOICE_STREAMS = "sb:voice.*"
"""Pattern of the request streams of all engines."""


def workers_key(stream: str) -> str:
    """Hash beside a request stream (same cluster slot): worker id -> "slots:seen_ms"."""
    return f"{{{stream}}}:workers"


def drain_key(worker_id: str) -> str:
    """String: the start time of the process of that name that shall drain; it goes by itself after DRAIN_TTL_S."""
    return f"sb:drain:{worker_id}"


def ticket_key(digest: str) -> str:
    """Key of a one-time ticket, by the SHA-256 of the ticket: the ticket itself is never stored."""
    return f"sb:ticket:{digest}"
