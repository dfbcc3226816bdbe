"""Replays a recording through the code that the live evaluator runs, as fast as it goes. Pure.

Nothing of the recording but its events goes in, and of these nothing that an evaluator said: neither the wall clock,
nor the session's id, nor the machine can come to stand in the card.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from services.evaluator.comparing.fields import differing_fields
from services.evaluator.evaluation import scorecard_bytes
from services.evaluator.scorecard import canonical_json
from shared.coaching.detection import Detector
from shared.events import Event, ScorecardReady

Agreement = Literal["equal", "differs", "not_recorded"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a replay needs of a recording. `scorecard` is the one kept with it; `sha256` that of its `events.jsonl`."""

    recording_id: str
    events: tuple[Event, ...]
    scorecard: bytes | None = None
    sha256: str = ""
    media_ms: int = 0


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay gave, beside what was recorded: `live` was published in the session, `kept` lies beside it."""

    recording_id: str
    card: bytes
    live: bytes | None = None
    kept: bytes | None = None

    @property
    def agreement(self) -> Agreement:
        """Whether the card has the same bytes as every card that was recorded; `not_recorded` where none was."""
        recorded = [each for each in (self.live, self.kept) if each is not None]
        if not recorded:
            return "not_recorded"
        return "equal" if all(each == self.card for each in recorded) else "differs"

    def differing(self) -> list[str]:
        """Return the fields in which a recorded card is another one."""
        for recorded in (self.live, self.kept):
            if recorded is not None and recorded != self.card:
                return differing_fields(_value(recorded), json.loads(self.card)) or ["the bytes, not the values"]
        return []


def events_for_evaluator(events: Iterable[Event]) -> tuple[Event, ...]:
    """Return the events that an evaluator is given: everybody's but its own, in stream order."""
    return tuple(event for event in events if event.source != "evaluator")


def replay(recorded: Recorded, detector: Detector | None = None) -> Replayed:
    """Return the scorecard of a recording's events, with the recorded ones."""
    return beside_recorded(recorded, scorecard_bytes(events_for_evaluator(recorded.events), detector))


def beside_recorded(recorded: Recorded, card: bytes) -> Replayed:
    """Return a card beside those that were recorded."""
    said = (event.body for event in recorded.events)
    live = next((body for body in said if isinstance(body, ScorecardReady)), None)
    published = None if live is None else canonical_json(live.scorecard)
    return Replayed(recorded.recording_id, card, published, recorded.scorecard)


def _value(card: bytes) -> object:
    try:
        return json.loads(card)
    except ValueError:
        return None
