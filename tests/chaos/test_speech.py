"""The checks of spoken conversations find what is planted, and find nothing in one that went well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from shared.events import CoachToVoice, Event, Notice, SessionEnded, Speaker, Spoken, Transcript, TurnEnded, TurnStarted
from shared.wire import AudioFrame
from tests.chaos.frames import frame
from tests.chaos.records import ClientTrace, Connection, Heard, Sent, StreamTrace
from tests.chaos.speech import Said, judge_speech

N = 250
"""Frames of the conversation: 20 s."""

FIRST = Said("he was not an ill disposed young man", 1_000, 3_000)
SECOND = Said("had he married a more amiable woman he might have been happy", 7_000, 11_000)
PACKETS = [frame(number) for number in range(N)]


def event(event_id: str, body: object, source: str = "voice") -> Event:
    return Event(event_id, "s" * 26, source, 1, 0, 5, body)  # type: ignore[arg-type]


def turn(name: str, speaker: Speaker, text: str, start_ms: int, end_ms: int, answers: str | None = None) -> list[Event]:
    words = f" {text}".replace(" ", "| ").split("|")[1:] if speaker == "hugo" else []
    said = Transcript(name, speaker, text, True, start_ms, end_ms, "en")
    return [
        event(f"voice:turn_started:{name}", TurnStarted(name, speaker, start_ms, answers)),
        *(event(f"voice:spoken:{name}:{i}", Spoken(name, word, start_ms)) for i, word in enumerate(words)),
        event(f"voice:turn_ended:{name}", TurnEnded(name, speaker, start_ms, end_ms)),
        event(f"voice:transcript:{name}:final", said),
    ]


def answer(to: str, *sentences: str) -> list[Event]:
    last = len(sentences) - 1
    return [
        event(f"coach:{to}:{i}", CoachToVoice(to, text, chunk=i, last=i == last), "coach")
        for i, text in enumerate(sentences)
    ]


def conversation() -> list[Event]:
    return [
        *turn("u1", "user", "He was not an ill-disposed young man.", 1_000, 3_000),
        *answer("u1", "I see.", "Tell me more."),
        *turn("h1", "hugo", "I see. Tell me more.", 3_500, 6_000, "u1"),
        *turn("u2", "user", "Had he married a more amiable woman,", 7_000, 9_000),
        *turn("u3", "user", "he might have been happy.", 9_500, 11_000),
        event("edge:session_ended", SessionEnded("client_closed"), "edge"),
    ]


def streams(
    events: Sequence[Event], taken: Sequence[AudioFrame] | None = None, given: int | None = None
) -> StreamTrace:
    frames = taken if taken is not None else [AudioFrame(i, 1920, PACKETS[i]) for i in range(N)]
    audio_in = tuple((f"{each.seq}-0", each) for each in frames)
    n_given = len(frames) if given is None else given
    audio_out = tuple((f"{i}-1", AudioFrame(i, 1920, (b"x",), 0, 1, f"{i}-0")) for i in range(n_given))
    return StreamTrace("s" * 26, audio_in, audio_out, tuple(("1-0", each) for each in events))


def client() -> ClientTrace:
    trace = ClientTrace("cascade 0", "s" * 26, hung_up=True, has_scorecard=True)
    trace.connections.append(Connection("edge", 0.0, closed_s=N * 0.08 + 1, close_code=1000))
    trace.sent = [Sent(i, i * 0.08, 0) for i in range(N)]
    trace.heard = [Heard(i, True, i * 0.08 + 0.1, 0) for i in range(N)]
    return trace


def found(events: Sequence[Event], held: StreamTrace | None = None, trace: ClientTrace | None = None) -> set[str]:
    verdict = judge_speech(trace or client(), PACKETS, [FIRST, SECOND], held or streams(events))
    return {violation.invariant for violation in verdict.violations}


def test_a_conversation_that_went_well_has_no_violation() -> None:
    verdict = judge_speech(client(), PACKETS, [FIRST, SECOND], streams(conversation()))
    assert verdict.violations == ()
    assert (verdict.losses.lost, verdict.user_turns, verdict.hugo_turns) == (0, 3, 1)


def test_an_unfinished_end_is_no_violation() -> None:
    """The last clip was just said, Hugo is in the middle of a sentence, the last frames are not answered."""
    late = Said("unless to be rather cold hearted", 15_000, 18_000)
    said = event("voice:spoken:h2:0", Spoken("h2", " Well", 12_000))
    events = [*conversation(), *answer("u3", "Well, why?"), event("h2", TurnStarted("h2", "hugo", 12_000, "u3")), said]
    verdict = judge_speech(client(), PACKETS, [FIRST, SECOND, late], streams(events, given=N - 2))
    assert verdict.violations == ()


def without(events: Sequence[Event], *ids: str) -> list[Event]:
    return [each for each in events if each.id not in ids]


def other_text(events: Sequence[Event], event_id: str, text: str) -> list[Event]:
    return [
        replace(each, body=replace(each.body, text=text)) if each.id == event_id else each  # type: ignore[call-arg]
        for each in events
    ]


def test_a_turn_that_was_numbered_again_is_found() -> None:
    again = [replace(each, id=f"{each.id}:again", epoch=2) for each in turn("u2", "user", "again", 12_000, 13_000)]
    assert "turns are numbered" in found([*conversation(), *again])


def test_a_turn_that_is_left_out_is_found() -> None:
    assert "turns are numbered" in found([each for each in conversation() if ":u2" not in each.id])


def test_hugo_may_leave_out_a_stale_answers_number_but_not_go_back() -> None:
    later = turn("h3", "hugo", "Well.", 12_000, 13_000, "u3")
    assert found([*conversation(), *answer("u3", "Well."), *later]) == set()
    back = [replace(each, id=f"{each.id}:again") for each in turn("h1", "hugo", "Well.", 14_000, 15_000, "u3")]
    assert "turns are numbered" in found([*conversation(), *later, *back])


def test_a_turn_without_an_end_or_a_text_is_found() -> None:
    assert found(without(conversation(), "voice:turn_ended:u1")) == {"every turn ends once"}
    assert "every turn has one text" in found(without(conversation(), "voice:transcript:u1:final"))


def test_a_second_text_of_a_turn_is_found() -> None:
    again = [replace(each, id="voice:transcript:u1:again") for each in conversation()[2:3]]
    assert "every turn has one text" in found([*conversation(), *again])


def test_the_same_event_again_is_no_violation() -> None:
    events = conversation()
    assert found([*events[:4], *events[2:]]) == set()


def test_an_empty_text_is_found() -> None:
    assert "a text has words" in found(other_text(conversation(), "voice:transcript:u3:final", " "))


@pytest.mark.parametrize("change", ["missing", "twice"])
def test_a_word_of_hugo_that_is_missing_or_said_twice_is_found(change: str) -> None:
    events = conversation()
    at = next(i for i, each in enumerate(events) if each.id == "voice:spoken:h1:2")
    text = {"missing": "I see. me more.", "twice": "I see. Tell Tell me more."}[change]
    again = [] if change == "missing" else [events[at], replace(events[at], id="voice:spoken:h1:2b")]
    events[at : at + 1] = again
    assert found(events) == {"Hugo's text is what he said", "Hugo says each word once"}
    assert found(other_text(events, "voice:transcript:h1:final", text)) == {"Hugo says each word once"}


def test_something_that_was_not_heard_is_found() -> None:
    assert found(other_text(conversation(), "voice:transcript:u1:final", "He.")) == {"nothing that was said is missing"}


def test_what_was_told_as_not_recognised_is_counted() -> None:
    told = event("voice:notice:recognition_failed:u1", Notice("recognition_failed", "warning", "too slow", 1))
    events = [*without(conversation(), "voice:transcript:u1:final"), told]
    verdict = judge_speech(client(), PACKETS, [FIRST, SECOND], streams(events))
    assert verdict.violations == ()
    assert verdict.unrecognised == 1


def test_something_that_was_heard_twice_is_found() -> None:
    text = "Had he married a more amiable woman, had he married a more amiable woman,"
    assert found(other_text(conversation(), "voice:transcript:u2:final", text)) == {"nothing is heard twice"}


def test_a_frame_that_was_lost_on_a_living_socket_is_found() -> None:
    taken = [AudioFrame(i, 1920, PACKETS[i + (i >= 100)]) for i in range(N - 1)]
    assert found(conversation(), streams(conversation(), taken)) == {"what is lost is told"}


def test_a_frame_that_died_with_its_socket_is_counted() -> None:
    trace = client()
    trace.connections.insert(0, Connection("edge", 0.0, closed_s=8.05, close_code=1012))
    trace.sent = [replace(each, connection=int(each.number > 100)) for each in trace.sent]
    taken = [AudioFrame(i, 1920, PACKETS[i + (i >= 100)]) for i in range(N - 1)]
    verdict = judge_speech(trace, PACKETS, [FIRST, SECOND], streams(conversation(), taken))
    assert verdict.violations == ()
    assert (verdict.losses.lost, verdict.losses.in_flight) == (1, 1)


def test_a_frame_that_nobody_sent_is_found() -> None:
    taken = [AudioFrame(i, 1920, PACKETS[i] if i != 50 else (b"alien",)) for i in range(N)]
    assert "what is taken in was sent" in found(conversation(), streams(conversation(), taken))


def test_an_input_frame_that_was_passed_over_is_found() -> None:
    held = streams(conversation())
    out = [
        (key, replace(each, consumed=f"{each.seq + 1}-0") if each.seq >= 70 else each) for key, each in held.audio_out
    ]
    assert found(conversation(), replace(held, audio_out=tuple(out[:-1]))) == {"each frame is consumed once"}
