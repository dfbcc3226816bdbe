"""The door to a session's request for a voice: asks an engine for a place, takes the request back, writes it down."""

from __future__ import annotations

from dataclasses import dataclass

from services.edge.records import SessionRecord
from shared.broker import Broker
from shared.broker.frames import newest_frame
from shared.events import Language
from shared.leases import GROUP, Admission, RequestQueue
from shared.streams import request_stream

_SERVED_IDLE_MS = 5_000
"""A request whose owner's heartbeat is older than this is nobody's."""

# KEYS: stream. ARGV: group, id, idle ms.   Returns {how often it was taken, 1 if it is left to whoever has it}: it is
# while its owner's heartbeat is not older than that. Where no worker ever came there is no group, and no owner.
_WITHDRAW = """
local p = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
local taken = p[1] and p[1][4] or 0
if taken > 0 and p[1][3] < tonumber(ARGV[3]) then return {taken, 1} end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
return {taken, 0}
"""

# KEYS: state hash. ARGV: attach, field, value, ...   Writes if no newer connection has the session.
_WRITE = """
if redis.call('HGET', KEYS[1], 'attach') ~= ARGV[1] then return 0 end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Seat:
    """A session's request for a voice. Its owners' epochs are `base` + 1 and up. No `entry`: text only."""

    engine: str
    entry: str
    base: int = 0

    @property
    def stream(self) -> str:
        """The request stream of its engine."""
        return request_stream("voice", self.engine)


class Seats:
    """Asks, withdraws and writes. Raises what Redis raises."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._client = broker.client
        self._queue = RequestQueue(broker)

    async def admit(self, session_id: str, engine: str, language: Language, base: int) -> tuple[Admission, Seat]:
        """Ask an engine for a place. The seat counts only where the answer is "admitted"."""
        fields = {"engine": engine, "language": language, "epoch_base": str(base)}
        answer = await self._queue.admit(request_stream("voice", engine), session_id, fields, by_slots=True)
        return answer, Seat(engine, answer.entry_id, base)

    async def withdraw(self, seat: Seat, *, unless_served: bool = False) -> tuple[int, bool]:
        """Take a request back; return how often it was taken, and true if `unless_served` left it to its owner.

        Whoever has it loses it with the next heartbeat. A request that a worker passed on, since it was full after
        all, is served by nobody.
        """
        if not seat.entry:
            return 0, False
        idle_ms = _SERVED_IDLE_MS if unless_served else 0
        taken, is_left = await self._client.eval(_WITHDRAW, 1, seat.stream, GROUP, seat.entry, idle_ms)
        return int(taken), bool(is_left)

    async def write(self, record: SessionRecord, seat: Seat, preferred: str) -> bool:
        """Write down who serves the session; false if a newer connection has it, which then decides."""
        fields = {"engine": seat.engine, "voice_entry": seat.entry, "voice_base": seat.base, "preferred": preferred}
        flat = [part for pair in fields.items() for part in pair]
        state = self._broker.keys(record.session_id).state
        return bool(await self._client.eval(_WRITE, 1, state, record.attach, *flat))

    async def resume_point(self, session_id: str) -> tuple[str, int]:
        """Return the last input entry that was answered ("0" for none), and the number of the next frame out."""
        key = self._broker.keys(session_id).audio_out
        newest = await newest_frame(self._client, key, "audio.out")
        return ("0", 0) if newest is None else (newest.consumed or "0", newest.seq + 1)
