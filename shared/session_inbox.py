"""The events of one session on their way to its handler: decoded, each once, older owners left out, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from shared import metrics
from shared.broker.entries import readable
from shared.broker.reader import Entries
from shared.events import Event, SessionEnded
from shared.wire import decode_event

QUEUE_BOUND = 2_000
"""Events that may wait for one handler; beyond it the session is handed over and taken again from its stream."""

Item = tuple[str, Event]
"""An event with the id of its entry."""


class TooMany(Exception):
    """Events came faster than the handler took them: the stream still has them, for the next owner."""


class EpochFilter:
    """Drops what an older owner of the same role published after a newer one, and ids seen before."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._seen: set[str] = set()

    def accepts(self, event: Event) -> bool:
        """True if the event is to be taken in."""
        if event.epoch < self._newest.get(event.source, 0):
            metrics.STALE_EPOCH.inc()
            return False
        self._newest[event.source] = event.epoch
        if event.id in self._seen:
            return False
        self._seen.add(event.id)
        return True


class Inbox:
    """Bounded queue of decoded, filtered events of one session. `set_aside` are entries that nobody is to be given."""

    def __init__(self, set_aside: frozenset[str] = frozenset()) -> None:
        self._queue: asyncio.Queue[Item] = asyncio.Queue(QUEUE_BOUND)
        self._filter = EpochFilter()
        self._overflow = False
        self._set_aside = set_aside

    def prime(self, history: Iterable[Item]) -> tuple[list[Item], Item | None]:
        """Return the events that count before the session's end, and that end if it is among them."""
        past: list[Item] = []
        for item in history:
            if not self._filter.accepts(item[1]):
                continue
            if isinstance(item[1].body, SessionEnded):
                return past, item
            if item[0] not in self._set_aside:
                past.append(item)
        return past, None

    def put(self, key: str, entries: Entries) -> None:
        """Take in what the stream's reader brings."""
        for entry_id, event in readable(entries, decode_event, "events"):
            if self._filter.accepts(event) and entry_id not in self._set_aside:
                self._append((entry_id, event))

    def _append(self, item: Item) -> None:
        if self._overflow:
            return
        try:
            self._queue.put_nowait(item)
        except asyncio.QueueFull:
            self._overflow = True

    async def get(self) -> Item:
        """Return the next event; TooMany where the gap is."""
        if self._overflow and self._queue.empty():
            raise TooMany(f"more than {QUEUE_BOUND} events waited for its handler")
        return await self._queue.get()
