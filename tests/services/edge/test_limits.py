"""Buckets, connection counts, lifetimes, origins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.limits import (
    ConnectionBounds,
    ConnectionLimits,
    LifeBounds,
    MessageLimits,
    RateBounds,
    TokenBucket,
    check_local_host,
    check_origin,
    life_over,
)
from shared.errors import AuthError, Overloaded


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 3)), max_size=60))
def test_a_bucket_gives_at_most_its_rate_and_burst(steps: list[tuple[float, float]]) -> None:
    bucket, now, taken = TokenBucket(2.0, 5.0, 0.0), 0.0, 0.0
    for delta, amount in steps:
        now += delta
        taken += amount if bucket.take(amount, now) else 0.0
        assert taken <= 5.0 + 2.0 * now + 1e-6


def test_debt_says_how_long_to_wait() -> None:
    bucket = TokenBucket(10.0, 10.0, 0.0)
    assert bucket.spend(10, 0.0) == 0
    assert bucket.spend(5, 0.0) == pytest.approx(0.5)
    assert bucket.spend(5, 1.0) == 0
    assert not bucket.is_full


def test_each_bound_refuses_and_close_gives_back() -> None:
    limits = ConnectionLimits(ConnectionBounds(total=3, per_user=2, per_address=2, new_per_minute=100))
    limits.open("a", "1", 0.0)
    limits.open("a", "2", 0.0)
    with pytest.raises(Overloaded, match="a user may have 2"):
        limits.open("a", "3", 0.0)
    limits.open("b", "1", 0.0)
    with pytest.raises(Overloaded, match="3 connections"):
        limits.open("c", "9", 0.0)
    limits.close("a", "2")
    with pytest.raises(Overloaded, match="an address may have 2"):
        limits.open("c", "1", 0.0)
    limits.open("c", "2", 0.0)
    assert limits.total == 3


def test_new_sessions_a_minute() -> None:
    limits = ConnectionLimits(ConnectionBounds(new_per_minute=3, per_user=100))
    for _ in range(3):
        limits.open("a", "1", 0.0)
    with pytest.raises(Overloaded) as caught:
        limits.open("a", "1", 0.0)
    assert caught.value.retry_after_s == pytest.approx(20)
    limits.open("b", "1", 0.0)
    limits.open("a", "1", 20.0)


def test_memory_of_users_is_swept() -> None:
    limits = ConnectionLimits(ConnectionBounds())
    for n in range(5000):
        limits.open(f"user{n}", f"address{n}", float(n))
        limits.close(f"user{n}", f"address{n}")
    assert len(limits._fresh) < 1100
    assert limits.total == 0


def test_messages_within_the_rate_never_wait() -> None:
    limits = MessageLimits(RateBounds(messages_per_s=100, bytes_per_s=80_000), 0.0)
    assert all(limits.delay_s(700, n * 0.0101) == 0 for n in range(5000))


def test_a_flood_waits_longer_and_longer_but_never_over_a_second() -> None:
    limits = MessageLimits(RateBounds(messages_per_s=10, bytes_per_s=1e9, burst_s=1), 0.0)
    delays = [limits.delay_s(1, 0.0) for _ in range(40)]
    assert delays[:10] == [0.0] * 10
    assert delays[10] == pytest.approx(0.1)
    assert max(delays) == 1.0


@pytest.mark.parametrize(
    ("now_s", "heard_s", "ready", "reason"),
    [
        (50, 49, True, None),
        (50, 49, False, "engine_failed"),
        (50, 20, True, "idle"),
        (100, 99, True, "max_time"),
        (49, 49, False, None),
    ],
)
def test_lifetimes(now_s: float, heard_s: float, ready: bool, reason: str | None) -> None:
    over = life_over(
        LifeBounds(idle_s=30, max_s=100, start_s=50), started_s=0, heard_s=heard_s, is_ready=ready, now_s=now_s
    )
    assert (over and over[0]) == reason


@pytest.mark.parametrize(
    ("origin", "host", "is_let_in"),
    [
        (None, "edge:8998", True),
        ("https://edge:8998", "edge:8998", True),
        ("http://EDGE:8998", "edge:8998", True),
        ("https://app.example", "edge:8998", True),
        ("https://evil.example", "edge:8998", False),
        ("https://edge:9999", "edge:8998", False),
        ("null", "edge:8998", False),
        ("", "", False),
        ("http://[::1", "[::1", False),
        ("https://app.example.evil.example", "edge:8998", False),
    ],
)
def test_origins(origin: str | None, host: str, is_let_in: bool) -> None:
    allowed = frozenset({"https://app.example"})
    if is_let_in:
        check_origin(origin, host, allowed)
        return
    with pytest.raises(AuthError, match="SPLITBRAIN_EDGE_ORIGINS"):
        check_origin(origin, host, allowed)


@pytest.mark.parametrize("host", ["localhost", "localhost:8998", "127.0.0.1:1", "[::1]:8998"])
def test_loopback_names(host: str) -> None:
    check_local_host(host)


@pytest.mark.parametrize("host", ["rebound.example:8998", "", "127.0.0.1.evil.example", "[::1", "localhost.evil"])
def test_foreign_names_are_refused_without_tokens(host: str) -> None:
    with pytest.raises(AuthError):
        check_local_host(host)
