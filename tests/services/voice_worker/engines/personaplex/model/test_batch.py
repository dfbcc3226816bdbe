"""Neighbours in a batch do not notice each other, whatever happens to one of them."""

from __future__ import annotations

import numpy as np

from services.voice_worker.engines.personaplex.inputs import SlotInput
from services.voice_worker.engines.personaplex.steering.script import Forcing
from shared.audio import FRAME_SAMPLES
from tests.services.voice_worker.engines.personaplex.model.conftest import Life, assert_same, life, step, tiny_batch

POISONED = 7


def test_every_slot_says_what_it_would_say_alone() -> None:
    """Eight slots, random masks, sessions that come and go, and one caller who sends no numbers at all."""
    rng = np.random.default_rng(1)
    batch = tiny_batch(8)
    lives: dict[int, Life] = {}
    done: list[Life] = []
    poison = np.full(FRAME_SAMPLES, np.nan, dtype=np.float32)
    for tick in range(36):
        for slot in range(7):
            if slot not in lives and rng.random() < 0.4:
                lives[slot] = life(10 * len(done) + slot + 100 * slot, int(rng.integers(5, 14)))
                lives[slot].begin(batch, slot)
        awake = {slot: one for slot, one in lives.items() if rng.random() < 0.8}
        garbage = SlotInput(poison if tick % 3 else poison * 0 + 1e30, agent=rng.integers(0, 2048, 8))
        outputs = batch.tick({**{slot: one.next_input() for slot, one in awake.items()}, POISONED: garbage})
        for slot, one in awake.items():
            one.heard.append(outputs[slot])
            if one.over:
                done.append(lives.pop(slot))
        if tick % 10 == 9:
            batch.clear(POISONED)
    assert len(done) > 12
    for one in done:
        assert_same(one.heard, one.alone())


def test_a_cleared_slot_is_as_new_after_a_caller_without_numbers() -> None:
    """Nothing of the one before is left, even where it got behind the codec's own guard."""
    batch = tiny_batch(2)
    one = life(1, 5)
    one.begin(batch, 1)
    broken = life(2, 5)
    broken.begin(batch, 0)
    step(batch, {0: broken, 1: one})
    for state in (*batch.codec._states.values(), *batch.generator._states.values()):
        for value in vars(state).values():
            if getattr(value, "is_floating_point", bool)() and value.shape[:1] == (2,):
                value[0] = float("nan")
        cache = getattr(state, "kv_cache", None)
        if cache is not None:
            cache.cache[:, 0] = float("nan")
    outputs = batch.tick({0: broken.next_input(), 1: one.next_input()})
    assert not outputs[0].finite
    assert outputs[1].finite
    one.heard.append(outputs[1])
    fresh = life(3, 6)
    fresh.begin(batch, 0)
    while not fresh.over:
        step(batch, {0: fresh} if one.over else {0: fresh, 1: one})
    assert_same(fresh.heard, fresh.alone())
    assert_same(one.heard, one.alone())


def test_what_is_forced_is_said_and_conditions_the_sound_of_its_frame() -> None:
    batch = tiny_batch(2)
    free, forced = life(4, 12), life(4, 12)
    free.begin(batch, 0)
    forced.begin(batch, 1)
    for number in range(12):
        given = Forcing(on_pad=50 + number, otherwise=50 + number) if number >= 6 else Forcing()
        outputs = batch.tick({0: free.next_input(), 1: SlotInput(forced.sound[number], given)})
        free.heard.append(outputs[0])
        forced.heard.append(outputs[1])
    assert_same(forced.heard[:6], free.heard[:6])
    assert [output.next_text for output in forced.heard[6:]] == [56, 57, 58, 59, 60, 61]
    assert [output.text for output in forced.heard[7:]] == [56, 57, 58, 59, 60]
    assert not np.array_equal(forced.heard[7].agent, free.heard[7].agent)
    assert_same(free.heard, free.alone())


def test_a_choice_depends_on_what_the_model_samples() -> None:
    """PAD goes one way, anything else the other, decided where the sample is."""
    batch = tiny_batch(1)
    one = life(5, 30)
    one.begin(batch, 0)
    undecided = [output.next_text for output in one.alone()]
    twin = life(5, 30)
    twin.begin(batch, 0)
    first = batch.tick({0: SlotInput(twin.sound[0], Forcing(on_pad=11, otherwise=12))})[0]
    assert first.next_text == (11 if undecided[0] == 3 else 12)


def test_warming_up_leaves_nothing_behind() -> None:
    batch = tiny_batch(1)
    batch.warm_up()
    one = life(6, 4)
    one.begin(batch, 0)
    while not one.over:
        step(batch, {0: one})
    assert_same(one.heard, one.alone())
