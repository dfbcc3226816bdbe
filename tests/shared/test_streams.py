"""Names in Redis: one hash tag a session, ids that nobody guesses, borders that refuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from shared.errors import BadInput
from shared.streams import (
    ENDED_DUE_KEY,
    ENDED_KEY,
    ENDED_TRIES_KEY,
    MAX_SHARDS,
    check_session_id,
    new_session_id,
    request_stream,
    session_keys,
    shard_of,
    ticket_key,
    wake_key,
    workers_key,
)

shards = st.integers(1, MAX_SHARDS)
walls = st.integers(0, 2**50 - 1)


@given(wall_ms=walls, n_shards=shards)
def test_all_keys_of_a_session_lie_in_one_cluster_slot(wall_ms: int, n_shards: int) -> None:
    keys = session_keys(new_session_id(wall_ms), n_shards)
    assert 0 <= keys.shard < n_shards
    slots = {key_slot(key.encode()) for key in (*keys.all(), wake_key(keys.shard, "r.0"))}
    assert len(slots) == 1
    assert len(set(keys.all())) == 6


def test_a_session_keeps_its_shard_in_every_release() -> None:
    assert [shard_of(name) for name in ("a" * 26, "b" * 26, "0" * 20)] == [8, 7, 3]
    assert session_keys("a" * 26).events == f"sb:{{08}}:{'a' * 26}:events"


def test_sixteen_shards_share_the_sessions_evenly() -> None:
    counts = [0] * 16
    for n in range(16_000):
        counts[shard_of(new_session_id(n))] += 1
    assert min(counts) > 850
    assert max(counts) < 1_150


@given(first=walls, later=walls)
def test_ids_sort_by_time_and_pass_their_own_check(first: int, later: int) -> None:
    one, two = new_session_id(first), new_session_id(later)
    assert (one[:10] < two[:10]) == (first < later)
    assert one != new_session_id(first)
    assert check_session_id(one) == one


@pytest.mark.parametrize(
    "text", ["", "a" * 19, "a" * 41, "A" * 26, "a" * 25 + "}", "a" * 25 + "\n", "é" * 26, "../" * 9]
)
def test_what_is_no_session_id_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_session_id(text)
    assert caught.value.code == "bad_session_id"


def test_request_streams_are_one_a_role_and_for_the_voice_one_an_engine() -> None:
    assert request_stream("coach") == "sb:coach"
    assert request_stream("evaluator") == "sb:evaluator"
    assert request_stream("voice", "cascade") == "sb:voice.cascade"
    for engine in ("", "Echo", "a b", "x" * 33, "{x}", "1"):
        with pytest.raises(BadInput) as caught:
            request_stream("voice", engine)
        assert caught.value.code == "bad_engine"


def test_a_stream_and_its_workers_lie_in_one_cluster_slot() -> None:
    for stream in ("sb:coach", "sb:voice.echo"):
        assert key_slot(stream.encode()) == key_slot(workers_key(stream).encode())


def test_a_ticket_is_found_by_its_digest() -> None:
    assert ticket_key("ab12") == "sb:ticket:ab12"


def test_the_list_of_ended_sessions_is_one_slot() -> None:
    assert len({key_slot(key.encode()) for key in (ENDED_KEY, ENDED_DUE_KEY, ENDED_TRIES_KEY)}) == 1
