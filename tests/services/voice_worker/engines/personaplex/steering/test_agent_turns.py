"""Hugo's turns out of frames: when one begins and ends, and what is told."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.engines.base import Unsaid
from services.voice_worker.engines.personaplex.slot import FrameOut
from services.voice_worker.engines.personaplex.steering.agent_turns import (
    NOTHING_UNSAID,
    QUIET_END_FRAMES,
    WORDLESS_END_FRAMES,
    AgentTurns,
    Told,
)
from services.voice_worker.engines.personaplex.steering.script_player import Dropped
from shared.audio import FRAME_MS
from shared.events import Body, CoachToVoice, Interrupted, Spoken, Transcript, TurnEnded, TurnStarted

QUIET = FrameOut(None)
HUM = FrameOut(None, quiet=False)


def word(*words: str, ended: str | None = None) -> FrameOut:
    return FrameOut(None, words=words, quiet=False, ended=ended)


class Telling:
    """Plays frames one after the other and keeps what was told, with the number of its frame."""

    def __init__(self, first_turn: int = 1, unsaid: Unsaid = NOTHING_UNSAID) -> None:
        self.turns = AgentTurns(first_turn, "en", unsaid)
        self.told: list[tuple[int, Told]] = []
        self.n = 0

    def play(self, *frames: FrameOut) -> list[Body]:
        """Return the bodies of the events that these frames made."""
        before = len(self.told)
        for frame in frames:
            self.told += [(self.n, told) for told in self.turns.advance(frame, self.n * FRAME_MS)]
            self.n += 1
        return [told[0] for _, told in self.told[before:]]

    def ends(self) -> list[tuple[int, str]]:
        """Return frame number and reason of each turn's end."""
        return [(n, told[0].reason) for n, told in self.told if isinstance(told[0], TurnEnded)]


def test_a_pause_within_a_script_ends_no_turn() -> None:
    telling = Telling()
    waits = FrameOut(None, goes_on=True)
    telling.play(word("What"), *[waits] * (WORDLESS_END_FRAMES + 1))
    assert telling.turns.speaking
    telling.play(word("now?", ended="u1"), *[QUIET] * QUIET_END_FRAMES)
    assert not telling.turns.speaking


def test_an_answer_of_the_coach_is_a_turn_of_its_own() -> None:
    telling = Telling()
    told = telling.play(word("Well,"), FrameOut(None, words=("Who",), quiet=False, began="u1", goes_on=True))
    assert [body.turn for body in told if isinstance(body, TurnStarted)] == ["h1", "h2"]
    assert [body.answers for body in told if isinstance(body, TurnStarted)] == [None, "u1"]
    assert telling.ends() == [(1, "complete")]


def test_a_turn_that_was_begun_elsewhere_goes_on() -> None:
    unsaid = Unsaid("h2", 800, ("Who", "buys"), "u1", (CoachToVoice("u1", "Who buys them?"),))
    telling = Telling(3, unsaid)
    assert telling.play(*[QUIET] * (QUIET_END_FRAMES + 5)) == []
    last = FrameOut(None, words=("them?",), quiet=False, began="u1", ended="u1")
    told = telling.play(last, *[QUIET] * QUIET_END_FRAMES)
    (final,) = [body for body in told if isinstance(body, Transcript)]
    assert (final.turn, final.text, final.start_ms) == ("h2", "Who buys them?", 800)
    assert [body for body in told if isinstance(body, TurnStarted)] == []


def test_a_turn_that_was_begun_elsewhere_and_has_no_rest_ends() -> None:
    telling = Telling(3, Unsaid("h2", 800, ("Well",)))
    telling.play(*[QUIET] * QUIET_END_FRAMES)
    assert [reason for _, reason in telling.ends()] == ["complete"]


def test_a_turn_begins_with_a_word_and_ends_after_a_silence() -> None:
    telling = Telling(first_turn=3)
    assert telling.play(QUIET, HUM) == []
    assert not telling.turns.speaking
    assert telling.play(word("Well,"), HUM, word("go", "on.")) == [
        TurnStarted("h3", "hugo", 160),
        Spoken("h3", " Well,", 160),
        Spoken("h3", " go", 320),
        Spoken("h3", " on.", 320),
    ]
    assert telling.turns.speaking
    assert telling.play(HUM, *[QUIET] * (QUIET_END_FRAMES - 1)) == []
    assert telling.play(QUIET) == [
        Transcript("h3", "hugo", "Well, go on.", True, 160, 480, "en"),
        TurnEnded("h3", "hugo", 160, 480, "complete"),
    ]
    assert (telling.turns.speaking, telling.turns.heard) == (False, "Well, go on.")
    assert telling.play(*[QUIET] * 60, word("Yes.")) == [
        TurnStarted("h4", "hugo", 76 * FRAME_MS),
        Spoken("h4", " Yes.", 76 * FRAME_MS),
    ]
    assert telling.turns.heard == "Yes."


def test_events_have_names_of_their_own_and_the_time_of_their_frame() -> None:
    telling = Telling()
    telling.play(word("a", "b"), *[QUIET] * 30, word("c"), FrameOut(None, dropped=Dropped("c", "d", "h2")))
    told = [(event_id, media_ms) for _, (_, event_id, media_ms) in telling.told]
    assert told == [
        ("voice:turn_started:h1", 0),
        ("voice:spoken:h1:1", 0),
        ("voice:spoken:h1:2", 0),
        ("voice:transcript:h1:final", QUIET_END_FRAMES * FRAME_MS),
        ("voice:turn_ended:h1", QUIET_END_FRAMES * FRAME_MS),
        ("voice:turn_started:h2", 31 * FRAME_MS),
        ("voice:spoken:h2:1", 31 * FRAME_MS),
        ("voice:interrupted:h2", 32 * FRAME_MS),
        ("voice:transcript:h2:final", 32 * FRAME_MS),
        ("voice:turn_ended:h2", 32 * FRAME_MS),
    ]


def test_a_pause_inside_a_turn_is_no_end() -> None:
    telling = Telling()
    for text in "abc":
        telling.play(FrameOut(None, words=(text,)), *[QUIET] * (QUIET_END_FRAMES - 1))
    telling.play(*[HUM, *[QUIET] * (QUIET_END_FRAMES - 1)] * 2)
    assert telling.ends() == []
    assert telling.turns.heard == "a b c"


def test_a_hum_without_end_is_no_turn() -> None:
    telling = Telling()
    telling.play(word("a"), *[HUM] * 100)
    assert telling.ends() == [(WORDLESS_END_FRAMES, "complete")]


@pytest.mark.parametrize("ended_after", [0, 3])
def test_a_script_that_is_over_ends_the_turn_whatever_still_sounds(ended_after: int) -> None:
    telling = Telling()
    frames = [word("a"), *[HUM] * 30]
    frames[ended_after] = FrameOut(None, words=frames[ended_after].words, quiet=False, ended="u1")
    telling.play(*frames)
    assert telling.ends() == [(ended_after + QUIET_END_FRAMES, "complete")]


def test_who_goes_on_talking_after_a_script_has_the_floor() -> None:
    telling = Telling()
    telling.play(word("a", ended="u1"), *[HUM] * (QUIET_END_FRAMES - 1), word("and"), *[HUM] * 30)
    assert telling.ends() == []
    telling.play(word("b", ended="u2"), *[HUM] * QUIET_END_FRAMES)
    assert [told.turn for told in telling.play(word("c"), *[HUM] * 30)] == ["h2", "h2"], "it is counted anew"
    assert len(telling.ends()) == 1


def test_a_script_that_was_over_before_a_turn_does_not_end_it() -> None:
    telling = Telling()
    telling.play(FrameOut(None, ended="u1"), *[QUIET] * 5, word("a"), *[HUM] * 30)
    assert telling.ends() == []


def test_an_interruption_ends_the_turn_and_tells_what_was_not_said() -> None:
    telling = Telling()
    telling.play(word("one"), HUM)
    cut = FrameOut(None, words=("two",), quiet=False, dropped=Dropped("one two", "three four", "u1"))
    assert telling.play(cut) == [
        Spoken("h1", " two", 160),
        Interrupted("h1", "user", 160, "one two", "three four"),
        Transcript("h1", "hugo", "one two", True, 0, 240, "en"),
        TurnEnded("h1", "hugo", 0, 240, "interrupted"),
    ]
    assert telling.play(*[HUM] * 60) == []


def test_an_interruption_at_the_first_word_ends_the_turn_that_it_began() -> None:
    telling = Telling()
    bodies = telling.play(FrameOut(None, words=("one",), quiet=False, dropped=Dropped("one", "two", "u1")))
    assert [body.kind for body in bodies] == ["turn_started", "spoken", "interrupted", "transcript", "turn_ended"]
    assert not telling.turns.speaking


def test_what_was_dropped_before_it_sounded_is_no_turn() -> None:
    assert Telling().play(FrameOut(None, dropped=Dropped("", "one two", "u1"))) == []


def test_the_end_of_the_session_ends_the_turn() -> None:
    telling = Telling()
    assert list(telling.turns.finish(0)) == []
    telling.play(word("one"), QUIET)
    bodies = [body for body, _, _ in telling.turns.finish(160)]
    assert bodies == [
        Transcript("h1", "hugo", "one", True, 0, 80, "en"),
        TurnEnded("h1", "hugo", 0, 80, "session_ended"),
    ]
    assert list(telling.turns.finish(160)) == []


_FRAMES = st.builds(
    FrameOut,
    st.none(),
    words=st.sampled_from([(), (), (), (), ("w",), ("v", "w")]),
    quiet=st.booleans(),
    ended=st.sampled_from([None, None, "u1"]),
    dropped=st.sampled_from([None] * 9 + [Dropped("", "x", "u1")]),
)


@given(st.lists(st.tuples(_FRAMES, st.integers(1, 15)), min_size=5))
def test_turns_never_overlap_and_hold_every_word(runs: list[tuple[FrameOut, int]]) -> None:
    telling = Telling()
    frames = [frame for frame, n in runs for frame in [frame] * n]
    telling.play(*frames)
    bodies = [told[0] for _, told in telling.told]
    bodies += [body for body, _, _ in telling.turns.finish(telling.n * FRAME_MS)]
    turns = [body.turn for body in bodies if isinstance(body, TurnStarted)]
    assert turns == [f"h{number + 1}" for number in range(len(turns))]
    assert [body.turn for body in bodies if isinstance(body, TurnEnded)] == turns
    assert [body.turn for body in bodies] == sorted((body.turn for body in bodies), key=lambda turn: int(turn[1:]))
    said = " ".join(body.text for body in bodies if isinstance(body, Transcript))
    assert said.split() == [each for frame in frames for each in frame.words]
    spans = [body for body in bodies if isinstance(body, TurnEnded)]
    assert all(span.start_ms <= span.end_ms for span in spans)
    assert all(one.end_ms <= other.start_ms for one, other in pairwise(spans))
