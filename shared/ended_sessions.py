"""The list of sessions that ended and are still to be archived: added by whoever ends one, worked off by any archiver.

An archiver claims what is due for a short time, and renews that while it works: one that dies in between has its
sessions claimed by the next look. Tries are counted when they begin, so that one which ends its process counts too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.broker.connection import RedisClient
from shared.streams import ENDED_DUE_KEY, ENDED_KEY, ENDED_TRIES_KEY

MAX_ENDED: Final = 10_000
"""Sessions on the list; the oldest gives way."""

DELAY_MS: Final = 4_000
"""From a session's end to the first look: its scorecard and its last events are there by then."""

CLAIM_MS: Final = 10_000
"""A claim that is not renewed for so long lapses."""

_KEPT_S = 24 * 3600

_KEYS = (ENDED_KEY, ENDED_DUE_KEY, ENDED_TRIES_KEY)

_NOW = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function whole(n) return string.format('%.0f', n) end
"""

# KEYS: ended, due, tries. ARGV: session, delay ms, most entries, seconds kept.
_ADD = (
    _NOW
    + """
if redis.call('ZADD', KEYS[1], 'NX', whole(now), ARGV[1]) == 0 then return 0 end
redis.call('ZADD', KEYS[2], whole(now + ARGV[2]), ARGV[1])
local over = redis.call('ZRANGE', KEYS[1], 0, -ARGV[3] - 1)
for _, sid in ipairs(over) do
  redis.call('ZREM', KEYS[1], sid)
  redis.call('ZREM', KEYS[2], sid)
  redis.call('HDEL', KEYS[3], sid)
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[4]) end
return 1
"""
)

# KEYS: ended, due, tries. ARGV: most sessions, claim ms, seconds kept.
_CLAIM = (
    _NOW
    + """
local found = {}
for _, sid in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', whole(now), 'LIMIT', 0, ARGV[1])) do
  local ended = redis.call('ZSCORE', KEYS[1], sid)
  if ended then
    redis.call('ZADD', KEYS[2], whole(now + ARGV[2]), sid)
    found[#found + 1] = {sid, whole(now - ended), redis.call('HINCRBY', KEYS[3], sid, 1)}
  else
    redis.call('ZREM', KEYS[2], sid)
  end
end
redis.call('EXPIRE', KEYS[3], ARGV[3])
return found
"""
)

# KEYS: ended, due, tries. ARGV: session, ms until the next look, 1 to forget the tries.
_AGAIN = (
    _NOW
    + """
if redis.call('ZADD', KEYS[2], 'XX', 'CH', whole(now + ARGV[2]), ARGV[1]) and ARGV[3] == '1' then
  redis.call('HDEL', KEYS[3], ARGV[1])
end
return redis.call('ZSCORE', KEYS[2], ARGV[1]) and 1 or 0
"""
)


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that was claimed: how long ago it ended, and which try this is."""

    session_id: str
    age_ms: int
    tries: int


class EndedSessions:
    """The door to the list. All calls raise what Redis raises."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def add(self, session_id: str, delay_ms: int = DELAY_MS) -> bool:
        """Put a session on the list; false if it is there already. Bounded: the oldest gives way."""
        return bool(await self._client.eval(_ADD, 3, *_KEYS, session_id, delay_ms, MAX_ENDED, _KEPT_S))

    async def claim(self, n: int) -> list[Ended]:
        """Return at most `n` sessions that are due. No other look gives them within CLAIM_MS."""
        found = await self._client.eval(_CLAIM, 3, *_KEYS, n, CLAIM_MS, _KEPT_S)
        return [Ended(sid.decode(), int(age_ms), int(tries)) for sid, age_ms, tries in found]

    async def renew(self, session_id: str) -> None:
        """Keep a claim for another CLAIM_MS."""
        await self._client.eval(_AGAIN, 3, *_KEYS, session_id, CLAIM_MS, 0)

    async def postpone(self, session_id: str, delay_ms: int) -> None:
        """Give a claim back, to be looked at again after `delay_ms`; its tries do not count."""
        await self._client.eval(_AGAIN, 3, *_KEYS, session_id, delay_ms, 1)

    async def remove(self, session_id: str) -> None:
        """Take a session off the list."""
        pipe = self._client.pipeline(transaction=False)
        pipe.zrem(ENDED_KEY, session_id)
        pipe.zrem(ENDED_DUE_KEY, session_id)
        pipe.hdel(ENDED_TRIES_KEY, session_id)
        await pipe.execute()

    async def listed(self, session_id: str) -> bool:
        """True while the session is on the list."""
        return await self._client.zscore(ENDED_KEY, session_id) is not None

    async def waiting(self) -> int:
        """Return how many sessions are on the list."""
        return int(await self._client.zcard(ENDED_KEY))
