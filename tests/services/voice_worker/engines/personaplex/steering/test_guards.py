"""Watchdogs of a slot: loops, silence, and the window of the repetition penalty."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.engines.personaplex.steering.guards import (
    GAP_FRAMES,
    HOLD_OFF_FRAMES,
    MAX_PHRASE_TOKENS,
    STUCK_AUDIO_FRAMES,
    LoopGuard,
    RepetitionWindow,
    SilenceGuard,
    Trouble,
)
from services.voice_worker.engines.personaplex.tokens import EPAD, PAD


class Slot:
    """Feeds a LoopGuard with text tokens; the audio is new in every frame."""

    def __init__(self, guard: LoopGuard) -> None:
        self.guard = guard
        self.frame = 0

    def say(self, tokens: list[int], pads: int = 0) -> list[Trouble]:
        found: list[Trouble | None] = []
        for token in tokens:
            for each in [token, *[PAD] * pads]:
                self.frame += 1
                found.append(self.guard.advance(each, [self.frame % 2048] * 8))
        return [trouble for trouble in found if trouble]


@pytest.mark.parametrize("size", [3, 4, 12, MAX_PHRASE_TOKENS])
@pytest.mark.parametrize("pads", [0, 3])
def test_a_phrase_said_four_times_is_a_loop(size: int, pads: int) -> None:
    phrase = list(range(10, 10 + size))
    slot = Slot(LoopGuard())
    assert slot.say([7, 8, *phrase * 3, *phrase[:-1]], pads) == []
    assert slot.say(phrase[-1:], pads) == [Trouble("text_loop", 4 * size)]


@pytest.mark.parametrize(("phrase", "harmless"), [([10], 11), ([10, 11], 5)])
def test_a_short_phrase_may_be_said_more_often(phrase: list[int], harmless: int) -> None:
    slot = Slot(LoopGuard())
    assert slot.say(phrase * harmless) == []
    assert slot.say(phrase) == [Trouble("text_loop", 12)]


def test_padding_does_not_hide_a_loop() -> None:
    assert len(Slot(LoopGuard()).say([PAD, EPAD, 10, 11, PAD, EPAD, PAD, 12] * 4)) == 1


def test_text_that_varies_is_no_loop() -> None:
    phrase = list(range(10, 20))
    slot = Slot(LoopGuard())
    assert slot.say([token for n in range(8) for token in [*phrase, 100 + n]]) == []
    assert slot.say(list(range(10, 11 + MAX_PHRASE_TOKENS)) * 6) == []


def test_the_same_words_with_silences_between_are_no_loop() -> None:
    slot = Slot(LoopGuard())
    assert slot.say([10, 11, *[PAD] * (GAP_FRAMES + 1)] * 8) == []
    assert slot.say([10, 11, *[PAD] * GAP_FRAMES] * 6) != []


def test_a_guard_holds_off_after_firing() -> None:
    slot = Slot(LoopGuard())
    assert len(slot.say([10, 11, 12] * 4)) == 1
    assert slot.say([10] * (HOLD_OFF_FRAMES - 1)) == []
    assert [trouble.reason for trouble in slot.say([10] * 2)] == ["text_loop"]


def test_a_loop_counts_from_the_start_after_firing() -> None:
    slot = Slot(LoopGuard(hold_off=5))
    assert len(slot.say([10, 11, 12] * 4)) == 1
    assert slot.say([10, 11, 12] * 3) == []
    assert slot.say([10, 11, 12]) == [Trouble("text_loop", 12)]


def test_reset_forgets_words_and_hold_off() -> None:
    slot = Slot(LoopGuard())
    slot.say([10, 11, 12] * 3)
    slot.guard.reset()
    assert slot.say([10, 11, 12] * 3) == []
    assert len(slot.say([10, 11, 12])) == 1
    slot.guard.reset()
    assert len(slot.say([10, 11, 12] * 4)) == 1


def stuck(guard: LoopGuard, n_frames: int, text_every: int, first: int = 0) -> list[int]:
    """Repeat one audio frame; every `text_every` frames there is a text token. Return the frames that fire."""
    tokens = [1000 + frame if frame % text_every == 0 else PAD for frame in range(first, first + n_frames)]
    return [frame for frame, token in enumerate(tokens) if guard.advance(token, np.arange(8).tolist())]


def test_a_sound_that_stands_still_while_text_flows_is_a_loop() -> None:
    assert stuck(LoopGuard(), STUCK_AUDIO_FRAMES, 4) == [STUCK_AUDIO_FRAMES - 1]
    assert LoopGuard(hold_off=0).advance(PAD, ()) is None


def test_silence_without_text_is_no_loop_and_does_not_count_when_text_begins() -> None:
    guard = LoopGuard()
    assert stuck(guard, 500, 10_000, first=1) == []
    assert stuck(guard, STUCK_AUDIO_FRAMES - 1, 4) == []
    assert stuck(guard, 1, 1) == [0]


def test_text_that_dried_up_is_no_flow() -> None:
    guard = LoopGuard()
    assert stuck(guard, 500, GAP_FRAMES + 2) == []
    assert stuck(LoopGuard(), 500, GAP_FRAMES + 1) != []


def test_audio_that_changes_in_time_is_no_loop() -> None:
    guard = LoopGuard()
    for _ in range(5):
        assert stuck(guard, STUCK_AUDIO_FRAMES - 1, 4) == []
        guard.advance(9, [5] * 8)


def quiet(guard: SilenceGuard, n_frames: int) -> list[int]:
    return [frame for frame in range(n_frames) if guard.advance(True, PAD)]


def test_a_turn_without_an_answer_is_noticed() -> None:
    guard = SilenceGuard(limit=10, hold_off=5)
    assert quiet(guard, 100) == [], "nothing is owed"
    guard.user_turn_over()
    assert quiet(guard, 10) == [9]
    assert quiet(guard, 14) == [], "held off, then counted from the start"
    assert quiet(guard, 1) == [0]


def test_what_is_said_or_asked_first_ends_the_wait() -> None:
    guard = SilenceGuard(limit=10)
    guard.user_turn_over()
    assert quiet(guard, 9) == []
    assert guard.advance(True, 77) is None
    assert quiet(guard, 100) == [], "an answer was given"
    guard.user_turn_over()
    assert quiet(guard, 9) == []
    guard.user_speaking()
    assert quiet(guard, 100) == []
    guard.user_turn_over()
    assert quiet(guard, 9) == []
    guard.reset()
    assert quiet(guard, 100) == []


@pytest.mark.parametrize(("is_quiet", "token"), [(False, PAD), (True, EPAD)])
def test_a_sound_or_an_announcement_starts_the_count_anew(is_quiet: bool, token: int) -> None:
    guard = SilenceGuard(limit=10)
    guard.user_turn_over()
    assert quiet(guard, 9) == []
    assert guard.advance(is_quiet, token) is None
    assert quiet(guard, 10) == [9]


def test_an_answer_in_the_hold_off_counts() -> None:
    guard = SilenceGuard(limit=3, hold_off=5)
    guard.user_turn_over()
    assert quiet(guard, 3) == [2]
    guard.advance(False, 77)
    assert quiet(guard, 50) == []


@given(st.lists(st.integers(-2, 50), max_size=40), st.integers(1, 8))
def test_the_window_holds_the_last_text_tokens(tokens: list[int], size: int) -> None:
    window = RepetitionWindow(size)
    for token in tokens:
        window.advance(token)
    kept = [token for token in tokens if token > 0 and token != PAD][-size:]
    assert window.ids.tolist() == [-1] * (size - len(kept)) + kept
    assert window.ids.dtype == np.int64


def test_the_window_is_of_64_can_be_cleared_and_is_not_shared() -> None:
    window = RepetitionWindow()
    window.advance(7)
    window.ids[:] = 5
    assert window.ids.tolist() == [-1] * 63 + [7]
    window.reset()
    assert window.ids.tolist() == [-1] * 64
