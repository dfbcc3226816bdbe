"""What must hold whatever fails: checked on what clients and streams recorded. Pure.

`docs/reliability.md` lists the promises in words. Each check returns violations; none means that all is well.
No check knows which fault was done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shared.broker.frames import frames_that_count
from shared.events import EngineState, Event, Notice, SessionEnded
from shared.session_worker import EpochFilter
from shared.wire import AudioFrame
from tests.chaos.frames import number_of
from tests.chaos.records import ClientTrace, Losses, StreamTrace, Violation

REASONS = frozenset(
    (
        *("client_closed", "client_lost", "idle", "max_time", "drained"),
        *("engine_failed", "state_lost", "refused", "limit"),
    )
)
"""Those of `SessionEnded` in shared/events.py."""

DROPPED_AT_INPUT = ("input_too_fast", "input_shed")

Entries = Sequence[tuple[str, AudioFrame]]


@dataclass(frozen=True, slots=True)
class Allowances:
    """What a round's faults make lawful. `in_flight_s`: how old a frame may be that dies with its socket."""

    in_flight_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a session's records show."""

    violations: tuple[Violation, ...]
    losses: Losses


def judge(client: ClientTrace, streams: StreamTrace, allowed: Allowances | None = None) -> Verdict:
    """Return all that is wrong with one session, and what its client lost."""
    taken, given = taken_in(streams.audio_in), given_out(streams.audio_out)
    lost, losses_in = check_input(client, streams, taken, allowed or Allowances())
    heard, unheard, repeated = check_heard(client, [number_of(frame.packets) for frame in given])
    violations = [
        *lost,
        *check_numbers("audio.in", taken, shed=max(dropped_of(streams), client.told.get("input_shed", 0))),
        *check_numbers("audio.out", given),
        *check_echo(streams.audio_in, taken, given),
        *check_owners(streams),
        *check_events(client, streams.events),
        *heard,
    ]
    if streams.unreadable:
        violations.append(Violation("entries can be read", f"{streams.unreadable} cannot"))
    late = client.told.get("output_late", 0)
    losses = Losses(losses_in.lost, losses_in.told, losses_in.in_flight, max(0, unheard - late), repeated, late)
    return Verdict(tuple(violations), losses)


def taken_in(entries: Entries) -> list[AudioFrame]:
    """Return the input frames as a voice worker takes them in: none of an older edge, each number once, in order."""
    return frames_that_count(frame for _, frame in entries)


def given_out(entries: Entries) -> list[AudioFrame]:
    """Return the output frames as an edge takes them in: none of an older owner, each number once, in order."""
    epoch, taken = 0, list[AudioFrame]()
    for _, frame in entries:
        if frame.epoch < epoch:
            continue
        epoch = frame.epoch
        if not taken or frame.seq > taken[-1].seq:
            taken.append(frame)
    return taken


def check_numbers(what: str, frames: Sequence[AudioFrame], shed: int = 0) -> list[Violation]:
    """The frames of a direction are numbered 0, 1, 2, ...; no more numbers are missing than were told as `shed`."""
    steps = pairwise([-1, *(frame.seq for frame in frames)])
    gaps = [(before, after) for before, after in steps if after != before + 1]
    if sum(after - before - 1 for before, after in gaps) <= shed:
        return []
    return [Violation(f"{what} has no gap", f"frame {after} follows {before}") for before, after in gaps]


def check_echo(entries: Entries, taken: Sequence[AudioFrame], given: Sequence[AudioFrame]) -> list[Violation]:
    """Each input frame is consumed once, in order, and comes back with the bytes that went in.

    An output frame names the input entry that was consumed with it.
    """
    by_id = dict(entries)
    consumed = [by_id.get(frame.consumed) for frame in given]
    violations = []
    wrong = [out.seq for put, out in zip(consumed, given, strict=True) if put is None or put.packets != out.packets]
    if wrong:
        text = f"{len(wrong)} frames differ, first frame {wrong[0]}"
        violations.append(Violation("the echo gives back what was sent", text))
    there = [frame.seq for frame in taken]
    back = [frame.seq for frame in consumed if frame is not None]
    if there != back:
        without = sorted(set(there) - set(back))
        first = f"; no answer to input frames {without[0]} to {without[-1]}" if without else ""
        text = f"{len(there)} frames went in, {len(back)} came out{first}"
        violations.append(Violation("each frame is consumed once", text))
    return violations


def check_owners(streams: StreamTrace) -> list[Violation]:
    """No two processes publish for a session in one role with one epoch.

    A writer that repeats a batch repeats its bytes; another process would not have the same wall times.
    """
    two: list[str] = []
    frames: dict[tuple[int, int], AudioFrame] = {}
    for _, frame in streams.audio_out:
        if frames.setdefault((frame.epoch, frame.seq), frame) != frame:
            two.append(f"voice epoch {frame.epoch}, frame {frame.seq}")
    events: dict[tuple[str, int, str], Event] = {}
    for _, event in streams.events:
        if event.source == "edge" and isinstance(event.body, SessionEnded):
            continue  # any edge may end a session whose own edge died: who does is not an owner
        if events.setdefault((event.source, event.epoch, event.id), event) != event:
            two.append(f"{event.source} epoch {event.epoch}, event {event.id}")
    return [Violation("one owner for each epoch", f"two published as {each}") for each in two[:5]]


def check_events(client: ClientTrace, entries: Sequence[tuple[str, Event]]) -> list[Violation]:
    """Ids are unique after filtering, epochs of a role's states grow, and the session ends once in a stated way."""
    accepts = EpochFilter().accepts
    events = [event for _, event in entries if accepts(event)]
    violations = []
    twice = sorted(each for each, n in Counter(client.event_ids).items() if n > 1)
    if twice:
        violations.append(Violation("a client gets each event once", f"twice: {', '.join(twice[:5])}"))
    ends = [event.body.reason for event in events if isinstance(event.body, SessionEnded)]
    if not ends:
        violations.append(Violation("every session ends", "no session_ended in its events"))
    for reason in ends:
        if reason not in REASONS:
            violations.append(Violation("sessions end in a stated way", f"ended with {reason!r}"))
    if len(set(ends)) > 1:
        violations.append(Violation("every session ends once", f"ended with {', '.join(ends)}"))
    failed = [event.body.detail for event in events if isinstance(event.body, EngineState) and _is_failure(event)]
    violations += [Violation("no engine fails", detail) for detail in failed]
    return violations


def _is_failure(event: Event) -> bool:
    return isinstance(event.body, EngineState) and event.body.state == "failed"


def check_input(
    client: ClientTrace, streams: StreamTrace, taken: Sequence[AudioFrame], allowed: Allowances
) -> tuple[list[Violation], Losses]:
    """Each frame that a client sent is taken in once, in order; what is not was told, or died with its socket."""
    numbers = [number_of(frame.packets) for frame in taken]
    missing, alien = _unmatched([each.number for each in client.sent], numbers)
    violations = []
    if alien:
        text = f"{len(alien)} entries are none or out of order, first frame {numbers[alien[0]]}"
        violations.append(Violation("audio.in holds what was sent", text))
    in_flight = _in_flight(client, missing, allowed.in_flight_s)
    silent = [index for index in missing if index not in in_flight]
    told = sum(client.told.get(code, 0) for code in DROPPED_AT_INPUT)
    if not len(silent) <= told <= len(missing):  # of those that died with a socket some were dropped before, and told
        what = ", ".join(f"{code} {client.told[code]}" for code in DROPPED_AT_INPUT if code in client.told) or "nothing"
        text = f"{len(silent)} frames were lost, told were {what} ({dropped_of(streams)} in the stream)"
        if silent:
            first = client.sent[silent[0]]
            text += f"; first frame {first.number} of connection {first.connection}"
        violations.append(Violation("what is lost is told", text))
    return violations, Losses(lost=len(missing), told=told, in_flight=len(in_flight))


def dropped_of(streams: StreamTrace) -> int:
    """Return how many dropped frames the session's events own to, whether or not the client was there to be told."""
    bodies = {event.id: event.body for _, event in streams.events}
    notices = [body for body in bodies.values() if isinstance(body, Notice) and body.code in DROPPED_AT_INPUT]
    return sum(notice.count or 0 for notice in notices)


def _unmatched(sent: Sequence[int], arrived: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return (indices of `sent` that did not arrive, indices of `arrived` that were not due)."""
    missing: list[int] = []
    alien: list[int] = []
    at = 0
    for index, number in enumerate(arrived):
        found = next((i for i in range(at, len(sent)) if sent[i] == number), -1)
        if found < 0:
            alien.append(index)
            continue
        missing += range(at, found)
        at = found + 1
    return [*missing, *range(at, len(sent))], alien


def _in_flight(client: ClientTrace, missing: Iterable[int], limit_s: float) -> set[int]:
    """Return those of the missing that were the last ones on a socket that broke, not older than `limit_s` then."""
    gone = set(missing)
    found: set[int] = set()
    for number, connection in enumerate(client.connections):
        if connection.close_code in (None, 1000):
            continue
        for index in range(len(client.sent) - 1, -1, -1):
            each = client.sent[index]
            if each.connection > number:
                continue
            if each.connection < number or index not in gone or connection.closed_s - each.at_s > limit_s:
                break
            found.add(index)
    return found


def check_heard(client: ClientTrace, given: Sequence[int]) -> tuple[list[Violation], int, int]:
    """A client hears each frame once and in order; what it does not hear fell between two of its sockets.

    Returns (violations, frames that it did not hear, frames that it heard again).
    """
    at = holes = unheard = repeated = 0
    for index in range(len(client.connections)):
        numbers = [each.number for each in client.heard if each.connection == index]
        start, walk = _best_walk(given, at, numbers)
        repeated += walk.astray
        if walk.end > at:
            holes += walk.skipped
            unheard += start - at + walk.skipped
            at = walk.end
    told = client.told.get("output_late", 0)
    violations = []
    if repeated:
        violations.append(Violation("a client hears each frame once", f"{repeated} came again or out of order"))
    # More may be told than is missing within a socket: what was left out last, before that one broke.
    if not holes <= told <= unheard + len(given) - at:
        violations.append(Violation("what a client does not hear is told", f"{holes} left out, told were {told}"))
    if told and not client.stalled:
        violations.append(Violation("who reads is not taken for slow", f"{told} frames were left out"))
    if any(not each.intact for each in client.heard):
        violations.append(Violation("a client hears what it sent", "a frame came back with other bytes"))
    left = len(given) - at
    if left and client.hung_up:
        violations.append(Violation("a client hears all", f"the last {left} frames did not reach it"))
    return violations, unheard + left, repeated


@dataclass(frozen=True, slots=True)
class _Walk:
    """How a list is walked along by a part of it: where that ends, what is left out, what is not found."""

    end: int
    skipped: int = 0
    astray: int = 0


def _best_walk(given: Sequence[int], at: int, numbers: Sequence[int]) -> tuple[int, _Walk]:
    """Return (start, walk) of the walk from `at` on that leaves least out.

    A client that sends frames again hears their numbers twice, so that its first one may stand at several places.
    """
    starts = [i for i in range(at, len(given)) if numbers and given[i] == numbers[0]] or [at]
    walks = [(start, _walk(given, start, numbers)) for start in starts]
    return min(walks, key=lambda each: (each[1].astray, each[1].skipped))


def _walk(given: Sequence[int], start: int, numbers: Sequence[int]) -> _Walk:
    at, skipped, astray = start, 0, 0
    for number in numbers:
        found = next((i for i in range(at, len(given)) if given[i] == number), -1)
        if found < 0:
            astray += 1
            continue
        skipped += found - at
        at = found + 1
    return _Walk(at, skipped, astray)


def check_end(client: ClientTrace) -> list[Violation]:
    """The client hung up and was answered; its conversation was not lost before."""
    if not client.hung_up:
        codes = [connection.close_code for connection in client.connections]
        text = f"closes {codes}, told {client.ended or 'nothing'}, {'; '.join(client.errors[-2:])}"
        return [Violation("a conversation outlives faults", text)]
    if not client.has_scorecard:
        return [Violation("every conversation is scored", "no scorecard came within 10 s of its end")]
    return []
