"""Entries that make their consumer fail, set aside after their last try: where they stand, why, and how they are asked
for again.

The list (`sb:dead`) names an entry and holds nothing of what a user said: it may live for a day. The entry's own bytes
stay where they are, in the session's events, and the words of the error, which may repeat them, stand beside those and
go with them.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from shared import metrics
from shared.broker import Broker, RedisClient
from shared.broker.append import FIELD
from shared.broker.entries import readable
from shared.errors import BadInput, WireError
from shared.events import Role, SessionEnded
from shared.leases import GROUP, HAND_OVER_IDLE_MS, RequestQueue
from shared.streams import DEAD_KEY, SessionKeys, check_session_id, request_stream
from shared.wire import decode_event

MAX_TRIES = 3
"""How often an event is handled in all before it is set aside. Jobs have a setting of their own."""

MAX_LETTERS = 1_000
KEPT_S = 24 * 3600
"""A set-aside entry is listed for at most so long, and its error's words never longer than its session's events."""

MAX_MESSAGE_CHARS = 500
_PAGE = 500
_NOBODY = "retry"
"""Consumer that a request is given to so that its owner loses it and anybody may take it."""

_ROOT = Path(__file__).parents[1]

Kind = Literal["event", "session", "job"]

# KEYS: list. ARGV: bound, milliseconds to keep, data.   Returns {id, how many gave way to it}.
_ADD = """
local t = redis.call('TIME')
local least = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) - ARGV[2])
redis.call('XTRIM', KEYS[1], 'MINID', least)
local id = redis.call('XADD', KEYS[1], '*', 'm', ARGV[3])
local shed = redis.call('XTRIM', KEYS[1], 'MAXLEN', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {id, shed}
"""

# KEYS: list. ARGV: milliseconds to keep.   Returns {{id, fields}, ...}, oldest first.
_LIST = """
local t = redis.call('TIME')
local least = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) - ARGV[1])
redis.call('XTRIM', KEYS[1], 'MINID', least)
return redis.call('XRANGE', KEYS[1], '-', '+')
"""

# KEYS: events, marks. ARGV: most milliseconds, field, value ("+": count one up).   A mark lives as long as the events.
_MARK = """
local ttl = redis.call('PTTL', KEYS[1])
if ttl == -2 then return 0 end
local n = 1
if ARGV[3] == '+' then
  n = redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
else
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
end
local most = tonumber(ARGV[1])
if ttl == -1 or ttl > most then ttl = most end
redis.call('PEXPIRE', KEYS[2], ttl)
return n
"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One set-aside entry.

    `kind` is what was set aside: an event of the session, the whole session for this role, or a job about it. `about`
    is the event's kind or the job's name, `entry_id` its id in the stream `key` ("" but for an event). `reason` is the
    error's type and the line of code, never its words. `epoch` is the owner's, `wall_ms` when it was set aside.
    """

    role: Role
    kind: Kind
    session_id: str
    shard: int
    entry_id: str
    about: str
    attempts: int
    reason: str
    epoch: int
    wall_ms: int

    @property
    def keys(self) -> SessionKeys:
        """The keys of its session."""
        return SessionKeys(self.session_id, self.shard)

    @property
    def key(self) -> str:
        """The stream that it is about."""
        return self.keys.events

    @property
    def mark(self) -> str:
        """Its field in the session's hash of marks."""
        return f"{self.role}:{self.entry_id or self.kind}"


_LETTER = TypeAdapter(DeadLetter)


def reason_of(error: BaseException) -> str:
    """Return the type of an error and the last line of ours that it came through. Never its words. Pure."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if any(path.is_relative_to(_ROOT / name) for name in ("services", "shared")):
            return f"{type(error).__name__} at {path.relative_to(_ROOT)}:{frame.lineno}, {frame.name}"
    return type(error).__name__


class DeadLetters:
    """The door to what was set aside. All calls raise what Redis raises."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def put(self, letter: DeadLetter, error: BaseException) -> str:
        """Mark the entry in its session, add it to the list, count it, and return its id there.

        The mark comes first: a process that dies in between leaves an entry that is skipped and not listed.
        """
        if letter.session_id:
            words = (str(error) or type(error).__name__)[:MAX_MESSAGE_CHARS]
            await self._mark(letter.keys, letter.mark, f"{type(error).__name__}: {words}")
        data = _LETTER.dump_json(letter)
        letter_id, n_shed = await self._client.eval(_ADD, 1, DEAD_KEY, MAX_LETTERS, KEPT_S * 1000, data)
        metrics.DEAD_LETTERS.labels(letter.role).inc()
        metrics.DEAD_LETTERS_SHED.inc(int(n_shed))
        return str(letter_id.decode())

    async def set_aside(self, keys: SessionKeys, role: Role) -> frozenset[str]:
        """Return the entry ids of a session's events that this role is not to be given."""
        prefix = f"{role}:".encode()
        fields = [raw.removeprefix(prefix) for raw in await self._client.hkeys(keys.dead) if raw.startswith(prefix)]
        return frozenset(raw.decode() for raw in fields if raw[:1].isdigit())

    async def count_start(self, keys: SessionKeys, role: Role) -> int:
        """Count an owner that begins, and return how many began since one was seen to go on; 0 without events."""
        return await self._mark(keys, f"{role}:starts", "+")

    async def forget_starts(self, keys: SessionKeys, role: Role) -> None:
        """An owner has begun and goes on."""
        await self._client.hdel(keys.dead, f"{role}:starts")

    async def note_calm(self, keys: SessionKeys, role: Role, epoch: int) -> None:
        """An owner that served a session well hands it over by itself."""
        await self._mark(keys, f"{role}:calm", str(epoch))

    async def calm_epoch(self, keys: SessionKeys, role: Role) -> int:
        """Return the epoch of the last owner that handed the session over by itself, 0 for none."""
        return int(await self._client.hget(keys.dead, f"{role}:calm") or 0)

    async def all(self) -> list[tuple[str, DeadLetter]]:
        """Return (id, letter) of all that is listed, oldest first. What cannot be read is passed over and counted."""
        return _read(await self._client.eval(_LIST, 1, DEAD_KEY, KEPT_S * 1000))

    async def find(self, letter_id: str) -> DeadLetter | None:
        """Return one letter, None if it is not listed (any more)."""
        return dict(await self.all()).get(letter_id)

    async def content(self, letter: DeadLetter) -> tuple[bytes | None, str | None]:
        """Return (the entry's bytes, the error's words), each None where it is gone with its session."""
        if not letter.session_id:
            return None, None
        words = await self._client.hget(letter.keys.dead, letter.mark)
        found = (
            await self._client.xrange(letter.key, min=letter.entry_id, max=letter.entry_id) if letter.entry_id else []
        )
        data = found[0][1].get(FIELD) if found else None
        return data, words.decode(errors="replace") if words is not None else None

    async def unmark(self, letter: DeadLetter) -> None:
        """Let the next owner of the session have the entry again."""
        await self._client.hdel(letter.keys.dead, letter.mark, f"{letter.role}:starts")

    async def remove(self, letter_id: str) -> None:
        """Take a letter off the list."""
        await self._client.xdel(DEAD_KEY, letter_id)

    async def _mark(self, keys: SessionKeys, field: str, value: str) -> int:
        return int(await self._client.eval(_MARK, 2, keys.events, keys.dead, KEPT_S * 1000, field, value))


def _read(entries: Any) -> list[tuple[str, DeadLetter]]:
    raw = [(entry_id.decode(), flat[1] if len(flat) == 2 else b"") for entry_id, flat in entries]
    return list(readable(raw, _decode, "dead"))


def _decode(data: bytes) -> DeadLetter:
    try:
        letter = _LETTER.validate_json(data)
        if letter.session_id:
            check_session_id(letter.session_id)
    except (ValidationError, BadInput) as error:
        raise WireError("this is no set-aside entry") from error
    return letter


Answer = Literal["asked", "gone", "over", "full"]


async def ask_again(broker: Broker, letters: Sequence[tuple[str, DeadLetter]]) -> Answer:
    """Have a session handled again by a role, with the set-aside entries of `letters`, all of that session and role.

    asked: its next owner gets them, and they are no longer listed. Where somebody serves the session now, that owner
    loses it with its next heartbeat, as in a takeover. gone: Redis has nothing of the session any more. over: it has
    ended, and a role other than the evaluator has nothing to do for it; the evaluator judges it once more and enqueues
    the job behind it. full: too many requests wait. Raises what Redis raises.
    """
    letter, store = letters[0][1], DeadLetters(broker.client)
    newest, ended = await _state(broker.client, letter)
    if newest is None:
        return "gone"
    if ended and letter.role != "evaluator":
        return "over"
    for _, one in letters:
        await store.unmark(one)
    if not await _pass_on(broker.client, letter):
        fields = {"epoch_base": str(newest)}
        admission = await RequestQueue(broker).admit(
            request_stream(letter.role), letter.session_id, fields, by_slots=False
        )
        if admission.outcome != "admitted":
            return "full"
    for letter_id, _ in letters:
        await store.remove(letter_id)
    return "asked"


async def _state(client: RedisClient, letter: DeadLetter) -> tuple[int | None, bool]:
    """Return (the newest epoch of the role, whether the session has ended); (None, False) where nothing is left."""
    found = await client.xrange(letter.key) if letter.session_id else []
    entries = [(entry_id.decode(), fields.get(FIELD, b"")) for entry_id, fields in found]
    if not entries:
        return None, False
    events = [event for _, event in readable(entries, decode_event, "events")]
    epochs = [event.epoch for event in events if event.source == letter.role]
    return max([letter.epoch, *epochs]), any(isinstance(event.body, SessionEnded) for event in events)


async def _pass_on(client: RedisClient, letter: DeadLetter) -> bool:
    """Let another owner take the session's request, or the same one again; False if there is none.

    A request that nobody took yet needs nothing: who takes it reads the marks.
    """
    stream, wanted, first = request_stream(letter.role), letter.session_id.encode(), "-"
    while page := await client.xrange(stream, min=first, count=_PAGE):
        for raw, fields in page:
            if fields.get(b"sid") != wanted:
                continue
            pending = await client.xpending_range(stream, GROUP, min=raw, max=raw, count=1)
            claimed = await client.xclaim(stream, GROUP, _NOBODY, 0, [raw], idle=HAND_OVER_IDLE_MS, justid=True)
            if claimed or not pending:
                return True
        first = f"({page[-1][0].decode()}"
    return False
