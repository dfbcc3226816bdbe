"""Turn taking on media time: silences, hints, backchannels, interruptions, and what holds for any input."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.voice_worker.listener.decisions import (
    AcknowledgementFits,
    BackchannelHeard,
    Decision,
    Discarded,
    FalseInterruption,
    InterruptionConfirmed,
    Resumed,
    ShortPause,
    SpeechStarted,
    ThirdSpeechFrame,
    TurnComplete,
    TurnOpened,
)
from services.voice_worker.listener.turns import TurnMachine, TurnSettings
from services.voice_worker.listener.vad import WINDOW_MS


class Talk:
    """Feeds a machine and keeps what it decided, each with the media time at which it was decided."""

    def __init__(self, language: str = "nl", **changes: float) -> None:
        self.machine = TurnMachine(language, TurnSettings(**changes))  # type: ignore[arg-type]
        self.at_ms = 0
        self.made: list[tuple[int, Decision]] = []

    def take(self, decisions: list[Decision]) -> list[Decision]:
        self.made += [(self.at_ms, decision) for decision in decisions]
        return decisions

    def hear(self, ms: int, probability: float) -> list[Decision]:
        end_ms = self.at_ms + ms
        made: list[Decision] = []
        while self.at_ms < end_ms:
            decisions = self.machine.on_window(self.at_ms, probability)
            self.at_ms += WINDOW_MS
            made += self.take(decisions)
        return made

    def speak(self, ms: int) -> list[Decision]:
        return self.hear(ms, 0.95)

    def be_silent(self, ms: int) -> list[Decision]:
        return self.hear(ms, 0.02)

    def hugo(self, speaking: bool, wants_answer: bool = False) -> list[Decision]:
        return self.take(self.machine.on_hugo(speaking, self.at_ms, wants_answer))

    def text(self, pause: int | None, text: str, utterance: int = 1) -> list[Decision]:
        return self.take(self.machine.on_text(utterance, pause, text))

    def hint(self, pause: int, probability: float, utterance: int = 1) -> list[Decision]:
        return self.take(self.machine.on_hint(utterance, pause, probability))

    def kinds(self) -> list[type[Decision]]:
        return [type(decision) for _, decision in self.made]

    def one(self, kind: type[Decision]) -> tuple[int, Decision]:
        found = [pair for pair in self.made if type(pair[1]) is kind]
        assert len(found) == 1, self.made
        return found[0]


def test_a_turn_in_the_clear_opens_at_once_and_ends_after_silence() -> None:
    talk = Talk()
    talk.be_silent(320)
    talk.speak(960)
    talk.be_silent(1_600)
    assert talk.kinds() == [SpeechStarted, TurnOpened, ShortPause, TurnComplete]
    assert talk.one(TurnOpened)[1] == TurnOpened(1, 1, 320, interrupt=False)
    at_ms, done = talk.one(TurnComplete)
    assert done == TurnComplete(1, 1, 320, 1280, interrupt=False)
    assert 800 <= at_ms - 1280 < 800 + WINDOW_MS


@pytest.mark.parametrize(("probability", "silence_ms"), [(0.9, 420), (0.5, 800), (0.1, 1_200)])
def test_the_hint_decides_how_long_silence_must_last(probability: float, silence_ms: int) -> None:
    talk = Talk()
    talk.speak(960)
    talk.be_silent(224)
    talk.hint(1, probability)
    talk.be_silent(1_600)
    at_ms, _ = talk.one(TurnComplete)
    assert silence_ms <= at_ms - 960 < silence_ms + WINDOW_MS


def test_a_late_hint_ends_the_turn_the_moment_it_comes() -> None:
    talk = Talk()
    talk.speak(960)
    talk.be_silent(640)
    assert talk.hint(1, 0.9) == [TurnComplete(1, 1, 0, 960, interrupt=False)]


def test_a_hint_for_an_earlier_pause_counts_for_nothing() -> None:
    talk = Talk()
    talk.speak(960)
    talk.be_silent(320)
    assert Resumed(1, 1280) in talk.speak(320)
    talk.be_silent(640)
    assert talk.hint(1, 0.99) == []
    assert talk.hint(2, 0.99) == [TurnComplete(1, 1, 0, 1600, interrupt=False)]


def test_a_click_is_no_speech() -> None:
    talk = Talk()
    for _ in range(20):
        talk.speak(96)
        talk.be_silent(96)
    assert talk.made == []


def test_soft_speech_within_an_utterance_goes_on() -> None:
    talk = Talk()
    talk.speak(320)
    talk.hear(2_000, 0.4)
    assert talk.kinds() == [SpeechStarted, TurnOpened]


def test_hugo_is_paused_within_three_frames_and_goes_on_after_a_backchannel() -> None:
    talk = Talk()
    talk.hugo(True)
    talk.speak(400)
    at_ms, _ = talk.one(ThirdSpeechFrame)
    assert at_ms <= 240
    talk.be_silent(256)
    made = talk.text(1, "Ja, precies.")
    assert made == [BackchannelHeard(1, "Ja, precies.", 0, 416), FalseInterruption(1, 672)]
    talk.be_silent(2_000)
    assert TurnOpened not in talk.kinds()


def test_words_that_are_no_backchannel_take_the_floor() -> None:
    talk = Talk()
    talk.hugo(True)
    talk.speak(400)
    talk.be_silent(256)
    made = talk.text(1, "Ja maar wacht")
    assert made == [InterruptionConfirmed(1, 1, 672), TurnOpened(1, 1, 0, interrupt=True)]
    talk.be_silent(640)
    assert talk.one(TurnComplete)[1] == TurnComplete(1, 1, 0, 416, interrupt=True)


def test_speech_too_long_for_a_backchannel_takes_the_floor_without_any_text() -> None:
    talk = Talk()
    talk.hugo(True)
    talk.speak(1_200)
    at_ms, _ = talk.one(InterruptionConfirmed)
    assert at_ms <= 1_024


def test_a_partial_with_other_words_takes_the_floor_and_one_without_does_not() -> None:
    talk = Talk()
    talk.hugo(True)
    talk.speak(600)
    assert talk.text(None, "ja") == []
    assert [type(made) for made in talk.text(None, "nee dat klopt niet")] == [InterruptionConfirmed, TurnOpened]


@pytest.mark.parametrize("words", ["", "  ", "..."])
def test_noise_over_hugo_lets_him_go_on(words: str) -> None:
    talk = Talk()
    talk.hugo(True)
    talk.speak(400)
    talk.be_silent(256)
    assert [type(made) for made in talk.text(1, words)] == [Discarded, FalseInterruption]


def test_an_utterance_that_nobody_recognises_is_dropped_in_the_end() -> None:
    talk = Talk()
    talk.hugo(True)
    talk.speak(400)
    talk.be_silent(3_000)
    at_ms, _ = talk.one(FalseInterruption)
    assert 2_000 <= at_ms - 416 < 2_000 + WINDOW_MS
    assert TurnOpened not in talk.kinds()


def test_a_short_word_right_after_hugo_is_a_backchannel_but_an_answer_is_a_turn() -> None:
    for wants_answer, kind in ((False, BackchannelHeard), (True, TurnOpened)):
        talk = Talk()
        talk.hugo(True)
        talk.be_silent(320)
        talk.hugo(False, wants_answer)
        talk.be_silent(128)
        talk.speak(320)
        talk.be_silent(224)
        talk.text(1, "ja")
        assert kind in talk.kinds()
        assert {BackchannelHeard, TurnOpened} - {kind} != set(talk.kinds()) & {BackchannelHeard, TurnOpened}


def test_a_word_that_runs_into_the_end_of_a_question_answers_it() -> None:
    talk = Talk()
    talk.hugo(True)
    talk.speak(160)
    made = talk.hugo(False, wants_answer=True)
    assert made == [TurnOpened(1, 1, 0, interrupt=False)]


def test_later_than_that_a_short_word_is_a_turn() -> None:
    talk = Talk()
    talk.hugo(True)
    talk.hugo(False)
    talk.be_silent(320)
    talk.speak(320)
    assert TurnOpened in talk.kinds()


def test_hugo_who_starts_in_a_pause_yields_when_the_turn_goes_on() -> None:
    talk = Talk()
    talk.speak(960)
    talk.be_silent(320)
    talk.hugo(True)
    talk.speak(320)
    assert talk.kinds()[-2:] == [ThirdSpeechFrame, InterruptionConfirmed]
    talk.be_silent(1_000)
    assert talk.made[-1][1] == TurnComplete(1, 1, 0, 1600, interrupt=True)


def test_a_turn_is_cut_at_the_longest_length_and_the_next_one_follows_at_once() -> None:
    talk = Talk(max_turn_ms=5_000)
    talk.speak(12_000)
    talk.be_silent(1_000)
    ends = [made for _, made in talk.made if isinstance(made, TurnComplete)]
    starts = [made for _, made in talk.made if isinstance(made, TurnOpened)]
    assert [end.continued for end in ends] == [True, True, False]
    assert [start.start_ms for start in starts] == [0, ends[0].end_ms, ends[1].end_ms]


def test_a_long_talker_gets_an_acknowledgement_in_a_pause_and_not_too_often() -> None:
    talk = Talk()
    talk.speak(4_096)
    talk.be_silent(224)
    assert talk.hint(1, 0.1) == [AcknowledgementFits(4_320)]
    talk.speak(1_024)
    talk.be_silent(320)
    assert talk.hint(2, 0.1) == []
    talk.speak(5_024)
    talk.be_silent(384)
    assert talk.kinds().count(AcknowledgementFits) == 2


def test_no_acknowledgement_where_the_turn_sounds_complete_or_is_short() -> None:
    short = Talk()
    short.speak(3_000)
    short.be_silent(384)
    assert AcknowledgementFits not in short.kinds()
    complete = Talk()
    complete.speak(5_000)
    complete.be_silent(224)
    complete.hint(1, 0.9)
    complete.be_silent(384)
    assert AcknowledgementFits not in complete.kinds()


def test_the_end_of_the_session_closes_what_is_open() -> None:
    talk = Talk()
    talk.speak(640)
    assert talk.machine.finish() == [TurnComplete(1, 1, 0, 640, interrupt=False)]
    assert talk.machine.finish() == []


def test_a_jump_ends_the_turn() -> None:
    talk = Talk()
    talk.speak(640)
    assert talk.machine.jump(60_000) == [TurnComplete(1, 1, 0, 640, interrupt=False)]


def test_turn_numbers_go_on_after_a_takeover() -> None:
    machine = TurnMachine("en", TurnSettings(), first_turn=7)
    made = [decision for start in range(0, 320, WINDOW_MS) for decision in machine.on_window(start, 0.9)]
    assert [decision.turn for decision in made if isinstance(decision, TurnOpened)] == [7]


Step = Callable[[Talk], object]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("speak"), st.integers(1, 1_500)),
        st.tuples(st.just("silent"), st.integers(1, 1_500)),
        st.tuples(st.just("hear"), st.floats(0, 1)),
        st.tuples(st.just("hugo"), st.booleans()),
        st.tuples(st.just("text"), st.sampled_from(["", "ja", "hm", "nee wacht", "ja maar ik wil"])),
        st.tuples(st.just("partial"), st.sampled_from(["", "ja", "nee wacht even"])),
        st.tuples(st.just("hint"), st.floats(0, 1)),
    ),
    max_size=40,
)


def play(talk: Talk, steps: list[tuple[str, object]]) -> None:
    for name, value in steps:
        utterance = max([made.utterance for _, made in talk.made if isinstance(made, SpeechStarted)], default=1)
        pause = max([made.pause for _, made in talk.made if isinstance(made, ShortPause)], default=1)
        if name in ("speak", "silent"):
            talk.hear(int(value), 0.9 if name == "speak" else 0.0)  # type: ignore[call-overload]
        elif name == "hear":
            talk.hear(96, float(value))  # type: ignore[arg-type]
        elif name == "hugo":
            talk.hugo(bool(value), wants_answer=not value and talk.at_ms % 2 == 0)
        elif name == "hint":
            talk.hint(pause, float(value), utterance)  # type: ignore[arg-type]
        else:
            talk.text(pause if name == "text" else None, str(value), utterance)
    talk.take(talk.machine.finish())


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_whatever_happens_turns_do_not_overlap_and_everything_is_closed(steps: list[tuple[str, object]]) -> None:
    talk = Talk(max_turn_ms=4_000)
    play(talk, steps)
    open_turn: int | None = None
    open_utterance: int | None = None
    paused = False
    turn, utterance, last_end_ms = 0, 0, 0
    for _, made in talk.made:
        match made:
            case SpeechStarted(number, start_ms, _):
                assert open_utterance is None
                assert number == utterance + 1
                assert start_ms >= last_end_ms
                open_utterance = utterance = number
            case TurnOpened(number, number_of_turn, _, _):
                assert open_turn is None
                assert number == open_utterance
                assert number_of_turn == turn + 1
                open_turn = turn = number_of_turn
            case TurnComplete(number, number_of_turn, start_ms, end_ms, _, _):
                assert number_of_turn == open_turn
                assert number == open_utterance
                assert start_ms < end_ms
                open_turn, open_utterance, last_end_ms, paused = None, None, end_ms, False
            case BackchannelHeard(number, _, start_ms, end_ms) | Discarded(number, start_ms, end_ms):
                assert open_turn is None
                assert number == open_utterance
                assert start_ms < end_ms
                open_utterance, last_end_ms = None, end_ms
            case ThirdSpeechFrame(number, _):
                assert not paused
                assert number == open_utterance
                paused = True
            case FalseInterruption(number, _):
                assert paused
                assert number == utterance
                assert open_turn is None
                paused = False
            case ShortPause(number, _, _) | Resumed(number, _):
                assert number == open_utterance
    assert open_turn is None
    assert open_utterance is None


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_the_same_input_gives_the_same_decisions(steps: list[tuple[str, object]]) -> None:
    one, other = Talk(), Talk()
    play(one, steps)
    play(other, steps)
    assert one.made == other.made
