"""What a voice shows of itself: taken, ready, failed, silent."""

from __future__ import annotations

import pytest

from services.edge.fallback.watch import OPEN_LIMIT_S, VoiceWatch
from shared.events import EngineState, Event, Spoken


def _state(state: str, epoch: int, detail: str = "") -> Event:
    return Event("e", "s", "voice", epoch, 0, 0, EngineState(state, "echo", detail))  # type: ignore[arg-type]


def _watch(*events: Event) -> VoiceWatch:
    watch = VoiceWatch(silent_s=5)
    for event in events:
        watch.note(event)
    return watch


@pytest.mark.parametrize(
    ("state", "ready", "failed"),
    [("starting", False, False), ("ready", True, False), ("degraded", True, False), ("failed", False, True)],
)
def test_states_of_the_newest_owner(state: str, ready: bool, failed: bool) -> None:
    watch = _watch(_state(state, 3))
    assert (watch.taken(2), watch.ready(2), watch.failed(2)) == (True, ready, failed)
    assert (watch.taken(3), watch.ready(3), watch.failed(3)) == (False, False, False)


def test_an_older_owner_says_nothing_that_counts() -> None:
    watch = _watch(_state("ready", 3))
    assert not watch.note(_state("failed", 2))
    assert watch.ready(2)
    assert watch.note(_state("failed", 3, "no model"))
    assert (watch.failed(2), watch.detail) == (True, "no model")


def test_any_event_of_an_owner_shows_that_the_request_is_taken() -> None:
    watch = _watch(Event("e", "s", "voice", 1, 0, 0, Spoken("h1", "a", 0)))
    assert watch.taken(0)
    assert not watch.ready(0)


def test_a_newer_owner_is_not_ready_yet() -> None:
    watch = _watch(_state("ready", 1), Event("e", "s", "voice", 2, 0, 0, Spoken("h1", "a", 0)))
    assert not watch.ready(0)


class TestSilence:
    def test_frames_that_are_owed_for_too_long(self) -> None:
        watch = _watch(_state("ready", 1))
        found = [watch.silent(10 + second, 10, second, broker_up=True) for second in range(7)]
        assert found == [False] * 5 + [True] * 2

    def test_a_voice_that_answers_is_never_silent(self) -> None:
        watch = _watch(_state("ready", 1))
        assert not any(watch.silent(100 + s, s, s, broker_up=True) for s in range(60))

    def test_a_client_that_sends_nothing_is_owed_nothing(self) -> None:
        watch = _watch(_state("ready", 1))
        assert not any(watch.silent(10, 7, s, broker_up=True) for s in range(60))
        assert not watch.silent(11, 7, 60, broker_up=True)
        assert watch.silent(12, 7, 65, broker_up=True)

    def test_while_redis_is_away_nothing_counts(self) -> None:
        watch = _watch(_state("ready", 1))
        assert not any(watch.silent(10 + s, 7, s, broker_up=False) for s in range(60))
        assert not watch.silent(100, 7, 63, broker_up=True)

    def test_another_worker_that_takes_over_gets_its_time(self) -> None:
        watch = _watch(_state("ready", 1))
        assert not watch.silent(10, 10, 0, broker_up=True)
        watch.note(_state("migrating", 2))
        assert not watch.silent(60, 10, 6, broker_up=True)
        assert not watch.silent(60, 10, 5 + OPEN_LIMIT_S, broker_up=True)
        assert watch.silent(60, 10, 6 + OPEN_LIMIT_S, broker_up=True)

    def test_a_new_start_forgets_the_old_owner_s_silence(self) -> None:
        watch = _watch(_state("ready", 1))
        assert not watch.silent(10, 10, 0, broker_up=True)
        watch.restart()
        assert not watch.silent(90, 10, 9, broker_up=True)
