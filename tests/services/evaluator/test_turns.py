from __future__ import annotations

import pytest

from services.evaluator.intervals import Interval
from services.evaluator.turns import Draft, Turn, split_backchannels
from shared.events import Speaker, Word


def turn(name: str, speaker: Speaker, start_ms: int, end_ms: int, text: str = "") -> Turn:
    return Turn(name, speaker, start_ms, end_ms, text, "nl", speech=(Interval(start_ms, end_ms),))


def test_every_acknowledgement_in_a_long_story_is_one() -> None:
    """However many turns of their own the listener had meanwhile: the story is still going on."""
    story = turn("h1", "hugo", 0, 60_000, "Dat is een lang verhaal.")
    more = [turn(f"u{n}", "user", 1_000 * n, 1_000 * n + 400, "Ja.") for n in range(1, 12)]
    real, acks = split_backchannels([story, *more])
    assert real == [story]
    assert len(acks) == len(more)


def test_it_leans_on_the_turn_that_ends_last() -> None:
    story = turn("h1", "hugo", 0, 10_000, "Dat is een lang verhaal.")
    aside = turn("h2", "hugo", 2_000, 3_000, "Echt waar.")
    real, acks = split_backchannels([story, aside, turn("u1", "user", 8_000, 8_400, "Ja.")])
    assert [item.id for item in real] == ["h1", "h2"]
    assert [(ack.speaker, ack.interval) for ack in acks] == [("user", Interval(8_000, 8_400))]


@pytest.mark.parametrize(("length_ms", "is_turn"), [(1_000, False), (1_001, True)])
def test_an_acknowledgement_is_short(length_ms: int, is_turn: bool) -> None:
    story = turn("h1", "hugo", 0, 10_000)
    real, _ = split_backchannels([story, turn("u1", "user", 2_000, 2_000 + length_ms, "Ja ja.")])
    assert (len(real) == 2) is is_turn


def test_a_draft_takes_the_better_text_and_ends_where_it_was_told() -> None:
    draft = Draft("u1", "user", "nl", 1_000, 1_000)
    draft.say(2, "Ik wil", (Word("Ik", 1_000, 1_200), Word("wil", 1_800, 2_000)), "nl")
    draft.heard_ms = 2_000
    heard = draft.freeze()
    assert (heard.text, heard.is_open, heard.is_final, heard.ended) == ("Ik wil", True, False, "")
    assert heard.speech == (Interval(1_000, 1_200), Interval(1_800, 2_000))
    draft.say(4, "Ik wil dit.", (), "nl")
    draft.say(2, "Ik wil d", (), "nl")  # comes too late
    draft.end_ms, draft.ended, draft.phase = 2_500, "complete", 2
    done = draft.freeze()
    assert (done.text, done.is_open, done.is_final, done.ended) == ("Ik wil dit.", False, True, "complete")
    assert (done.speech, done.phase, done.said.n_words) == ((Interval(1_000, 2_500),), 2, 3)
