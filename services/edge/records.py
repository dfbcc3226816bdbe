"""The door to what Redis knows of a session beside its streams: its state hash, its requests, who holds its socket.

All edges share one sorted set of sessions with a deadline. The edge that holds a client's socket renews it;
where a deadline passes, because the client did not come back or its edge died, any edge ends the session.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from services.edge.auth import Identity
from shared.audio import FRAME_MS
from shared.broker import Broker
from shared.broker.append import FIELD
from shared.broker.broker import AUDIO_MAXLEN, EVENTS_MAXLEN
from shared.broker.connection import TRANSIENT
from shared.broker.frames import fence, newest_frame
from shared.ended_sessions import EndedSessions
from shared.errors import AuthError, BadInput
from shared.events import Consent, Event, SessionEnded, SessionStarted
from shared.leases import Admission, RequestQueue
from shared.retention import Retention, consent_from_state, consent_to_state
from shared.streams import EDGE_LOOKED_KEY, EDGE_SESSIONS_KEY, request_stream
from shared.wire import encode_audio, encode_event

log = logging.getLogger(__name__)

SOCKET_LEASE_MS = 15_000
"""A session whose edge does not renew it for so long is taken for lost."""

RENEW_EVERY = 5
"""Ticks of one second."""

_STEADY_MS = 5_000
"""Each edge looks for overdue sessions once a second. Where nobody did for longer, Redis was away or its clock jumped:
then no edge could renew, and who is alive gets the time for it, whichever edge is back first.
"""

_REAP_BATCH = 64

# KEYS: the sorted set. ARGV: milliseconds to live, session id, ...
_RENEW = """
local t = redis.call('TIME')
local deadline = t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[1]
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], string.format('%.0f', deadline), ARGV[i]) end
return #ARGV - 1
"""

# KEYS: the sorted set, the last look at it. ARGV: how many, most milliseconds between looks, milliseconds of grace.
# Each overdue session is given to one caller only.
_REAP = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local last = tonumber(redis.call('GET', KEYS[2]) or now)
redis.call('SET', KEYS[2], string.format('%.0f', now))
if now - last > tonumber(ARGV[2]) then
  local later = string.format('%.0f', now + ARGV[3])
  for _, sid in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', later)) do
    redis.call('ZADD', KEYS[1], later, sid)
  end
  return {}
end
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])
for _, sid in ipairs(due) do redis.call('ZREM', KEYS[1], sid) end
return due
"""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session as its state hash has it. `attach` counts the sockets that it had: the edge's epoch.

    `started.engine` is the engine that serves it now, by the request `voice_entry` ("": none, text only), whose owners
    have epochs above `voice_base`. `asked` is the engine that the client named, `preferred` the one it belongs to.
    """

    session_id: str
    user: str
    started: SessionStarted
    started_ms: int
    attach: int = 1
    resume_hash: str = ""
    voice_entry: str = ""
    voice_base: int = 0
    asked: str = ""
    preferred: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the streams of a session are: last ids, and the next frame from the client."""

    next_seq: int = 0
    events_after: str = "0"
    audio_out_after: str = "0"


def new_resume_secret() -> str:
    """Return 256 random bits for a resume token; only their SHA-256 is stored."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class SessionRecords:
    """Reads and writes session records. Raises what Redis raises."""

    def __init__(self, broker: Broker, retention: Retention, max_session_s: float) -> None:
        self._broker = broker
        self._client = broker.client
        self._queue = RequestQueue(broker)
        self._ended = EndedSessions(broker.client)
        self._retention = retention
        self._live_ttl_s = int(max_session_s) + retention.kept_s + 3600

    async def create(self, record: SessionRecord, first: Event) -> Admission:
        """Write state and first event, then ask the voice engine for a place; leave nothing behind if refused.

        The event is there before any worker can take the request.
        """
        keys = self._broker.keys(record.session_id)
        pipe = self._client.pipeline(transaction=False)
        pipe.hset(keys.state, mapping=_to_hash(record))
        pipe.expire(keys.state, self._live_ttl_s)
        pipe.execute_command("XADD", keys.events, "MAXLEN", "~", EVENTS_MAXLEN, "*", FIELD, encode_event(first))
        pipe.expire(keys.events, self._live_ttl_s)
        await pipe.execute()
        await self.renew([record.session_id], SOCKET_LEASE_MS)
        stream = request_stream("voice", record.started.engine)
        fields = {"engine": record.started.engine, "language": record.started.language}
        answer = await self._queue.admit(stream, record.session_id, fields, by_slots=True)
        if answer.outcome == "admitted":
            await self._client.hset(keys.state, "voice_entry", answer.entry_id)
        else:
            await self._client.delete(*keys.all())
            await self._client.zrem(EDGE_SESSIONS_KEY, record.session_id)
        return answer

    async def ask(self, role: Literal["coach", "evaluator"], session_id: str) -> bool:
        """Put the session on a role's request stream; false if that is full."""
        answer = await self._queue.admit(request_stream(role), session_id, {}, by_slots=False)
        return answer.outcome == "admitted"

    async def attach(self, session_id: str, secret: str, identity: Identity) -> SessionRecord:
        """Take over the client's end of a session. Raises AuthError; BadInput where it is over or unknown.

        The token stays the same: a client whose new socket breaks before it hears anything can use it again.
        """
        keys = self._broker.keys(session_id)
        raw = await self._client.hgetall(keys.state)
        if not raw or raw.get(b"status") == b"ended":
            raise BadInput("session_over", "the conversation is over: start a new one without 'resume'")
        record = _from_hash(session_id, raw)
        if not hmac.compare_digest(record.resume_hash, hash_secret(secret)) or record.user != identity.user:
            raise AuthError("bad_resume", "the resume token is not one of this conversation and this user")
        attach = int(await self._client.hincrby(keys.state, "attach", 1))
        await self._client.hset(keys.state, "status", "live")
        await self.renew([session_id], SOCKET_LEASE_MS)
        # Read again: until now the older connection could still move the session to another engine.
        return replace(_from_hash(session_id, await self._client.hgetall(keys.state)), attach=attach)

    async def take_position(self, record: SessionRecord) -> Position:
        """Fence off older connections and return the ends of the session's audio streams; `events_after` stays "0"."""
        keys = self._broker.keys(record.session_id)
        mark = encode_audio(fence(record.attach))
        await self._client.execute_command("XADD", keys.audio_in, "MAXLEN", "~", AUDIO_MAXLEN, "*", FIELD, mark)
        newest = await newest_frame(self._client, keys.audio_in, "audio.in")
        newest_out = await self._client.xrevrange(keys.audio_out, count=1)
        next_seq = 0 if newest is None else newest.seq + 1
        return Position(next_seq, "0", newest_out[0][0].decode() if newest_out else "0")

    async def set_consent(self, session_id: str, consent: Consent) -> None:
        """Write the switches as they are now."""
        await self._client.hset(self._broker.keys(session_id).state, mapping=consent_to_state(consent))

    async def renew(self, session_ids: list[str], lease_ms: int) -> None:
        """Move the deadline of these sessions."""
        if session_ids:
            await self._client.eval(_RENEW, 1, EDGE_SESSIONS_KEY, lease_ms, *session_ids)

    async def extend(self, session_ids: list[str]) -> None:
        """Keep every key of these live sessions for another while, the audio streams too."""
        for session_id in session_ids:
            await self._broker.expire(session_id, self._live_ttl_s)

    async def detach(self, record: SessionRecord, resume_s: float) -> None:
        """The client is gone and may come back within `resume_s`, here or at another edge."""
        keys = self._broker.keys(record.session_id)
        attach = await self._client.hget(keys.state, "attach")
        if attach is None or int(attach) != record.attach:
            return  # it came back already
        await self._client.hset(keys.state, "status", "detached")
        await self.renew([record.session_id], int(resume_s * 1000))

    async def missing(self, session_ids: list[str]) -> list[str]:
        """Return those of these live sessions that Redis knows nothing of: it lost its data."""
        pipe = self._client.pipeline(transaction=False)
        for session_id in session_ids:
            pipe.hexists(self._broker.keys(session_id).state, "started_ms")
        found = await pipe.execute() if session_ids else []
        return [session_id for session_id, is_there in zip(session_ids, found, strict=True) if not is_there]

    async def close(self, session_id: str, reason: str, consent: Consent | None = None) -> None:
        """Write that the session is over, and let its keys go as its latest consent (if given: this one) allows.

        It goes on the list of those to be archived first: an edge that dies in between is made up for by `reap`.
        """
        keys = self._broker.keys(session_id)
        await self._ended.add(session_id)
        said = consent_to_state(consent) if consent else {}
        pipe = self._client.pipeline(transaction=False)
        pipe.hset(keys.state, mapping={"status": "ended", "reason": reason, **said})
        pipe.zrem(EDGE_SESSIONS_KEY, session_id)
        await pipe.execute(raise_on_error=False)
        await self._broker.let_go(session_id, self._retention)

    async def reap(self) -> list[str]:
        """End sessions whose deadline passed; returns their ids."""
        keys, limits = (EDGE_SESSIONS_KEY, EDGE_LOOKED_KEY), (_REAP_BATCH, _STEADY_MS, SOCKET_LEASE_MS)
        overdue = [raw.decode() for raw in await self._client.eval(_REAP, 2, *keys, *limits)]
        for session_id in overdue:
            try:
                await self._end_lost(session_id)
            except TRANSIENT:  # it stays overdue for the next round
                with suppress(*TRANSIENT):
                    await self.renew([session_id], 0)
        return overdue

    async def _end_lost(self, session_id: str) -> None:
        keys = self._broker.keys(session_id)
        raw = await self._client.hgetall(keys.state)
        if not raw or raw.get(b"status") == b"ended":
            return
        record = _from_hash(session_id, raw)
        newest = await newest_frame(self._client, keys.audio_in, "audio.in")
        media_ms = 0 if newest is None else (newest.seq + 1) * FRAME_MS
        event = Event(
            "edge:session_ended",
            session_id,
            "edge",
            record.attach,
            media_ms,
            self._broker.clock.wall_ms(),
            SessionEnded("client_lost"),
        )
        await self._client.execute_command(
            "XADD", keys.events, "MAXLEN", "~", EVENTS_MAXLEN, "*", FIELD, encode_event(event)
        )
        await self.close(session_id, "client_lost")
        log.info("session %s ended: its client did not come back", session_id[-6:])

    async def capacities(self, engines: list[str]) -> dict[str, tuple[int, int]]:
        """Return (slots, admitted) of each engine."""
        return {name: await self._queue.capacity(request_stream("voice", name)) for name in engines}


def _to_hash(record: SessionRecord) -> dict[str, str]:
    started = record.started
    return {
        "status": "live",
        "user": record.user,
        "engine": started.engine,
        "language": started.language,
        "locale": started.locale,
        "voice": started.voice,
        "persona": started.persona,
        "profile": started.profile,
        "mode": started.mode or "",
        "seed": "" if started.seed is None else str(started.seed),
        "started_ms": str(record.started_ms),
        "attach": str(record.attach),
        "resume": record.resume_hash,
        "voice_base": str(record.voice_base),
        "asked": record.asked,
        "preferred": record.preferred,
        **consent_to_state(started.consent),
    }


def _from_hash(session_id: str, raw: dict[bytes, bytes]) -> SessionRecord:
    fields = {key.decode(): value.decode() for key, value in raw.items()}
    seed = fields.get("seed", "")
    started = SessionStarted(
        engine=fields.get("engine", ""),
        language=cast(Any, fields.get("language", "nl")),
        locale=fields.get("locale", ""),
        voice=fields.get("voice", ""),
        persona=fields.get("persona", ""),
        profile=cast(Any, fields.get("profile", "workplace")),
        consent=consent_from_state(fields),
        mode=cast(Any, fields.get("mode") or None),
        seed=int(seed) if seed else None,
    )
    return SessionRecord(
        session_id,
        fields.get("user", ""),
        started,
        int(fields.get("started_ms", "0")),
        int(fields.get("attach", "1")),
        fields.get("resume", ""),
        fields.get("voice_entry", ""),
        int(fields.get("voice_base", "0")),
        fields.get("asked", ""),
        fields.get("preferred", ""),
    )
