"""Frames are sorted by what the loop did while they waited; what never came is the worst."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.personaplex_prefill import (
    CALLERS,
    Call,
    Caller,
    Sorted,
    Times,
    prompt,
    random_frames,
    sort_frames,
)
from services.voice_worker.engines.personaplex.slot import Conversation
from services.voice_worker.engines.personaplex.steering.words import WordAssembler


def caller(due: list[float], took: list[float | None]) -> Caller:
    made = Caller(Conversation(0, "free", WordAssembler(str)), prompt(200))
    for number, (due_s, took_s) in enumerate(zip(due, took, strict=True)):
        made.next_sound(due_s)
        if took_s is not None:
            made.got[number] = due_s + took_s
    return made


def test_frames_are_sorted_by_whether_a_prefill_overlaps_their_wait() -> None:
    one = caller([0.0, 1.0, 1.9, 2.05, 3.0], [0.02, 0.03, 0.15, 0.01, 0.04])
    frames = sort_frames([one], [(2.0, 2.1), (2.1, 2.2)])
    assert frames.before.ms == pytest.approx([20, 30])
    assert frames.during.ms == pytest.approx([150, 10])
    assert frames.after.ms == pytest.approx([40])
    assert frames.added_ms == pytest.approx(150 - 20)
    assert not frames.fine


def test_a_frame_that_never_came_is_no_good_end() -> None:
    frames = sort_frames([caller([0.0, 1.0], [0.02, None])], [(1.5, 1.6)])
    assert (frames.during.ms, frames.during.lost) == ([], 1)
    assert frames.added_ms == math.inf
    assert not frames.fine
    assert frames.during.row("x", "y")[-1] == "missing"


def test_without_a_prefill_there_is_nothing_to_be_content_with() -> None:
    assert not Sorted(before=Times([1.0])).fine
    assert Sorted(before=Times([1.0]), during=Times([80.0])).fine


def test_a_prompt_has_as_many_positions_as_asked_for() -> None:
    assert prompt(400).n_frames == 400
    assert prompt(400).voice != prompt(400).voice
    assert random_frames(7).shape == (7, 17)


def test_a_running_loop_answers_all_callers_and_notes_a_ninth() -> None:
    torch.set_num_threads(1)
    call = Call(600, 150, 0.0)
    with call.running(0):
        assert call.loop.busy == []
        guest = call.sit(CALLERS)
        call.feed(0.8)
        assert guest.ready.is_set()
    assert call.loop.busy
    assert [len(one.due) for one in call.callers] == [10] * CALLERS
    assert [len(one.got) for one in call.callers] == [10] * CALLERS
    assert sort_frames(call.callers, call.loop.busy).before.lost == 0
