"""Whose turn it is in a scripted call, driven by media time alone."""

from __future__ import annotations

import pytest

from services.command_line.turn_script import Done, Say, TurnRules, TurnScript
from shared.events import Body, Event, Interrupted, TurnEnded, TurnStarted

STEP = 80


class Stage:
    """Plays a script: clips of given lengths, and events at given times."""

    def __init__(self, clips_ms: list[int], rules: TurnRules | None = None) -> None:
        self.script = TurnScript(len(clips_ms), rules)
        self.clips_ms = clips_ms
        self.events: list[tuple[int, Body]] = []
        self.loud: list[tuple[int, int]] = []
        self.said_at: list[int] = []
        self.done_at: int | None = None

    def hugo(self, start_ms: int, end_ms: int, name: str = "h1") -> None:
        self.events.append((start_ms, TurnStarted(name, "hugo", start_ms)))
        self.events.append((end_ms, TurnEnded(name, "hugo", start_ms, end_ms)))

    def user(self, start_ms: int, end_ms: int, noticed_ms: int | None = None, name: str = "u1") -> None:
        self.events.append((start_ms, TurnStarted(name, "user", start_ms)))
        self.events.append((noticed_ms or end_ms, TurnEnded(name, "user", start_ms, end_ms)))

    def play(self, limit_ms: int = 200_000) -> None:
        queued, now = 0, 0
        pending = sorted(self.events, key=lambda pair: pair[0])
        while now < limit_ms and self.done_at is None:
            while pending and pending[0][0] <= now:
                at, body = pending.pop(0)
                self.script.on_event(Event(f"e{at}{body.kind}", "s", "voice", 1, at, 0, body))
            for start, end in self.loud:
                if start <= now < end:
                    self.script.on_loud(now)
            action = self.script.tick(now, queued)
            if isinstance(action, Say):
                self.said_at.append(now)
                queued = self.clips_ms[action.clip]
            elif isinstance(action, Done):
                self.done_at = now
            queued = max(0, queued - STEP)
            now += STEP


def test_the_next_clip_waits_for_the_answer_and_a_gap() -> None:
    stage = Stage([1600, 800])
    stage.user(100, 1500, 1900)
    stage.hugo(2000, 5000)
    stage.user(5500, 6200, 6600, "u2")
    stage.hugo(6700, 8000, "h2")
    stage.play()
    assert stage.said_at[0] == 0
    assert 5400 <= stage.said_at[1] <= 5480
    assert stage.script.outcomes == ["answered", "answered"]
    assert stage.done_at is not None
    assert 8400 <= stage.done_at <= 8480


def test_an_answer_to_the_first_half_of_a_clip_does_not_end_the_wait() -> None:
    stage = Stage([4000])
    stage.user(100, 1000, 1400)
    stage.hugo(1500, 2500)  # Hugo took a pause for the end
    stage.user(2600, 3900, 4300, "u2")
    stage.hugo(4400, 6000, "h2")
    stage.play()
    assert stage.script.outcomes == ["answered"]
    assert stage.done_at is not None
    assert stage.done_at >= 6400


def test_no_answer_at_all_goes_on_after_the_time_out() -> None:
    stage = Stage([800, 800], TurnRules(answer_timeout_ms=3000))
    stage.play()
    assert stage.script.outcomes == ["no_answer", "no_answer"]
    assert stage.said_at[1] - 800 >= 3000
    assert stage.said_at[1] - 800 <= 3000 + 2 * STEP


def test_a_sound_without_turn_events_ends_after_the_quiet() -> None:
    stage = Stage([800], TurnRules(quiet_ms=2000))
    stage.loud.append((900, 3000))
    stage.play()
    assert stage.script.outcomes == ["sound_only"]
    assert stage.done_at is not None
    assert 4900 <= stage.done_at <= 5120


def test_hugo_who_never_stops_is_cut_at_the_limit() -> None:
    stage = Stage([800], TurnRules(max_answer_ms=10_000))
    stage.events.append((1000, TurnStarted("h1", "hugo", 1000)))
    stage.play()
    assert stage.script.outcomes == ["still_speaking"]


def test_an_interrupted_hugo_has_the_floor_no_more() -> None:
    stage = Stage([800])
    stage.user(0, 700)
    stage.events.append((1000, TurnStarted("h1", "hugo", 1000)))
    stage.events.append((1500, Interrupted("h1", "user", 1500)))
    stage.play()
    assert stage.script.outcomes == ["answered"]


def test_the_tail_is_all_that_follows_the_last_clip() -> None:
    stage = Stage([800], TurnRules(tail_ms=1600))
    stage.hugo(900, 60_000)
    stage.play()
    assert stage.script.outcomes == ["tail"]
    assert stage.done_at == 800 + 1600


@pytest.mark.parametrize(("greets", "begins_from"), [(True, 2400), (False, 3000)])
def test_hugo_may_begin(greets: bool, begins_from: int) -> None:
    stage = Stage([800], TurnRules(greeting_ms=3000))
    if greets:
        stage.hugo(500, 2000)
    stage.play()
    assert begins_from <= stage.said_at[0] <= begins_from + STEP


def test_a_script_without_clips_is_over_at_once() -> None:
    assert isinstance(TurnScript(0).tick(0, 0), Done)
