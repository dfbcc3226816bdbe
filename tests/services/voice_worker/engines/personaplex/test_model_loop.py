"""The loop's decisions tick by tick, by hand and by its own thread, on the tiny model."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from services.voice_worker.engines.personaplex.model import tiny
from services.voice_worker.engines.personaplex.model.batch import Batch
from services.voice_worker.engines.personaplex.model.codec import BatchCodec
from services.voice_worker.engines.personaplex.model.generator import BatchGenerator
from services.voice_worker.engines.personaplex.model.priming import Prompt
from services.voice_worker.engines.personaplex.model.sampling import Sampling
from services.voice_worker.engines.personaplex.model_loop import ModelLoop, Seat
from services.voice_worker.engines.personaplex.pacing import TICK_S, Pacer
from services.voice_worker.engines.personaplex.primer import Primer
from services.voice_worker.engines.personaplex.slot import Conversation, FrameOut, Phase
from services.voice_worker.engines.personaplex.steering.words import WordAssembler
from shared.audio import FRAME_SAMPLES

QUIET = np.zeros(FRAME_SAMPLES, dtype=np.float32)


class Hand:
    """A loop without its thread: time is what the test says, ticks are taken by hand."""

    def __init__(self, slots: int) -> None:
        torch.set_num_threads(1)
        self.now_s = 100.0
        self.loop = ModelLoop(lambda: batch(slots), pytest.fail, lambda: self.now_s)
        self.loop.batch = batch(slots)
        self.loop.primer = Primer(self.loop.batch)
        self.loop._pacer = Pacer(self.now_s)

    def sit(self, slot: int) -> Guest:
        guest = Guest(slot)
        self.loop.sit(guest.seat)
        while guest.seat.talk.phase is not Phase.LIVE:
            self.loop._turn()
        return guest

    def turn(self, after_s: float = 0.0) -> None:
        self.now_s += after_s
        self.loop._turn()


class Guest:
    """A session that keeps what it was given."""

    def __init__(self, slot: int) -> None:
        self.frames: list[FrameOut] = []
        self.states: list[tuple[str, str]] = []
        talk = Conversation(slot, "free", WordAssembler(tiny.tokenizer().id_to_piece))
        self.seat = Seat(talk, Prompt(None, (5, 6, 7)), Sampling(), self.frames.extend, self._state)
        self._n = 0

    def _state(self, state: str, why: str) -> None:
        self.states.append((state, why))

    def feed(self, n: int = 1) -> None:
        for _ in range(n):
            self.seat.talk.feed(QUIET, f"1-{self._n}")
            self._n += 1

    @property
    def answered(self) -> list[str]:
        return [frame.consumed for frame in self.frames]


def batch(slots: int) -> Batch:
    return Batch(BatchGenerator(tiny.language_model(), slots), BatchCodec(tiny.codec(), slots))


def test_a_slot_is_ready_after_its_prompt_and_told_once() -> None:
    hand = Hand(1)
    guest = hand.sit(0)
    hand.turn()
    assert guest.states == [("ready", "")]


def test_a_tick_begins_when_all_who_talk_have_a_frame() -> None:
    hand = Hand(2)
    first, second = hand.sit(0), hand.sit(1)
    first.feed()
    second.feed()
    assert hand.loop._idle_for() == 0
    hand.turn()
    first.feed()
    assert hand.loop._idle_for() > 0
    second.feed()
    assert hand.loop._idle_for() == 0


def test_who_is_silent_holds_nobody_up_for_longer_than_a_tick() -> None:
    hand = Hand(2)
    first, second = hand.sit(0), hand.sit(1)
    first.feed()
    second.feed()
    hand.turn()
    first.feed()
    hand.turn(TICK_S)
    assert first.answered == ["1-0", "1-1"]
    assert second.answered == ["1-0"]


def test_a_flood_gets_what_is_left_and_delays_nobody() -> None:
    hand = Hand(2)
    flood, other = hand.sit(0), hand.sit(1)
    flood.feed(20)
    other.feed()
    hand.loop._pacer._typical_s = 0.01
    before = len(flood.frames)
    hand.turn()
    assert other.answered == ["1-0"]
    assert flood.answered[before:] == [f"1-{n}" for n in range(before, 20)]  # time stood still: all of them fitted


def test_callers_who_send_at_the_same_time_wait_for_nobody() -> None:
    """The first to come begins the first tick alone; from then on all are answered in the tick of their frame."""
    hand = Hand(3)
    guests = [hand.sit(slot) for slot in range(3)]
    hand.loop._pacer._typical_s = 0.01
    guests[0].feed()
    hand.turn()
    for n in range(1, 4):
        for guest in guests[1:]:
            hand.loop.post(guest.feed)  # comes while the tick runs
        hand.turn()
        assert [len(guest.frames) for guest in guests] == [n, n, n]
        hand.now_s += TICK_S
        guests[0].feed()


def test_no_extra_tick_where_none_fits() -> None:
    hand = Hand(1)
    flood = hand.sit(0)
    flood.feed(5)
    hand.loop._pacer._typical_s = 1.0
    hand.turn()
    assert flood.answered == ["1-0"]


def test_a_slot_that_goes_wrong_is_muted_primed_again_and_talks_on() -> None:
    hand = Hand(1)
    guest = hand.sit(0)
    guest.feed()
    hand.turn()
    guest.seat.talk.trouble = "text_loop"
    hand.turn()
    assert ("restarted", "text_loop") in guest.states
    guest.feed()
    while guest.seat.talk.phase is not Phase.LIVE:
        hand.turn()
    guest.feed()
    hand.turn(TICK_S)
    assert guest.answered == ["1-0", "1-1", "1-2"]
    assert guest.frames[1].pcm is None
    assert guest.frames[2].pcm is not None


def test_who_leaves_is_forgotten() -> None:
    hand = Hand(1)
    guest = hand.sit(0)
    guest.feed()
    hand.loop.leave(guest.seat)
    hand.turn()
    assert guest.frames == []
    assert hand.loop.batch.generator.position(0) == 0


def test_a_slot_may_be_taken_again_before_the_one_who_left_is_told() -> None:
    hand = Hand(1)
    first = hand.sit(0)
    second = hand.sit(0)
    hand.loop.leave(first.seat)
    second.feed()
    hand.turn()
    assert second.answered == ["1-0"]


@pytest.fixture
def thread() -> Iterator[ModelLoop]:
    loop = ModelLoop(lambda: batch(2), pytest.fail)
    loop.start()
    loop.loaded.result(30)
    yield loop
    loop.stop()


def test_the_thread_loads_warms_up_and_answers(thread: ModelLoop) -> None:
    got: queue.Queue[FrameOut] = queue.Queue()
    ready: queue.Queue[str] = queue.Queue()
    talk = Conversation(0, "free", WordAssembler(tiny.tokenizer().id_to_piece))
    seat = Seat(
        talk, Prompt(None), Sampling(), lambda frames: [got.put(f) for f in frames] and None, lambda s, _: ready.put(s)
    )
    thread.post(lambda: thread.sit(seat))
    assert ready.get(timeout=20) == "ready"
    for n in range(5):
        thread.post(lambda n=n: talk.feed(QUIET, f"1-{n}"))  # type: ignore[misc]
    assert [got.get(timeout=20).consumed for _ in range(5)] == [f"1-{n}" for n in range(5)]


def test_work_on_the_model_thread_gives_its_result_or_its_error(thread: ModelLoop) -> None:
    assert thread.call(lambda: 7).result(20) == 7
    with pytest.raises(ZeroDivisionError):
        thread.call(lambda: 1 // 0).result(20)
    assert thread.call(lambda: 8).result(20) == 8


def test_a_batch_that_cannot_be_made_is_told() -> None:
    def fail() -> Batch:
        raise MemoryError("no room")

    loop = ModelLoop(fail, pytest.fail)
    loop.start()
    with pytest.raises(MemoryError, match="no room"):
        loop.loaded.result(20)
    assert not loop.accepting
    loop.stop()
