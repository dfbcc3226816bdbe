"""Reads what Redis holds of a session and of the request streams; past every proxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from shared.broker.append import FIELD
from shared.errors import WireError
from shared.streams import session_keys
from shared.wire import decode_audio, decode_event
from tests.chaos.records import StreamTrace

T = TypeVar("T")


async def read_streams(redis: Any, session_id: str) -> StreamTrace:
    """Return all entries of a session's three streams."""
    keys = session_keys(session_id)
    audio_in, bad_in = _decoded(await redis.xrange(keys.audio_in), decode_audio)
    audio_out, bad_out = _decoded(await redis.xrange(keys.audio_out), decode_audio)
    events, bad_events = _decoded(await redis.xrange(keys.events), decode_event)
    return StreamTrace(session_id, audio_in, audio_out, events, bad_in + bad_out + bad_events)


def _decoded(entries: Any, decode: Callable[[bytes], T]) -> tuple[tuple[tuple[str, T], ...], int]:
    good: list[tuple[str, T]] = []
    bad = 0
    for entry_id, fields in entries:
        try:
            good.append((entry_id.decode(), decode(fields[FIELD])))
        except (WireError, KeyError):
            bad += 1
    return tuple(good), bad


async def keys_of(redis: Any, session_id: str) -> list[str]:
    """Return the keys of a session that still exist."""
    names = session_keys(session_id).all()
    return [name for name in names if await redis.exists(name)]


async def keys_for_ever(redis: Any, session_id: str) -> list[str]:
    """Return the keys of a session that exist and will never expire."""
    names = session_keys(session_id).all()
    return [name for name in names if await redis.pttl(name) == -1]
