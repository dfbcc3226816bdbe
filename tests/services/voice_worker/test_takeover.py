"""What a new owner reads out of the events: what is still to be said, and from where the user is heard again."""

from __future__ import annotations

import pytest

from services.voice_worker.engines.base import Unsaid
from services.voice_worker.takeover import listens_from_ms, understood_turns, unsaid
from shared.events import (
    Backchannel,
    Body,
    CoachToVoice,
    Event,
    Notice,
    Spoken,
    Transcript,
    TurnEnded,
    TurnStarted,
)
from shared.streams import new_session_id

SID = new_session_id(1)

HELLO = CoachToVoice("", "Hello, what do you sell?")
GREETED = (TurnStarted("h1", "hugo", 0, ""), TurnEnded("h1", "hugo", 0, 2_000))
ASKED = (TurnStarted("u1", "user", 3_000), TurnEnded("u1", "user", 3_000, 5_000))
UNDERSTOOD = (*ASKED, Transcript("u1", "user", "I sell bikes.", True, 3_000, 5_000, "en"))
FIRST = CoachToVoice("u1", "Bikes, good.", last=False)
SECOND = CoachToVoice("u1", "Who buys them?", chunk=1)


def history(*bodies: Body) -> list[Event]:
    return [Event(f"e{n}", SID, "voice", 1, n, 0, body) for n, body in enumerate(bodies)]


def test_an_answer_that_nobody_began_to_hear_is_still_to_be_said() -> None:
    assert unsaid(history(HELLO)) == Unsaid(messages=(HELLO,))
    assert unsaid(history(HELLO, *GREETED, *UNDERSTOOD, FIRST, SECOND)).messages == (FIRST, SECOND)


def test_what_was_said_to_its_end_is_not_said_again() -> None:
    said = history(HELLO, *GREETED, *UNDERSTOOD)
    assert unsaid(said) == Unsaid()


def test_an_answer_to_an_older_turn_is_stale() -> None:
    newer = Transcript("u2", "user", "And?", True, 6_000, 7_000, "en")
    assert unsaid(history(*UNDERSTOOD, FIRST, newer)).messages == ()


def test_of_an_open_turn_the_words_that_were_heard_are_left_out() -> None:
    open_turn = TurnStarted("h2", "hugo", 6_000, "u1")
    spoken = [Spoken("h2", f" {word}", 6_000) for word in ("Bikes,", "good.", "Who")]
    left = unsaid(history(HELLO, *GREETED, *UNDERSTOOD, FIRST, SECOND, open_turn, *spoken))
    assert (left.turn, left.start_ms, left.answers) == ("h2", 6_000, "u1")
    assert left.heard == ("Bikes,", "good.", "Who")
    assert [message.response_text for message in left.rest()] == ["", "buys them?"]
    assert [message.last for message in left.rest()] == [False, True]


def test_an_answer_that_was_cut_off_is_refused() -> None:
    cut = (TurnStarted("h2", "hugo", 6_000, "u1"), TurnEnded("h2", "hugo", 6_000, 6_500, "interrupted"))
    left = unsaid(history(*UNDERSTOOD, FIRST, SECOND, *cut))
    assert (left.messages, left.refused) == ((), frozenset({"u1"}))


def test_words_of_the_voices_own_have_no_rest() -> None:
    left = unsaid(history(TurnStarted("h1", "hugo", 100), Spoken("h1", " Well", 100)))
    assert (left.turn, left.heard, left.answers, left.messages) == ("h1", ("Well",), None, ())


@pytest.mark.parametrize(
    ("bodies", "n_turns", "from_ms"),
    [
        ((), 0, 6_000),
        (UNDERSTOOD, 1, 6_000),
        (UNDERSTOOD[:1], 0, 2_600),  # the user speaks: the whole turn is heard again
        (ASKED, 0, 2_600),  # the turn is over, its words are not there yet
        ((Backchannel("user", "hm", 7_000, 7_500),), 0, 7_500),
        ((*UNDERSTOOD, TurnStarted("u2", "user", 5_200)), 1, 5_000),  # nothing of the turn before
        ((*UNDERSTOOD, TurnStarted("u2", "user", 8_000)), 1, 7_600),
    ],
)
def test_the_user_is_heard_again_from_the_turn_that_is_not_understood(
    bodies: tuple[Body, ...], n_turns: int, from_ms: int
) -> None:
    assert understood_turns(history(*bodies), 9_000) == n_turns
    assert listens_from_ms(history(*bodies), 9_000) == from_ms


def test_words_that_could_not_be_had_are_not_asked_for_again() -> None:
    told = [
        *history(*ASKED),
        Event("voice:notice:recognition_failed:u1", SID, "voice", 1, 9, 0, Notice("recognition_failed", "warning", "")),
    ]
    assert understood_turns(told, 9_000) == 1
    assert understood_turns(history(*ASKED), 20_000) == 1
