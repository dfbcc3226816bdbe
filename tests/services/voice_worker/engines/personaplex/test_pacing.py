"""When the next tick is due, and when too many were late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.engines.personaplex.pacing import RESUME_SHARE, STOP_SHARE, TICK_S, WINDOW, Pacer

SLOW, QUICK = 1.5 * TICK_S, TICK_S / 4


def run(pacer: Pacer, took_s: float, n: int, now_s: float = 0.0) -> list[bool]:
    """Run ticks that begin when they are due; return after each whether sessions are admitted."""
    accepting = []
    for _ in range(n):
        now_s += pacer.remaining_s(now_s)
        assert pacer.ticked(now_s, now_s + took_s) is (took_s > TICK_S)
        now_s += took_s
        accepting.append(pacer.accepting)
    return accepting


def test_ticks_are_due_at_a_steady_pace() -> None:
    pacer = Pacer(10.0)
    assert pacer.remaining_s(10.0) == pytest.approx(TICK_S)
    pacer.ticked(10.0 + TICK_S + 0.003, 10.0 + TICK_S + 0.02)  # it began 3 ms late
    assert pacer.remaining_s(10.0 + TICK_S + 0.02) == pytest.approx(TICK_S - 0.02)
    assert pacer.remaining_s(11.0) == 0


def test_a_tick_that_came_early_moves_the_next_one() -> None:
    pacer = Pacer(10.0)
    pacer.ticked(10.03, 10.05)  # every slot had its frame already
    assert pacer.remaining_s(10.05) == pytest.approx(TICK_S - 0.02)


@pytest.mark.parametrize(("began_s", "ended_s"), [(10.08, 10.3), (10.5, 10.51)])
def test_no_burst_makes_up_for_lost_time(began_s: float, ended_s: float) -> None:
    pacer = Pacer(10.0)
    pacer.ticked(began_s, ended_s)
    assert pacer.remaining_s(ended_s) == 0
    pacer.ticked(ended_s, ended_s + 0.01)
    assert pacer.remaining_s(ended_s + 0.01) == pytest.approx(TICK_S - 0.01)


@given(st.lists(st.tuples(st.floats(0, 0.3), st.floats(0.001, 0.3)), min_size=1, max_size=30))
def test_two_ticks_that_are_waited_for_are_never_closer_than_one_tick_but_after_a_late_one(
    ticks: list[tuple[float, float]],
) -> None:
    pacer, now_s, before_s = Pacer(0.0), 0.0, -1.0
    in_time = True
    for delay_s, took_s in ticks:
        began_s = now_s + pacer.remaining_s(now_s) + delay_s
        assert not in_time or began_s >= before_s + TICK_S - 1e-9
        in_time = not pacer.ticked(began_s, began_s + took_s) and delay_s == 0
        before_s, now_s = began_s, began_s + took_s


def test_after_idleness_a_whole_tick_is_left() -> None:
    pacer = Pacer(0.0)
    pacer.idle(5.0)
    assert pacer.remaining_s(5.0) == pytest.approx(TICK_S)


def test_too_many_late_ticks_close_the_door_until_nearly_all_are_in_time_again() -> None:
    pacer = Pacer(0.0)
    n_stop = round(STOP_SHARE * WINDOW)
    assert run(pacer, SLOW, n_stop) == [True] * (n_stop - 1) + [False]
    n_open = WINDOW - round(RESUME_SHARE * WINDOW)
    assert run(pacer, QUICK, n_open, 100.0) == [False] * (n_open - 1) + [True]


def test_a_door_that_closed_opens_when_nobody_talks_any_more() -> None:
    pacer = Pacer(0.0)
    run(pacer, SLOW, WINDOW)
    pacer.idle(100.0)
    assert pacer.accepting
    assert all(run(pacer, SLOW, round(STOP_SHARE * WINDOW) - 1, 100.0)), "and what was late then counts no more"


def test_an_extra_tick_has_to_fit_with_some_room() -> None:
    pacer = Pacer(0.0)
    assert pacer.has_room(0.0)
    assert not pacer.has_room(TICK_S)
    run(pacer, 0.02, 20)
    pacer.idle(50.0)
    assert pacer.has_room(50.0 + TICK_S - 0.025)
    assert not pacer.has_room(50.0 + TICK_S - 0.023)
    run(pacer, 0.06, 40, 60.0)
    pacer.idle(70.0)
    assert not pacer.has_room(70.0 + TICK_S - 0.07)
