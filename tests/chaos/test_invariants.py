"""The checks find what is planted, and find nothing in a conversation that went well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.events import EngineState, Event, SessionEnded
from shared.wire import AudioFrame
from tests.chaos.frames import frame, is_intact, number_of
from tests.chaos.invariants import Allowances, check_end, judge
from tests.chaos.records import ClientTrace, Connection, Heard, Losses, Sent, StreamTrace

N = 20


def entry(
    seq: int, number: int, epoch: int = 0, capture_ms: int = 0, consumed: int | None = None
) -> tuple[str, AudioFrame]:
    named = seq if consumed is None else consumed
    return f"{seq}-0", AudioFrame(seq, 1920, frame(number), capture_ms, epoch, f"{named}-0")


def event(event_id: str, body: object, *, epoch: int = 1, source: str = "voice", wall_ms: int = 5) -> tuple[str, Event]:
    return "1-0", Event(event_id, "s" * 26, source, epoch, 0, wall_ms, body)  # type: ignore[arg-type]


ENDED = event("edge:session_ended", SessionEnded("client_closed"), source="edge")


def client(n: int = N) -> ClientTrace:
    """Return a client that sent and heard `n` frames over one socket, and hung up."""
    trace = ClientTrace("client 0", "s" * 26, hung_up=True, has_scorecard=True)
    trace.connections.append(Connection("edge", 0.0, closed_s=n * 0.08 + 1, close_code=1000))
    trace.sent = [Sent(i, i * 0.08, 0) for i in range(n)]
    trace.heard = [Heard(i, True, i * 0.08 + 0.01, 0) for i in range(n)]
    return trace


def streams(n: int = N) -> StreamTrace:
    return StreamTrace(
        "s" * 26, tuple(entry(i, i) for i in range(n)), tuple(entry(i, i, 1) for i in range(n)), (ENDED,)
    )


def found(trace: ClientTrace, held: StreamTrace, allowed: Allowances | None = None) -> set[str]:
    return {violation.invariant for violation in judge(trace, held, allowed).violations}


def test_frames_can_be_told_apart() -> None:
    assert [number_of(frame(n)) for n in (0, 1, 70_000)] == [0, 1, 70_000]
    assert is_intact(frame(5))
    assert is_intact(frame(5, 1_000))
    assert len(frame(5, 1_000)[0]) == len(frame(5)[0]) + 1_000
    first, *rest = frame(5)
    assert not is_intact((first, *rest[:-1], rest[-1] + b"x"))
    assert number_of((b"\x48noise",)) == -1


def test_a_conversation_that_went_well_has_no_violation() -> None:
    verdict = judge(client(), streams())
    assert (verdict.violations, verdict.losses) == ((), Losses())
    assert check_end(client()) == []


def test_a_frame_that_is_lost_on_a_living_socket_is_found() -> None:
    kept = [i for i in range(N) if i != 7]
    held = StreamTrace(
        "s" * 26,
        tuple(entry(seq, number) for seq, number in enumerate(kept)),
        tuple(entry(seq, number, 1) for seq, number in enumerate(kept)),
        (ENDED,),
    )
    trace = client()
    trace.heard = [each for each in trace.heard if each.number != 7]
    assert found(trace, held) == {"what is lost is told"}
    trace.told["input_shed"] = 1
    assert found(trace, held) == set()
    trace.told["input_shed"] = 2
    assert found(trace, held) == {"what is lost is told"}
    assert found(client(), streams()) == set()
    well = client()
    well.told["input_too_fast"] = 1
    assert found(well, streams()) == {"what is lost is told"}


def test_frames_that_die_with_their_socket_are_in_flight_if_they_are_young() -> None:
    trace = client()
    trace.connections[0].close_code, trace.connections[0].closed_s = 1006, N * 0.08
    trace.hung_up = False
    trace.heard = trace.heard[:15]
    held = streams(15)
    verdict = judge(trace, held)
    assert verdict.violations == ()
    assert verdict.losses == Losses(lost=5, in_flight=5)
    assert found(trace, held, Allowances(in_flight_s=0.2)) == {"what is lost is told"}


def test_a_repeated_output_frame_is_dropped_and_a_repeated_input_too() -> None:
    """A writer sends a batch again whole: readers see it once."""
    held = streams()
    twice = replace(
        held,
        audio_in=(*held.audio_in[:9], *held.audio_in[5:]),
        audio_out=(*held.audio_out[:9], *held.audio_out[5:]),
    )
    assert found(client(), twice) == set()


def test_a_frame_that_is_consumed_twice_is_found() -> None:
    held = streams()
    out = [entry(seq, number, 1, consumed=number) for seq, number in enumerate([*range(8), *range(7, N)])]
    assert "each frame is consumed once" in found(client(), replace(held, audio_out=tuple(out)))


def test_a_gap_in_the_output_is_found() -> None:
    held = streams()
    assert "audio.out has no gap" in found(client(), replace(held, audio_out=held.audio_out[:5] + held.audio_out[6:]))
    trace = client()
    del trace.sent[5:7], trace.heard[5:7]
    short = StreamTrace(
        "s" * 26,
        held.audio_in[:5] + held.audio_in[7:],
        tuple(entry(seq, number, 1, consumed=number) for seq, number in enumerate([*range(5), *range(7, N)])),
        (ENDED,),
    )
    assert found(trace, short) == {"audio.in has no gap"}
    trace = client()
    trace.told["input_shed"] = 2
    del trace.heard[5:7]
    assert found(trace, short) == set()


def test_other_bytes_are_found() -> None:
    held = streams()
    out = (*held.audio_out[:5], entry(5, 99, 1), *held.audio_out[6:])
    assert "the echo gives back what was sent" in found(client(), replace(held, audio_out=out))
    trace = client()
    trace.heard[3] = replace(trace.heard[3], intact=False)
    assert found(trace, held) == {"a client hears what it sent"}


def test_what_an_older_owner_writes_behind_a_newer_one_does_not_count() -> None:
    held = streams()
    out = (*held.audio_out[:10], *(entry(i, i, 2) for i in range(10, N)), entry(10, 10, 1), entry(11, 11, 1))
    assert found(client(), replace(held, audio_out=out)) == set()


@pytest.mark.parametrize("what", ["frame", "event"])
def test_two_owners_of_one_epoch_are_found(what: str) -> None:
    held = streams()
    if what == "frame":
        held = replace(held, audio_out=(*held.audio_out, entry(4, 4, 1, capture_ms=99)))
    else:
        state = EngineState("ready", "echo")
        both = [event("voice:engine_state:ready:1", state, wall_ms=wall_ms) for wall_ms in (5, 6)]
        held = replace(held, events=(*both, ENDED))
    assert found(client(), held) == {"one owner for each epoch"}


def test_ends_are_checked() -> None:
    assert found(client(), replace(streams(), events=())) == {"every session ends"}
    odd = event("edge:session_ended", SessionEnded("tired"), source="edge")
    assert found(client(), replace(streams(), events=(odd,))) == {"sessions end in a stated way"}
    other = event("voice:session_ended", SessionEnded("client_lost"))
    assert found(client(), replace(streams(), events=(ENDED, other))) == {"every session ends once"}


def test_an_event_that_a_client_gets_twice_is_found() -> None:
    trace = client()
    trace.event_ids = ["a", "b", "a"]
    assert found(trace, streams()) == {"a client gets each event once"}


def test_what_a_client_hears_twice_or_not_is_found() -> None:
    trace = client()
    trace.heard.insert(6, trace.heard[5])
    assert found(trace, streams()) == {"a client hears each frame once"}
    trace = client()
    del trace.heard[5:8]
    assert found(trace, streams()) == {"what a client does not hear is told"}
    trace.told["output_late"] = 3
    assert found(trace, streams()) == {"who reads is not taken for slow"}
    trace.stalled = True
    assert found(trace, streams()) == set()
    assert judge(trace, streams()).losses == Losses(late=3)
    trace.told["output_late"] = 4
    assert found(trace, streams()) == {"what a client does not hear is told"}, "one more than there is"
    trace = client()
    del trace.heard[-2:]
    assert found(trace, streams()) == {"a client hears all"}


def test_sound_that_falls_between_two_sockets_is_counted_and_lawful() -> None:
    trace = client()
    trace.connections.insert(0, Connection("edge", 0.0, closed_s=0.5, close_code=1006))
    trace.heard = [
        replace(each, connection=int(each.number > 8)) for each in trace.heard if each.number not in (6, 7, 8)
    ]
    trace.sent = [replace(each, connection=int(each.number > 8)) for each in trace.sent]
    verdict = judge(trace, streams())
    assert verdict.violations == ()
    assert verdict.losses == Losses(unheard=3)
    trace.stalled = True
    trace.told["output_late"] = 2  # left out by the edge just before that socket broke
    assert judge(trace, streams()).losses == Losses(unheard=1, late=2)
    assert judge(trace, streams()).violations == ()


def test_frames_that_are_sent_again_are_heard_again() -> None:
    numbers = [*range(10), *range(4, 10), *range(10, N)]
    trace = client()
    trace.connections.insert(0, Connection("edge", 0.0, closed_s=0.8, close_code=1006))
    trace.sent = [Sent(number, index * 0.08, int(index > 9)) for index, number in enumerate(numbers)]
    trace.heard = [
        Heard(number, True, 0.0, int(index > 9)) for index, number in enumerate(numbers) if index not in range(4, 10)
    ]
    held = StreamTrace(
        "s" * 26,
        tuple(entry(seq, number) for seq, number in enumerate(numbers)),
        tuple(entry(seq, number, 1) for seq, number in enumerate(numbers)),
        (ENDED,),
    )
    assert found(trace, held) == set()


def test_a_conversation_that_was_cut_off_is_found() -> None:
    trace = client()
    trace.hung_up = False
    assert [violation.invariant for violation in check_end(trace)] == ["a conversation outlives faults"]
    trace = client()
    trace.has_scorecard = False
    assert [violation.invariant for violation in check_end(trace)] == ["every conversation is scored"]
