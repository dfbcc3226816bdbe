"""What reaches a handler: each event once, older owners left out, no more than may wait."""

from __future__ import annotations

import pytest

from shared import session_inbox
from shared.events import Event, Notice, SessionEnded
from shared.session_inbox import EpochFilter, Inbox, TooMany
from shared.wire import encode_event


def event(event_id: str, source: str = "voice", epoch: int = 1) -> Event:
    body = SessionEnded("client_closed") if event_id == "end" else Notice("a", "info", "b")
    return Event(event_id, "s", source, epoch, 0, 0, body)  # type: ignore[arg-type]


def test_the_epoch_filter_keeps_a_mark_for_each_source() -> None:
    accepts = EpochFilter().accepts
    assert accepts(event("1", "voice", 3))
    assert accepts(event("2", "coach", 1))
    assert not accepts(event("3", "voice", 2))
    assert not accepts(event("1", "voice", 3))
    assert accepts(event("4", "voice", 4))


def test_the_past_ends_with_the_session() -> None:
    items = [("1-0", event("a")), ("2-0", event("b")), ("3-0", event("end")), ("4-0", event("late"))]
    assert Inbox().prime(items) == (items[:2], items[2])
    assert Inbox().prime(items[:2]) == (items[:2], None)


async def test_what_was_set_aside_comes_neither_from_the_past_nor_later() -> None:
    inbox = Inbox(frozenset({"1-0", "3-0"}))
    assert inbox.prime([("1-0", event("a")), ("2-0", event("b"))]) == ([("2-0", event("b"))], None)
    inbox.put("key", [(entry_id, encode_event(event(entry_id))) for entry_id in ("3-0", "4-0")])
    assert (await inbox.get())[0] == "4-0"


async def test_a_second_copy_of_what_was_set_aside_is_none_that_counts() -> None:
    inbox = Inbox(frozenset({"1-0"}))
    assert inbox.prime([("1-0", event("a")), ("2-0", event("a"))]) == ([], None)


async def test_beyond_the_bound_the_gap_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_inbox, "QUEUE_BOUND", 2)
    inbox = Inbox()
    inbox.put("key", [(f"{n}-0", encode_event(event(f"e{n}"))) for n in range(4)])
    assert [(await inbox.get())[0] for _ in range(2)] == ["0-0", "1-0"]
    with pytest.raises(TooMany, match="more than 2 events"):
        await inbox.get()
