"""Who serves a session: the pending-entries list of a role-wide stream is the lease.

A request is one entry; while a worker serves it the entry stays pending for that worker. Each step that
checks and changes is one atomic script, since a bare XCLAIM would steal an entry back from its new owner.
The delivery count (above the request's `epoch_base`) is the epoch, the fencing token of what an owner publishes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from redis.exceptions import ResponseError

from shared import metrics
from shared.broker import Broker
from shared.broker.connection import TRANSIENT, RedisClient, node_of
from shared.broker.reader import stream_pairs
from shared.clock import raise_if_cancelled
from shared.streams import workers_key

log = logging.getLogger(__name__)

GROUP = "workers"
MAX_REQUESTS = 10_000
"""Bound of a request stream without admission (coach, evaluator); beyond it new requests are refused."""

_GONE = "is gone: its request was withdrawn, or Redis lost its data"

_WORKER_TTL_MS = 5_000
HAND_OVER_IDLE_MS = 86_400_000

# KEYS: stream, workers. ARGV: worker ttl ms, limit ("slots": by the workers' slots), field, value, ...
_ADMIT = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local waiting = redis.call('XLEN', KEYS[1])
local limit = tonumber(ARGV[2])
if not limit then
  limit = 0
  local workers = redis.call('HGETALL', KEYS[2])
  local alive = 0
  for i = 1, #workers, 2 do
    local slots, seen = string.match(workers[i + 1], '^(%d+):(%d+)$')
    if now - tonumber(seen) < tonumber(ARGV[1]) then
      limit = limit + tonumber(slots)
      alive = alive + 1
    else
      redis.call('HDEL', KEYS[2], workers[i])
    end
  end
  if alive == 0 then return {'nobody', '0'} end
end
if waiting >= limit then return {'full', tostring(limit)} end
local fields = {}
for i = 3, #ARGV do fields[#fields + 1] = ARGV[i] end
return {'admitted', redis.call('XADD', KEYS[1], '*', unpack(fields))}
"""

# KEYS: stream, workers. ARGV: group, consumer, slots, id, ...   Returns {ids that this consumer still owns, ids
# that are nobody's any more}.
_HEARTBEAT = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. ':' .. string.format('%.0f', now))
local kept, gone = {}, {}
for i = 4, #ARGV do
  local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
  if not p[1] then
    gone[#gone + 1] = ARGV[i]
  elseif p[1][2] == ARGV[2] then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
    kept[#kept + 1] = ARGV[i]
  end
end
return {kept, gone}
"""

# KEYS: stream. ARGV: group, consumer, least idle ms, count.   Returns {{id, epoch, fields}, ...}.
_TAKE_OVER = """
local claimed = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], '0-0', 'COUNT', ARGV[4])
local out = {}
for _, entry in ipairs(claimed[2]) do
  if entry and entry[2] then
    local p = redis.call('XPENDING', KEYS[1], ARGV[1], entry[1], entry[1], 1)
    if p[1] then out[#out + 1] = {entry[1], p[1][4], entry[2]} end
  end
end
return out
"""

# KEYS: stream. ARGV: group, consumer, id.   Acknowledges and deletes if this consumer still owns it.
_FINISH = """
local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)
if p[1] and p[1][2] ~= ARGV[2] then return 0 end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
return redis.call('XDEL', KEYS[1], ARGV[3])
"""

# KEYS: stream. ARGV: group, consumer, id, idle ms.   Makes the entry claimable at once.
_HAND_OVER = """
local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)
if not p[1] or p[1][2] ~= ARGV[2] then return 0 end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'IDLE', ARGV[4], 'JUSTID')
return 1
"""

# KEYS: stream, workers. ARGV: worker ttl ms.   Returns {slots of the live workers, sessions admitted}.
_CAPACITY = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local total = 0
for _, value in ipairs(redis.call('HVALS', KEYS[2])) do
  local slots, seen = string.match(value, '^(%d+):(%d+)$')
  if now - tonumber(seen) < tonumber(ARGV[1]) then total = total + tonumber(slots) end
end
return {total, redis.call('XLEN', KEYS[1])}
"""

# KEYS: stream, workers. ARGV: group, consumer, worker ttl ms, idle ms of what was handed over.   Returns the free slots
# of the other live workers. What this consumer handed over and nobody took yet fills one: it is no longer its own.
_OTHERS_FREE = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local total = 0
local workers = redis.call('HGETALL', KEYS[2])
for i = 1, #workers, 2 do
  local slots, seen = string.match(workers[i + 1], '^(%d+):(%d+)$')
  if workers[i] ~= ARGV[2] and now - tonumber(seen) < tonumber(ARGV[3]) then total = total + tonumber(slots) end
end
for _, p in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 10000, ARGV[2])) do
  if p[3] < tonumber(ARGV[4]) then total = total + 1 end
end
return total - redis.call('XLEN', KEYS[1])
"""


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to a request: `entry_id` where it was admitted, else why not."""

    outcome: Literal["admitted", "full", "nobody"]
    entry_id: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to serve one session in one role, as long as the heartbeat keeps it."""

    stream: str
    entry_id: str
    epoch: int
    session_id: str
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def taken_over(self) -> bool:
        """True if somebody else served this session before."""
        return self.epoch > 1


class RequestQueue:
    """The asking side: puts sessions on a role's request stream."""

    def __init__(self, broker: Broker) -> None:
        self._client = broker.client

    async def admit(self, stream: str, session_id: str, fields: dict[str, str], *, by_slots: bool) -> Admission:
        """Ask for an owner. `by_slots` admits only while the role's live workers have a free slot between them.

        Counting and adding are one step, so two edges never fill the last slot twice. Raises what Redis raises.
        """
        flat = [part for pair in {"sid": session_id, **fields}.items() for part in pair]
        limit = "slots" if by_slots else str(MAX_REQUESTS)
        answer = await self._client.eval(_ADMIT, 2, stream, workers_key(stream), _WORKER_TTL_MS, limit, *flat)
        outcome, detail = (part.decode() for part in answer)
        return Admission(outcome, detail if outcome == "admitted" else "")

    async def withdraw(self, stream: str, entry_id: str) -> None:
        """Take a request back that nobody has taken yet, or that is over."""
        await self._client.xack(stream, GROUP, entry_id)
        await self._client.xdel(stream, entry_id)

    async def capacity(self, stream: str) -> tuple[int, int]:
        """Return (slots of the live workers, sessions admitted) of a request stream."""
        slots, admitted = await self._client.eval(_CAPACITY, 2, stream, workers_key(stream), _WORKER_TTL_MS)
        return int(slots), int(admitted)


class LeaseHolder:
    """The serving side: takes requests while there is room, keeps them by heartbeat, takes over what others left.

    `on_grant(lease)` and `on_lost(lease)` run on the loop and must be quick. After `on_lost` the session
    belongs to somebody else: publish nothing more for it.
    """

    def __init__(
        self,
        broker: Broker,
        stream: str,
        *,
        consumer: str,
        capacity: int,
        lease_s: float,
        on_grant: Callable[[Lease], None],
        on_lost: Callable[[Lease], None],
    ) -> None:
        self._broker = broker
        self._client = broker.client
        self.stream = stream
        self._consumer = consumer
        self._capacity = capacity
        self._lease_s = lease_s
        self._on_grant = on_grant
        self._on_lost = on_lost
        self._held: dict[str, Lease] = {}
        self._accepting = True
        self._room = asyncio.Event()
        self._last_failure = -1e9
        self._last_beat = broker.clock.monotonic()

    @property
    def held(self) -> tuple[Lease, ...]:
        """The leases held now."""
        return tuple(self._held.values())

    @property
    def free(self) -> int:
        """Sessions that could be taken now."""
        return self._capacity - len(self._held) if self._accepting else 0

    def set_accepting(self, accepting: bool) -> None:
        """Stop or go on taking sessions. Those held stay."""
        self._accepting = accepting
        self._update_room()

    async def run(self) -> None:
        """Take, keep and take over until cancelled. The blocking read has a connection of its own."""
        with suppress(*TRANSIENT):  # where Redis is away now, the first NOGROUP answer brings it about
            await ensure_group(self._client, self.stream)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_new(), name=f"take {self.stream}")
            group.create_task(self._keep(), name=f"keep {self.stream}")

    async def finish(self, lease: Lease) -> None:
        """The session is over: free the slot and remove the request."""
        self._forget(lease)
        await self._client.eval(_FINISH, 1, lease.stream, GROUP, self._consumer, lease.entry_id)

    async def hand_over(self, lease: Lease) -> bool:
        """Let another worker take the session at once; False if it is not ours any more."""
        self._forget(lease)
        return await self._make_claimable(lease.entry_id)

    async def announce(self) -> None:
        """Tell the edges at once how many sessions this worker takes; else they learn it with the next heartbeat."""
        with suppress(*TRANSIENT):
            await self._beat()

    async def others_free(self) -> int:
        """Return how many sessions the other live workers of this stream have room for now, at least 0."""
        keys, limits = (self.stream, workers_key(self.stream)), (_WORKER_TTL_MS, HAND_OVER_IDLE_MS)
        return max(int(await self._client.eval(_OTHERS_FREE, 2, *keys, GROUP, self._consumer, *limits)), 0)

    async def leave(self) -> None:
        """Remove this worker from the role's list of workers and its consumer, if nothing is pending for it."""
        with suppress(*TRANSIENT):
            await self._client.hdel(workers_key(self.stream), self._consumer)
            pending = await self._client.xpending_range(
                self.stream, GROUP, min="-", max="+", count=1, consumername=self._consumer
            )
            if not pending:
                await self._client.xgroup_delconsumer(self.stream, GROUP, self._consumer)

    async def _make_claimable(self, entry_id: str) -> bool:
        return bool(
            await self._client.eval(_HAND_OVER, 1, self.stream, GROUP, self._consumer, entry_id, HAND_OVER_IDLE_MS)
        )

    async def _take_new(self) -> None:
        client = self._broker.connect_blocking()
        backoff_s = 0.05
        try:
            while True:
                raise_if_cancelled()
                self._update_room()
                await self._room.wait()
                try:
                    await self._read_new(client)
                    backoff_s = 0.05
                except TRANSIENT as error:
                    await self._on_failure("take", error)
                    await self._broker.clock.sleep(backoff_s)
                    backoff_s = min(backoff_s * 2, 1.0)
        finally:
            with suppress(*TRANSIENT, asyncio.CancelledError):
                await client.aclose()

    async def _read_new(self, client: RedisClient) -> None:
        node = await node_of(client, self.stream)
        async with asyncio.timeout(8):
            answer = await client.execute_command(
                *("XREADGROUP", "GROUP", GROUP, self._consumer, "COUNT", self.free or 1, "BLOCK", 2_000),
                *("STREAMS", self.stream, ">"),
                **node,
            )
        for _, entries in stream_pairs(answer):
            for entry_id, fields in entries[0] if entries and isinstance(entries[0], list) else entries:
                await self._grant_or_pass_on(entry_id.decode(), 1, fields)

    async def _keep(self) -> None:
        """Heartbeat first, then take over: a worker that froze renews what is still its own."""
        while True:
            try:
                await self._beat()
                if self.free > 0 and self._broker.clock.monotonic() - self._last_failure > self._lease_s:
                    await self._take_over()
            except TRANSIENT as error:
                await self._on_failure("keep", error)
            metrics.HEARTBEAT_AGE.set(self._broker.clock.monotonic() - self._last_beat)
            await self._broker.clock.sleep(self._lease_s / 4)

    async def _beat(self) -> None:
        asked = list(self._held)
        slots = self._capacity if self._accepting else len(self._held)
        kept, gone = await self._client.eval(
            _HEARTBEAT, 2, self.stream, workers_key(self.stream), GROUP, self._consumer, slots, *asked
        )
        self._last_beat = self._broker.clock.monotonic()
        for entry_id in set(asked) - {raw.decode() for raw in kept}:
            lease = self._held.pop(entry_id, None)
            if lease:
                how = _GONE if entry_id.encode() in gone else "was taken over by another worker"
                log.warning("session %s %s", lease.session_id[-6:], how)
                metrics.SESSIONS_LOST.inc()
                self._on_lost(lease)
        self._update_room()

    async def _take_over(self) -> None:
        least_idle_ms = int(self._lease_s * 1000)
        claimed = await self._client.eval(_TAKE_OVER, 1, self.stream, GROUP, self._consumer, least_idle_ms, self.free)
        for entry_id, epoch, flat in claimed:
            fields = dict(zip(flat[::2], flat[1::2], strict=True))
            await self._grant_or_pass_on(entry_id.decode(), int(epoch), fields)

    async def _grant_or_pass_on(self, entry_id: str, epoch: int, fields: dict[bytes, bytes]) -> None:
        """Grant what came in, unless the last slot was filled or the worker began to leave while it was asked for."""
        if self.free > 0 or entry_id in self._held:
            self._grant(entry_id, epoch, fields)
        else:
            await self._make_claimable(entry_id)

    def _grant(self, entry_id: str, epoch: int, fields: dict[bytes, bytes]) -> None:
        named = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in (fields or {}).items()}
        base = named.pop("epoch_base", "0")  # where the request follows another one: no owner of that one is newer
        epoch += int(base) if base.isdecimal() else 0
        lease = Lease(self.stream, entry_id, epoch, named.pop("sid", ""), named)
        earlier = self._held.pop(entry_id, None)
        if earlier:  # this process froze for longer than the lease and claimed its own entry again
            self._on_lost(earlier)
        self._held[entry_id] = lease
        self._update_room()
        metrics.SESSIONS_TAKEN.labels("over" if lease.taken_over else "new").inc()
        self._on_grant(lease)

    def _forget(self, lease: Lease) -> None:
        if self._held.get(lease.entry_id) is lease:
            del self._held[lease.entry_id]
        self._update_room()

    def _update_room(self) -> None:
        if self.free > 0:
            self._room.set()
        else:
            self._room.clear()

    async def _on_failure(self, what: str, error: BaseException) -> None:
        self._last_failure = self._broker.clock.monotonic()
        metrics.BROKER_ERRORS.labels(what).inc()
        if isinstance(error, ResponseError) and str(error).startswith("NOGROUP"):
            with suppress(*TRANSIENT):
                await ensure_group(self._client, self.stream)


async def ensure_group(client: RedisClient, stream: str) -> None:
    """Create the role's consumer group if it is not there; requests that came earlier are served too."""
    try:
        await client.xgroup_create(stream, GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


def sessions_of(leases: Iterable[Lease]) -> list[str]:
    """Return the session ids of `leases`, sorted."""
    return sorted(lease.session_id for lease in leases)
