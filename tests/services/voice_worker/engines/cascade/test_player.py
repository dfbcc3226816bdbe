"""The queue of what is said next: words, pauses, interruptions."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.engines.cascade.player import Player, Utterance


def utterance(turn: str, text: str, n_frames: int = 4, *, ends: bool = True, closed: bool = True) -> Utterance:
    words = text.split()
    placed = deque((index * n_frames // len(words), word) for index, word in enumerate(words))
    frames = [(b"%d" % index,) for index in range(n_frames)]
    return Utterance(turn, text, ends_turn=ends, frames=frames, words=placed, closed=closed)


def test_gives_out_frames_in_order_and_tells_words_and_turns() -> None:
    player = Player()
    player.add(utterance("h1", "one two", 4))
    ticks = [player.tick() for _ in range(5)]
    assert [tick.packets for tick in ticks] == [(b"0",), (b"1",), (b"2",), (b"3",), None]
    assert [tick.turn_started for tick in ticks] == [True, False, False, False, False]
    assert [tick.turn_ended for tick in ticks] == [False, False, False, True, False]
    assert [tick.words for tick in ticks] == [("one",), (), ("two",), (), ()]
    assert player.heard == "one two"
    assert not player.speaking


def test_two_sentences_of_a_turn_are_one_turn() -> None:
    player = Player()
    player.add(utterance("h1", "one", 2, ends=False))
    player.add(utterance("h1", "two", 2))
    ticks = [player.tick() for _ in range(4)]
    assert [tick.turn_started for tick in ticks] == [True, False, False, False]
    assert [tick.turn_ended for tick in ticks] == [False, False, False, True]
    assert player.heard == "one two"


def test_late_synthesis_is_a_silence_inside_the_turn() -> None:
    player = Player()
    item = utterance("h1", "one two three", 1, closed=False)
    player.add(item)
    assert player.tick().turn_started
    late = player.tick()
    assert (late.packets, late.turn, late.turn_ended) == (None, "h1", False)
    assert player.speaking
    item.frames.append((b"9",))
    item.closed = True
    last = player.tick()
    assert (last.packets, last.turn_ended) == ((b"9",), True)


def test_a_turn_that_is_closed_late_still_ends() -> None:
    player = Player()
    item = utterance("h1", "one", 1, closed=False)
    player.add(item)
    player.tick()
    item.closed = True
    assert player.tick().turn_ended
    assert not player.speaking


def test_an_utterance_without_sound_ends_silently() -> None:
    player = Player()
    player.add(Utterance("h1", "unsayable", ends_turn=True, closed=True))
    tick = player.tick()
    assert not tick.turn_started
    assert not player.busy


def test_a_pause_keeps_the_place() -> None:
    player = Player()
    player.add(utterance("h1", "one two", 4))
    player.tick()
    player.pause()
    assert [player.tick().packets for _ in range(3)] == [None] * 3
    assert player.speaking
    player.resume()
    assert player.tick().packets == (b"1",)


def test_dropping_tells_what_was_heard_and_what_was_not() -> None:
    player = Player()
    player.add(utterance("h1", "one two three four", 8, ends=False))
    player.add(utterance("h1", "five six", 4))
    for _ in range(3):
        player.tick()
    dropped = player.drop()
    assert dropped is not None
    assert (dropped.turn, dropped.heard, dropped.unsaid) == ("h1", "one two", "three four five six")
    assert player.tick().packets is None
    assert player.drop() is None


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 5)), min_size=1, max_size=5), st.integers(0, 30))
def test_every_word_is_either_heard_or_not(shape: list[tuple[int, int]], n_ticks: int) -> None:
    player = Player()
    texts = []
    for number, (n_words, n_frames) in enumerate(shape):
        text = " ".join(f"w{number}.{index}" for index in range(n_words))
        texts.append(text)
        player.add(utterance("h1", text, n_frames, ends=number == len(shape) - 1))
    heard = [word for _ in range(n_ticks) for word in player.tick().words]
    dropped = player.drop()
    unsaid = dropped.unsaid.split() if dropped else []
    if dropped or len(heard) == sum(n for n, _ in shape):
        assert heard + unsaid == " ".join(texts).split()
