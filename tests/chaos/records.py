"""What is written down of a round: what clients sent and got, and what stands in a session's streams. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.events import Event
from shared.wire import AudioFrame


@dataclass(slots=True)
class Connection:
    """One WebSocket of a client. Times are monotonic seconds; `close_code` None while it is open.

    `ours` is true where the client ended it by itself, so that frames on their way may be lost.
    """

    edge: str
    opened_s: float
    resumed: bool = False
    closed_s: float = 0.0
    close_code: int | None = None
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """One frame that went out: its number, when, and on which connection (index)."""

    number: int
    at_s: float
    connection: int


@dataclass(frozen=True, slots=True)
class Heard:
    """One message of audio that came: the number inside, whether every byte is as sent, when, and on which socket."""

    number: int
    intact: bool
    at_s: float
    connection: int


@dataclass(slots=True)
class ClientTrace:
    """All that one client saw. `told` is the count of each notice's code; `events` are ids as they came."""

    name: str
    session_id: str = ""
    sent: list[Sent] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    told: dict[str, int] = field(default_factory=dict)
    event_ids: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    has_scorecard: bool = False
    hung_up: bool = False
    """The client said `end` and the edge closed with 1000."""

    flooded: bool = False
    stalled: bool = False
    """It stopped reading for a while."""


@dataclass(frozen=True, slots=True)
class StreamTrace:
    """What Redis holds of a session: entries in the order of the streams, with their ids."""

    session_id: str
    audio_in: tuple[tuple[str, AudioFrame], ...] = ()
    audio_out: tuple[tuple[str, AudioFrame], ...] = ()
    events: tuple[tuple[str, Event], ...] = ()
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise: which invariant, and what was seen."""

    invariant: str
    detail: str


@dataclass(frozen=True, slots=True)
class Losses:
    """Frames of one session: sent and never in `audio.in`; given out but not brought to the client; repeated to it.

    `late`: those not brought that the client was told of, since it read too slowly.
    """

    lost: int = 0
    told: int = 0
    in_flight: int = 0
    unheard: int = 0
    repeated: int = 0
    late: int = 0
