from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from services.evaluator import timeline as module
from services.evaluator.intervals import Interval
from services.evaluator.timeline import Timeline, TimelineBuilder, without_parts
from shared.events import (
    Backchannel,
    Event,
    MetricsUpdated,
    Prosody,
    ProsodyMeasured,
    Spoken,
    Transcript,
    TurnEnded,
    TurnStarted,
)


def built(events: list[Event]) -> TimelineBuilder:
    builder = TimelineBuilder()
    for event in events:
        builder.add(event)
    return builder


def test_the_role_play_has_its_turns_backchannel_and_cut(role_play: list[Event]) -> None:
    timeline = built(role_play).snapshot()
    assert [turn.id for turn in timeline.turns_of("user")] == [f"u{n}" for n in range(1, 10)]
    assert [turn.id for turn in timeline.turns_of("hugo")] == [f"h{n}" for n in range(1, 10)]
    assert [(cut.turn, cut.by) for cut in timeline.cuts] == [("h6", "user")]
    assert [(ack.speaker, ack.text) for ack in timeline.backchannels] == [("user", "ja")]
    assert (timeline.language, timeline.locale, timeline.belgian, timeline.is_ended) == ("nl", "nl-BE", True, True)


def test_an_event_seen_twice_changes_nothing(role_play: list[Event]) -> None:
    once = built(role_play)
    for event in role_play:
        assert once.add(event) in {"seen", "stale"}
    assert once.snapshot() == built(role_play).snapshot()
    doubled = [event for event in role_play for _ in range(2)]
    assert built(doubled).snapshot() == built(role_play).snapshot()


def test_asking_in_between_changes_nothing(role_play: list[Event]) -> None:
    whole = built(role_play).snapshot()
    for seed in range(5):
        dice = random.Random(seed)
        builder = TimelineBuilder()
        for event in role_play:
            builder.add(event)
            if dice.random() < 0.3:
                builder.snapshot()
        assert builder.snapshot() == whole


def test_an_older_owner_is_not_heard_any_more(scene: Any) -> None:
    scene.epoch = 2
    scene.user(1, 1_000, "Goeiemorgen")
    late = scene.add(TurnStarted("u9", "user", 9_000), "voice:turn_started:u9", 9_000, epoch=1)
    builder = built(scene.events[:-1])
    before = builder.snapshot()
    assert builder.add(late) == "stale"
    assert builder.snapshot() == before
    # Epochs are each role's own: an older number of another role is not old.
    assert builder.add(replace(late, source="coach", id="coach:x")) == "taken"


def test_its_own_events_are_passed_over(scene: Any) -> None:
    own = scene.add(MetricsUpdated(()), "evaluator:metrics:5", 5, "evaluator")
    builder = TimelineBuilder()
    assert builder.add(own) == "own"
    assert builder.snapshot() == Timeline()


def test_a_partial_gives_way_to_the_next_and_to_the_final_text(scene: Any) -> None:
    scene.add(TurnStarted("u1", "user", 1_000), "a", 1_000)
    for n, text in enumerate(("Ik", "Ik wil", "Ik wil dat")):
        scene.add(Transcript("u1", "user", text, False, 1_000, 1_500 + n, "nl"), f"p{n}", 1_500)
    builder = built(scene.events)
    turn = builder.snapshot().turns[0]
    assert (turn.text, turn.is_open, turn.is_final, turn.end_ms) == ("Ik wil dat", True, False, 1_502)
    builder.add(scene.add(TurnEnded("u1", "user", 900, 2_000), "b", 2_400))
    builder.add(scene.add(Transcript("u1", "user", "Ik wil dit.", True, 1_000, 2_000, "nl"), "c", 2_400))
    builder.add(scene.add(Transcript("u1", "user", "Ik wil", False, 1_000, 1_700, "nl"), "late", 2_500))
    turn = builder.snapshot().turns[0]
    assert (turn.text, turn.is_open, turn.is_final, turn.interval) == ("Ik wil dit.", False, True, Interval(900, 2_000))


def test_pauses_between_words_are_no_speech(scene: Any) -> None:
    scene.user(1, 1_000, "een twee drie", word_ms=200, gap_ms=100, pauses={1: 900})
    turn = built(scene.events).snapshot().turns[0]
    assert turn.speech == (Interval(1_000, 1_500), Interval(2_500, 2_700))


def test_a_turn_without_word_times_is_speech_throughout(scene: Any) -> None:
    end = scene.user(1, 1_000, "een twee drie", pauses={1: 900}, timed=False)
    assert built(scene.events).snapshot().turns[0].speech == (Interval(1_000, end),)


def test_spoken_words_stand_in_until_the_transcript_comes(scene: Any) -> None:
    scene.add(TurnStarted("h1", "hugo", 500), "a", 500)
    scene.add(Spoken("h1", " Dag", 500), "b", 500)
    scene.add(Spoken("h1", " allemaal", 900), "c", 900)
    turn = built(scene.events).snapshot().turns[0]
    assert (turn.text, turn.end_ms, turn.is_open) == ("Dag allemaal", 900, True)


@pytest.mark.parametrize(
    ("question", "gap_ms", "text", "is_turn"),
    [
        (False, 200, "Ja ja", False),
        (False, 400, "Ja ja", True),  # too late after Hugo
        (True, 200, "Ja", True),  # an answer
        (False, 200, "Ja maar", True),  # "maar" is not on the list
        (False, 200, "Nee", True),
    ],
)
def test_a_short_turn_that_only_acknowledges_is_no_turn(
    scene: Any, question: bool, gap_ms: int, text: str, is_turn: bool
) -> None:
    end = scene.hugo(1, 500, "Dat is zo, klopt dat?" if question else "Dat is zo bij ons.")
    scene.user(1, end + gap_ms, text, word_ms=200)
    timeline = built(scene.events).snapshot()
    assert bool(timeline.turns_of("user")) is is_turn
    assert bool(timeline.backchannels) is not is_turn


def test_emotion_and_confidence_are_dropped_at_the_door(scene: Any) -> None:
    scene.add(ProsodyMeasured("u1", 0, 900, Prosody(0.4, "frustrated", 0.7)), "a", 900)
    assert built(scene.events).snapshot().prosody[0].prosody == Prosody(None, None, 0.7)


def test_cuts_are_told_once_whoever_tells_them(scene: Any) -> None:
    scene.hugo(1, 500, "Dit is een lang verhaal over van alles", cut_at_ms=1_500)
    scene.user(1, 1_400, "Wacht even", interrupts=True)
    scene.add(TurnEnded("u2", "user", 5_000, 6_000, "interrupted"), "x", 6_000)
    cuts = built(scene.events).snapshot().cuts
    assert [(cut.turn, cut.by) for cut in cuts] == [("h1", "user"), ("u2", "hugo")]


def test_a_turn_that_took_the_floor_is_a_cut_even_if_nobody_else_said_so(scene: Any) -> None:
    scene.hugo(1, 500, "Dit is een verhaal")
    scene.user(1, 1_400, "Wacht even", interrupts=True)
    assert [(cut.turn, cut.by) for cut in built(scene.events).snapshot().cuts] == [("h1", "user")]


def test_more_events_than_the_bound_are_left_out_and_counted(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EVENTS", 3)
    for n in range(5):
        scene.add(Backchannel("user", "ja", n, n + 1), f"b{n}", n)
    builder = built(scene.events)
    assert builder.n_left_out == 4  # two events opened the scene
    assert len(builder.snapshot().backchannels) == 1


def test_the_span_runs_from_the_first_speech_to_the_last(role_play: list[Event]) -> None:
    timeline = built(role_play).snapshot()
    assert timeline.span.start_ms == 500
    assert timeline.span.end_ms == max(turn.end_ms for turn in timeline.turns)
    assert Timeline().span.length_ms == 0


def test_a_verdicts_phase_is_the_turns(scene: Any) -> None:
    scene.user(1, 1_000, "Goeiemorgen")
    builder = built(scene.events)
    before = builder.snapshot()
    builder.set_phase("u1", 2)
    builder.set_phase("nobody", 3)
    assert builder.snapshot() == replace(before, turns=(replace(before.turns[0], phase=2),))
    # What is heard of the turn later does not lose it.
    builder.add(scene.add(TurnEnded("u1", "user", 1_000, 2_000), "late", 2_400))
    assert builder.snapshot().turns[0].phase == 2
    builder.set_phase("u1", None)
    assert builder.snapshot().turns[0].phase is None


def test_stretches_of_a_measured_turn_give_way_to_it(scene: Any) -> None:
    stretches = [ProsodyMeasured("u1", at, at + 1_000, Prosody(), quality=0.5) for at in (0, 1_000, 2_000)]
    whole = ProsodyMeasured("u1", 0, 2_800, Prosody(), quality=0.9)
    other = ProsodyMeasured("u2", 500, 1_000, Prosody(), quality=0.5)
    for orders in ([*stretches, whole, other], [whole, other, *stretches]):
        scene.events.clear()
        for number, body in enumerate(orders):
            scene.add(body, f"p{number}", 3_000)
        assert built(scene.events).snapshot().prosody == (whole, other)
    assert without_parts(stretches) == stretches


def test_it_is_known_how_far_the_session_was_heard(scene: Any) -> None:
    scene.add(TurnStarted("u1", "user", 900), "a", 1_060)
    assert built(scene.events).snapshot().until_ms == 1_060
