"""Turns stream entries into messages: what cannot be read is counted, told and passed over, never in the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from shared import metrics
from shared.errors import WireError

log = logging.getLogger(__name__)

Message = TypeVar("Message")


def readable(
    entries: Iterable[tuple[str, bytes]], decode: Callable[[bytes], Message], stream: str
) -> Iterator[tuple[str, Message]]:
    """Yield (entry id, message) for each entry that `decode` can read. `stream` names the kind in the metric."""
    for entry_id, data in entries:
        try:
            message = decode(data)
        except WireError as error:
            metrics.BAD_ENTRIES.labels(stream).inc()
            log.warning("an entry of %s was passed over: %s", stream, error)
            continue
        yield entry_id, message
