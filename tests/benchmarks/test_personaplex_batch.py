"""The contestants do the same work on the same weights, and the figures come out as they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.personaplex_batch import Costs, InTurn, MoshiServer, OneBatch, make_batch, sounds, take_turns, twin
from services.voice_worker.engines.personaplex.inputs import SlotInput
from services.voice_worker.engines.personaplex.model import tiny
from services.voice_worker.engines.personaplex.model.sampling import GREEDY


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def test_a_twin_shares_the_weights_and_nothing_else() -> None:
    mimi = tiny.codec()
    other = twin(mimi)
    other.streaming_forever(1)
    ours = [*mimi.parameters(), *mimi.buffers()]
    theirs = [*other.parameters(), *other.buffers()]
    assert [value.data_ptr() for value in ours] == [value.data_ptr() for value in theirs]
    assert not mimi.is_streaming


def test_the_copy_of_moshis_loop_says_what_our_batch_says() -> None:
    """Greedy, without a prompt, the same weights and sound: the same tokens and the same sound."""
    lm, mimi = tiny.language_model(), tiny.codec()
    server = MoshiServer(lm, mimi, use_sampling=False)
    server.skip_frames = 0
    batch = make_batch(lm, mimi, 2)
    batch.generator.configure(1, GREEDY)
    heard = sounds(20)
    initial = np.full(8, batch.generator.initial[1])
    first = SlotInput(heard[0], user=initial, agent=np.array([-1, *initial[1:]]), silent=True)
    ours = [batch.tick({1: given})[1] for given in (first, *map(SlotInput, heard[1:]))]
    sent = [frame for sound in heard for frame in server.tick([sound])[0]]
    assert len(sent) == 19  # moshi's model sees nothing of the first frame, and its decoder does not hear it
    for theirs, output in zip(sent, ours[1:], strict=True):
        assert theirs.tokens.tolist() == [output.text, *output.agent]
        assert np.abs(theirs.pcm - output.pcm).max() < 1e-5
    assert len({tuple(frame.tokens) for frame in sent}) > 10


def test_sessions_in_turn_say_what_they_say_in_a_batch() -> None:
    lm, mimi = tiny.language_model(), tiny.codec()
    together, alone = OneBatch(lm, mimi, 3), InTurn(lm, mimi, 3)
    assert [single.batch.slots for single in alone.singles] == [1, 1, 1]
    heard = sounds(3)
    outputs = together.tick(heard)
    assert [output.agent.tolist() for output in outputs] == [output.agent.tolist() for output in alone.tick(heard)]


def test_gains_compare_frames_for_the_same_time() -> None:
    batch = Costs(16, wall_ms=[40.0, 20.0, 30.0], cpu_ms=[20.0, 20.0, 20.0])
    single = Costs(1, wall_ms=[10.0], cpu_ms=[8.0])
    assert batch.cpu_gain(single) == pytest.approx(16 * 8 / 20)
    assert batch.wall_gain(single) == pytest.approx(16 * 10 / 30)
    row = batch.row("x", single, single)
    assert row[1:3] == ["30.00", "40.00"]
    assert row[5:8] == ["37.5", "533", "800"]


class Counting:
    def __init__(self) -> None:
        self.sessions: list[int] = []

    def tick(self, sounds: list[np.ndarray]) -> None:
        self.sessions.append(len(sounds))


def test_every_contestant_gets_all_its_measured_ticks() -> None:
    one, other = Counting(), Counting()
    costs, others = Costs(3), Costs(1)
    take_turns([(one, costs), (other, others)], 12)
    assert len(costs.wall_ms) == len(others.cpu_ms) == 12
    assert set(one.sessions) == {3}
    assert len(one.sessions) == len(other.sessions) == 16
