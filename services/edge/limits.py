"""What one user, address or page may use of an edge. Pure: time is an argument, in monotonic seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from shared.errors import AuthError, Overloaded

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_MAX_WAIT_S = 1.0
_SWEEP_EVERY = 1024


class TokenBucket:
    """`rate` units a second, up to `burst` saved up."""

    __slots__ = ("_burst", "_level", "_rate", "_seen_s")

    def __init__(self, rate: float, burst: float, now_s: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._seen_s = now_s

    def take(self, amount: float, now_s: float) -> bool:
        """Take `amount` if it is there."""
        self._refill(now_s)
        if amount > self._level:
            return False
        self._level -= amount
        return True

    def spend(self, amount: float, now_s: float) -> float:
        """Take `amount`, on credit if need be, and return the seconds until the debt is paid."""
        self._refill(now_s)
        self._level -= amount
        return max(0.0, -self._level / self._rate)

    def wait_s(self, amount: float, now_s: float) -> float:
        """Seconds until `amount` is there."""
        self._refill(now_s)
        return max(0.0, (amount - self._level) / self._rate)

    @property
    def is_full(self) -> bool:
        """True if nothing was taken that has not come back."""
        return self._level >= self._burst

    def _refill(self, now_s: float) -> None:
        self._level = min(self._burst, self._level + (now_s - self._seen_s) * self._rate)
        self._seen_s = now_s


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """Connections of one edge process, and new sessions a minute of one user."""

    total: int = 2000
    per_user: int = 5
    per_address: int = 20
    new_per_minute: int = 30


class ConnectionLimits:
    """Counts open connections. Each `open` that returns needs one `close`."""

    def __init__(self, bounds: ConnectionBounds) -> None:
        self._bounds = bounds
        self._users: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._fresh: dict[str, TokenBucket] = {}
        self._opened = 0

    @property
    def total(self) -> int:
        """Connections open now."""
        return self._users.total()

    def open(self, user: str, address: str, now_s: float) -> None:
        """Count a new connection. Raises Overloaded, which says when to come back."""
        bounds = self._bounds
        if self.total >= bounds.total:
            raise Overloaded(f"this edge has {bounds.total} connections already")
        if self._users[user] >= bounds.per_user:
            raise Overloaded(f"a user may have {bounds.per_user} conversations at a time: end another one first")
        if self._addresses[address] >= bounds.per_address:
            raise Overloaded(f"an address may have {bounds.per_address} conversations at a time")
        self._take_fresh(user, now_s)
        self._users[user] += 1
        self._addresses[address] += 1

    def close(self, user: str, address: str) -> None:
        """The connection is gone."""
        for counter, key in ((self._users, user), (self._addresses, address)):
            counter[key] -= 1
            if counter[key] <= 0:
                del counter[key]

    def _take_fresh(self, user: str, now_s: float) -> None:
        self._opened += 1
        if self._opened % _SWEEP_EVERY == 0:
            idle = [name for name, bucket in self._fresh.items() if bucket.wait_s(0, now_s) == 0 and bucket.is_full]
            for name in idle:
                del self._fresh[name]
        bucket = self._fresh.get(user)
        if bucket is None:
            per_minute = self._bounds.new_per_minute
            bucket = self._fresh[user] = TokenBucket(per_minute / 60, per_minute, now_s)
        if not bucket.take(1, now_s):
            raise Overloaded("too many new conversations within a minute", bucket.wait_s(1, now_s))


@dataclass(frozen=True, slots=True)
class RateBounds:
    """What one client may send on average, with ten seconds of it at once."""

    messages_per_s: float = 100.0
    bytes_per_s: float = 80_000.0
    burst_s: float = 10.0


class MessageLimits:
    """How long to wait before the next message is read: a client that is too fast meets a slow reader."""

    __slots__ = ("_bytes", "_messages")

    def __init__(self, bounds: RateBounds, now_s: float) -> None:
        self._messages = TokenBucket(bounds.messages_per_s, bounds.messages_per_s * bounds.burst_s, now_s)
        self._bytes = TokenBucket(bounds.bytes_per_s, bounds.bytes_per_s * bounds.burst_s, now_s)

    def delay_s(self, n_bytes: int, now_s: float) -> float:
        """Count one message; return the seconds to wait, 0 for clients within their rate, at most 1."""
        waits = (self._messages.spend(1, now_s), self._bytes.spend(n_bytes, now_s))
        return min(_MAX_WAIT_S, max(waits))


@dataclass(frozen=True, slots=True)
class LifeBounds:
    """Seconds: without a message from the client; in all; until the engine is ready."""

    idle_s: float = 120.0
    max_s: float = 3600.0
    start_s: float = 120.0


def life_over(
    bounds: LifeBounds, *, started_s: float, heard_s: float, is_ready: bool, now_s: float
) -> tuple[str, str] | None:
    """Return (reason, text for the client) if the session must end now, else None."""
    if now_s - started_s >= bounds.max_s:
        return "max_time", f"a conversation lasts at most {bounds.max_s:g} s: start a new one"
    if now_s - heard_s >= bounds.idle_s:
        return "idle", f"nothing came from you for {bounds.idle_s:g} s"
    if not is_ready and now_s - started_s >= bounds.start_s:
        return "engine_failed", f"the voice engine was not ready within {bounds.start_s:g} s"
    return None


def check_origin(origin: str | None, host: str, allowed: Collection[str]) -> None:
    """Let pages of the edge itself and of `allowed` in, and programs, which send no Origin. Raises AuthError."""
    if origin is None or origin in allowed:
        return
    try:
        same = urlsplit(origin).netloc.lower() == host.lower() != ""
    except ValueError:
        same = False
    if not same:
        raise AuthError(
            "bad_origin", "pages of this origin may not connect: the operator can add it to SPLITBRAIN_EDGE_ORIGINS"
        )


def check_local_host(host: str) -> None:
    """Without tokens, only loopback names are answered: a foreign name may be rebound to loopback by a page.

    Raises AuthError.
    """
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    if name not in LOOPBACK_NAMES:
        raise AuthError("bad_host", "without a token secret the edge answers only on localhost")
