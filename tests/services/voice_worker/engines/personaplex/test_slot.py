"""One frame out for each frame in, in order, whatever happens; and what the frames say."""

from __future__ import annotations

import random
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.voice_worker.engines.personaplex import slot
from services.voice_worker.engines.personaplex.slot import Mode, Phase
from services.voice_worker.engines.personaplex.steering.script import Forcing
from services.voice_worker.engines.personaplex.steering.script_player import MAX_SCRIPTS, SEAL_FRAMES, Dropped
from services.voice_worker.engines.personaplex.tokens import AGENT, EPAD, PAD, SILENCE, USER
from shared.events import VoiceMode
from tests.services.voice_worker.engines.personaplex.slot_model import HEARD, OWN, STEPS, Model, live, script

FORGOTTEN = 125  # frames, by a restart


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(get_args(Mode)), st.lists(st.sampled_from(STEPS), min_size=30), st.integers(0, 2**32))
def test_every_frame_is_answered_once_and_in_order(mode: Mode, steps: list[str], seed: int) -> None:
    rng = random.Random(seed)
    model = Model(mode, lambda: rng.choice([PAD, PAD, EPAD, OWN, rng.randrange(10, 99)]))
    for number, step in enumerate(steps):
        model.step(step, number)
        assert model.ids == model.fed[: len(model.out)]
        assert model.talk.backlog <= slot.INBOX_FRAMES
    assert model.drain() == model.fed
    model.stall()
    assert model.ids == model.fed, "nothing is said into the void"


def test_frames_are_answered_with_what_the_model_made_of_them() -> None:
    model = live()
    frames = model.run(3)
    assert [frame.consumed for frame in frames] == model.fed
    assert all(frame.pcm is given.pcm for frame, given in zip(frames, model.inputs[1:], strict=True))
    assert (model.talk.n_frames, model.talk.n_heard, model.talk.n_history) == (3, 3, 3)


def test_frames_that_come_before_the_slot_is_primed_wait_for_it() -> None:
    model = Model()
    model.feed(3)
    assert model.tick(overdue=True) is None
    assert (model.out, model.talk.backlog, model.talk.waits_for_input) == ([], 3, False)
    assert model.drain() == model.fed
    assert all(frame.pcm is not None for frame in model.out)


def test_the_boundary_step_is_for_nobody_s_ears_but_chooses_the_first_token() -> None:
    model = Model("guided", lambda: OWN)
    model.talk.begin(np.full(8, 7), np.full(8, 9))
    assert model.talk.phase is Phase.BOUNDARY
    boundary = model.tick()
    assert boundary is not None
    assert (boundary.silent, boundary.pcm) == (True, None)
    assert np.array_equal([boundary.agent, boundary.user], [[7] * 8, [9] * 8])
    assert (model.out, model.talk.phase, model.talk.n_history) == ([], Phase.LIVE, 0)
    model.sample = lambda: PAD
    assert [frame.words for frame in model.run(2)] == [(), (f"own{OWN}",)]
    assert model.talk.history[0, 0] == OWN
    recent = model.inputs[-1].recent
    assert recent is not None
    assert recent[-2:].tolist() == [-1, OWN]


def test_a_late_frame_is_waited_for_then_silence_is_heard_and_the_answer_kept() -> None:
    model = live()
    model.run(1)
    assert [model.tick() for _ in range(5)] == [None] * 5, "it is not due yet"
    assert [model.tick(overdue=True) for _ in range(slot.GRACE_TICKS)] == [None] * slot.GRACE_TICKS
    heard = model.tick(overdue=True)
    assert heard is not None
    assert not np.any(heard.pcm)
    model.feed(2)
    model.tick()
    assert model.ids == model.fed
    assert [frame.pcm is model.inputs[-2 + i].pcm for i, frame in enumerate(model.out[1:])] == [True, True]
    assert (model.talk.counts.late, model.talk.n_heard) == (1, 2), "the late frame itself is not heard"


def test_nothing_is_late_before_the_first_frame_nor_if_each_comes_in_the_grace_time() -> None:
    model = live()
    model.stall()
    assert not model.talk.waits_for_input
    for _ in range(10):
        model.run(1)
        assert [model.tick(overdue=True) for _ in range(slot.GRACE_TICKS)] == [None] * slot.GRACE_TICKS
    assert len(model.inputs) == 11


def test_held_frames_pay_back_one_by_one() -> None:
    model = live()
    model.run(1)
    model.stall()
    model.feed()
    assert model.tick(overdue=True) is None, "the next one has its grace time"
    model.feed(slot.STALL_FRAMES - 1)
    assert model.talk.backlog == 0
    model.feed(2)
    assert (model.talk.backlog, model.drain()) == (2, model.fed)
    assert model.talk.counts.late == slot.STALL_FRAMES


def test_a_long_stall_stops_the_clock_and_what_was_said_to_nobody_is_forgotten() -> None:
    model = live()
    model.run(1)
    model.stall()
    n_ticks = len(model.inputs)
    assert [model.tick(overdue=True) for _ in range(50)] == [None] * 50
    assert not model.talk.waits_for_input, "nobody waits for somebody who is away"
    frame = model.run(1)[0]
    assert (frame.pcm is model.inputs[n_ticks].pcm, frame.heard_text) == (True, n_ticks + 1)
    assert frame.unplayed == tuple(range(n_ticks + 1 - slot.STALL_FRAMES, n_ticks + 1)), "it was heard"
    assert (model.drain(), model.talk.counts.late, model.talk.waits_for_input) == (model.fed, 0, True)


def test_a_flood_costs_the_oldest_frames() -> None:
    model = live()
    model.feed(slot.INBOX_FRAMES + 3)
    frames = model.talk.collect()
    assert [(frame.consumed, frame.pcm) for frame in frames] == [(entry_id, None) for entry_id in model.fed[:3]]
    assert model.drain() == model.fed[3:]
    assert (model.talk.counts.shed, model.talk.n_heard) == (3, slot.INBOX_FRAMES)


def test_after_the_end_nothing_is_taken_or_given() -> None:
    model = live()
    model.run(2)
    model.stall()
    model.feed()
    model.talk.close()
    model.feed()
    assert (model.talk.collect(), model.tick(overdue=True), model.talk.backlog) == ([], None, 0)


def test_a_restart_mutes_until_the_slot_is_primed_again() -> None:
    model = live()
    model.run(2)
    model.feed(3)
    model.talk.restart()
    model.feed(2)
    assert model.tick(overdue=True) is None
    assert [frame.pcm for frame in model.out[2:]] == [None] * 5
    assert model.begin().run(1)[0].pcm is model.inputs[-1].pcm
    assert (model.drain(), model.talk.counts.muted, model.talk.counts.restarts) == (model.fed, 5, 1)


def test_a_restart_forgets_what_was_held_and_drops_what_was_to_be_said() -> None:
    model = live()
    model.talk.say(script("a b c d e f g h"))
    model.run_until_word()
    model.stall()
    model.talk.restart()
    model.feed(2)
    model.begin()
    first, second = model.out[-2:]
    assert first.dropped is not None
    assert (first.pcm, first.words, first.dropped.unsaid[-5:], second.dropped) == (None, (), "f g h", None)
    assert model.run(1)[0].pcm is model.inputs[-1].pcm
    model.run(20)
    assert model.words == ["a"]


def test_the_history_is_what_was_lived_through_and_a_restart_forgets_its_end() -> None:
    model = live()
    model.run(200)
    lived = [[PAD, *[i] * 8, *HEARD] for i in range(2, 202)]
    assert model.talk.history.tolist() == lived
    kept = model.talk.restart()
    assert kept.tolist() == model.talk.history.tolist() == lived[:-FORGOTTEN]
    model.begin().run(2)
    assert model.talk.history.tolist()[:-2] == lived[:-FORGOTTEN]
    assert model.talk.n_history == 200 - FORGOTTEN + 2
    assert model.talk.restart().shape == (0, 17)


def test_the_history_keeps_the_newest_frames() -> None:
    model = live()
    model.run(slot.HISTORY_FRAMES + 30)
    lived = list(range(32, slot.HISTORY_FRAMES + 32))  # the model counts in its codes
    assert model.talk.history[:, AGENT.start].tolist() == lived
    assert model.talk.n_history == slot.HISTORY_FRAMES + 30
    assert model.talk.restart()[:, AGENT.start].tolist() == lived[:-FORGOTTEN]
    model.begin().run(FORGOTTEN + 1)
    again = list(range(slot.HISTORY_FRAMES + 33, slot.HISTORY_FRAMES + 34 + FORGOTTEN))
    assert model.talk.history[:, AGENT.start].tolist() == [*lived[1:-FORGOTTEN], *again]


@pytest.mark.parametrize("n", [0, 5, slot.HISTORY_FRAMES + 7])
def test_what_was_said_elsewhere_comes_first(n: int) -> None:
    past = np.arange(n)[:, None] + np.zeros(17, np.int64)
    model = Model()
    model.talk.remember(past)
    assert model.talk.history.tolist() == past[-slot.HISTORY_FRAMES :].tolist()
    model.begin().run(1)
    assert model.talk.history[:-1].tolist() == past[1 - slot.HISTORY_FRAMES :].tolist()
    assert model.talk.history[-1, USER].tolist() == list(HEARD)


@given(
    st.lists(st.sampled_from(["frame", "frame", "say", "hold", "go_on", "interrupt"]), min_size=30),
    st.integers(0, 2**32),
)
def test_every_word_of_a_script_is_either_told_or_cut_off(steps: list[str], seed: int) -> None:
    rng = random.Random(seed)
    model = live(sample=lambda: rng.choice([PAD, PAD, PAD, EPAD, OWN]))
    loaded: list[str] = []
    for number, step in enumerate(steps):
        if step == "frame":
            model.run(1)
        elif step != "say":
            model.step(step, number)
        elif len(loaded) < 2 * MAX_SCRIPTS:
            loaded += [f"w{number}", f"x{number}-y"]
            model.talk.say(script(" ".join(loaded[-2:]), label=str(number)))
    model.talk.interrupt()
    model.run(1)
    told = []
    for frame in model.out:
        told += [word for word in frame.words if not word.startswith("own")]
        told += frame.dropped.unsaid.split() if frame.dropped else []
    assert told == loaded


def test_a_script_is_said_word_by_word_and_its_turn_told() -> None:
    model = live()
    model.talk.say(script("a b-c d", label="h7"))
    frames = model.run(16)
    told = [(frame.words, frame.began, frame.ended) for frame in frames if frame.words]
    assert told == [(("a",), "h7", None), (("b-c",), None, None), (("d",), None, "h7")]
    starts = [text in b"abd" and text != EPAD for text in model.texts[1:]]
    assert [bool(frame.words) for frame in frames] == starts, "a word is told with the frame in which it begins"


def test_what_the_model_samples_under_a_script_is_not_said() -> None:
    model = live(sample=lambda: OWN)
    model.talk.say(script("a b"))
    model.run(10)
    assert model.words[:3] == [f"own{OWN}", "a", "b"]
    n_words = len(model.words)
    model.talk.restart()
    model.sample = lambda: PAD
    model.begin().run(5)
    assert len(model.words) == n_words, "half a word is lost"


def test_who_decides_the_words() -> None:
    assert get_args(Mode) == get_args(VoiceMode)
    said = {}
    for mode in get_args(Mode):
        model = live(mode, lambda: OWN)
        model.talk.say(script("a"))
        model.run(40)
        said[mode] = ("a" in model.words, f"own{OWN}" in model.words)
    assert said == {"free": (False, True), "guided": (True, True), "scripted": (True, False)}


def test_an_interruption_is_told_with_the_next_frame_and_the_voice_falls_silent() -> None:
    model = live()
    model.talk.say(script("a b c"))
    model.run_until_word()
    model.talk.interrupt()
    assert model.run(1)[0].dropped == Dropped("a", "b c", "h1")
    assert [frame.dropped for frame in model.run(SEAL_FRAMES)] == [None] * SEAL_FRAMES
    forced = [given.forcing for given in model.inputs[-SEAL_FRAMES - 1 :]]
    assert forced == [Forcing(PAD, PAD)] * SEAL_FRAMES + [Forcing()]


def test_interruptions_are_told_together_and_again_if_nobody_was_there() -> None:
    model = live()
    model.run(1)
    for text, label in (("a b", "h1"), ("c", "h2")):
        model.talk.say(script(text, label=label))
        model.talk.interrupt()
    model.talk.interrupt()
    model.stall()
    model.tick(overdue=True)
    assert [frame.dropped for frame in model.run(2)] == [Dropped("", "a b c", "h1"), None]


def test_a_hold_finishes_the_word_and_keeps_the_place() -> None:
    model = live()
    model.talk.say(script("a-a-a b"))
    model.run_until_word()
    model.talk.hold()
    model.run(10)
    assert (model.words, model.texts[-7:], model.texts.count(ord("a"))) == (["a-a-a"], [PAD] * 7, 3)
    model.talk.go_on()
    model.run(5)
    assert model.words == ["a-a-a", "b"]


def test_a_script_that_must_be_heard_is_deaf_to_the_user_and_only_then() -> None:
    model = live()
    model.talk.say(script("a b", allow_interrupt=False))
    for _ in range(12):
        model.talk.interrupt()
        model.talk.hold()
        model.run(1)
    assert (model.words, [frame.dropped for frame in model.out]) == (["a", "b"], [None] * 8 + [Dropped("", "", "")] * 4)
    deaf = [given.user is not None and tuple(given.user) == SILENCE for given in model.inputs[1:]]
    first, last = model.texts.index(ord("a")), model.texts.index(ord("b"))
    assert deaf == [first <= index < last for index in range(1, 13)]
    assert all(given.pcm is not None for given in model.inputs[1:]), "the codec's clock goes on"


def test_a_stale_script_is_forgotten_unless_it_sounds() -> None:
    model = live()
    model.talk.say(script("a b"))
    model.talk.forget_scripts()
    model.talk.say(script("c d"))
    model.run_until_word()
    model.talk.forget_scripts()
    model.run(5)
    assert model.words == ["c", "d"]


@pytest.mark.parametrize(
    ("level", "token", "quiet"),
    [(0.0, PAD, True), (slot.QUIET_RMS / 2, PAD, True), (0.1, PAD, False), (0.0, OWN, False), (0.0, EPAD, False)],
)
def test_a_frame_is_quiet_without_sound_and_without_a_word(level: float, token: int, quiet: bool) -> None:
    model = live(sample=lambda: token)
    model.level = level
    assert [frame.quiet for frame in model.run(slot.CALM_FRAMES)] == [quiet] * slot.CALM_FRAMES
    assert model.talk.calm is quiet


def test_it_is_not_calm_while_somebody_speaks_or_is_about_to() -> None:
    model = live()
    calm = [model.run(1) and model.talk.calm for _ in range(slot.CALM_FRAMES)]
    assert calm == [False] * (slot.CALM_FRAMES - 1) + [True]
    model.talk.user_speaks(True)
    assert not model.talk.calm
    model.talk.user_turn_over()
    assert model.talk.calm
    model.talk.say(script("a"))
    assert not model.talk.calm


@pytest.mark.parametrize("speaks", ["user", "hugo"])
def test_a_script_waits_for_quiet(speaks: str) -> None:
    model = live()
    model.level = 0.1 if speaks == "hugo" else 0.0
    model.talk.user_speaks(speaks == "user")
    model.run(1)
    model.talk.say(script("a"))
    model.run(6)
    assert model.words == []
    model.level = 0.0
    model.talk.user_speaks(False)
    model.run(5)
    assert model.words == ["a"]


def test_a_loop_is_trouble_but_a_script_may_repeat_itself() -> None:
    model = live(sample=lambda: OWN)
    model.run(20)
    assert model.talk.trouble == "text_loop"
    model.talk.restart()
    model.begin().run(20)
    assert model.talk.trouble == "text_loop", "the watch began anew"
    model.talk.restart()
    model.sample = lambda: PAD
    model.begin().talk.say(script("no " * 20))
    model.run(90)
    assert (model.words.count("no"), model.talk.trouble) == (20, None)


@pytest.mark.parametrize(
    ("mode", "level", "trouble"),
    [("free", 0.0, "silence"), ("guided", 0.0, "silence"), ("guided", 0.1, None), ("scripted", 0.0, None)],
)
def test_silence_is_trouble_where_the_voice_owes_an_answer(mode: Mode, level: float, trouble: str | None) -> None:
    model = live(mode, silence_limit_frames=10)
    model.level = level
    model.run(30)
    model.talk.user_turn_over()
    model.talk.user_speaks(True)
    model.run(30)
    assert model.talk.trouble is None
    model.talk.user_turn_over()
    model.run(10)
    assert model.talk.trouble == trouble
    model.talk.restart()
    model.begin().run(150)
    assert model.talk.trouble is None, "an answer is owed once"


def test_numbers_that_are_none_are_trouble_and_not_played() -> None:
    model = live()
    model.finite, model.level = False, float("nan")
    frame = model.run(1)[0]
    assert (frame.pcm, frame.quiet, model.talk.trouble) == (None, True, "not_finite")
