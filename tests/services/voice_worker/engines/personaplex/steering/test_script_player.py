"""Which token is forced when: order, bounds, pauses, interruptions, whatever the model samples."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.engines.personaplex.steering.script import FREE, Forcing, Script, ScriptWord
from services.voice_worker.engines.personaplex.steering.script_player import (
    LEAD_IN_LIMIT,
    MAX_SCRIPTS,
    SEAL_FRAMES,
    Dropped,
    Progress,
    ScriptPlayer,
)
from services.voice_worker.engines.personaplex.tokens import EPAD, PAD

HOLD = Forcing(PAD, PAD)
LET_GO = Forcing(FREE, FREE)
CHOICE = Forcing(PAD, EPAD)
ANNOUNCE = Forcing(EPAD, EPAD)
SPEECH = 4000  # sampled when the model wants to say something of its own


def piece(token: int) -> Forcing:
    return Forcing(token, token)


def script(text: str, *, pads: tuple[int, int] = (1, 3), label: str = "h1", ends_turn: bool = True) -> Script:
    """Words of one piece, but of two if they have a hyphen; a piece's id is its first letter's."""
    words = tuple(ScriptWord(word, tuple(ord(part[0]) for part in word.split("-"))) for word in text.split())
    return Script(words, *pads, True, label, ends_turn)


def used(forcing: Forcing, sampled: int) -> int:
    """The token that the device puts in place."""
    token = forcing.on_pad if sampled == PAD else forcing.otherwise
    return sampled if token == FREE else token


class Model:
    """Samples what `sample` returns, and keeps what was planned, used and reported."""

    def __init__(self, player: ScriptPlayer, sample: Callable[[], int] = lambda: PAD) -> None:
        self.player = player
        self.sample = sample
        self.plans: list[Forcing] = []
        self.tokens: list[int] = []
        self.progress: list[Progress] = []

    def run(self, n_frames: int, *, quiet: bool = True) -> list[Forcing]:
        """Run frames; return what was planned for them."""
        for _ in range(n_frames):
            plan = self.player.plan(quiet=quiet)
            token = used(plan, self.sample())
            self.plans.append(plan)
            self.tokens.append(token)
            self.progress.append(self.player.advance(token))
        return self.plans[-n_frames:]

    @property
    def words(self) -> list[str]:
        return [progress.word for progress in self.progress if progress.word]

    @property
    def text(self) -> list[int]:
        return [token for token in self.tokens if token not in (PAD, EPAD)]


def test_a_script_is_announced_spoken_and_over() -> None:
    player = ScriptPlayer(hold_floor=False)
    assert not player.active
    assert player.load(replace(script("a-b c"), allow_interrupt=False)) is None
    assert player.active
    assert not player.interruptible
    model = Model(player)
    plans = model.run(9)
    word_a = [ANNOUNCE, piece(ord("a")), piece(ord("b"))]
    assert plans == [*word_a, HOLD, CHOICE, CHOICE, ANNOUNCE, piece(ord("c")), LET_GO]
    assert model.progress[1] == Progress("h1", "a-b", None, False)
    assert model.progress[2] == Progress(None, None, None, False)
    assert model.progress[7] == Progress(None, "c", "h1", True)
    assert not player.active


def test_the_model_chooses_when_a_word_begins_between_the_bounds() -> None:
    player = ScriptPlayer(hold_floor=False)
    player.load(script("a b", pads=(2, 50)))
    model = Model(player)
    model.run(6)
    assert model.plans[-2:] == [CHOICE, CHOICE]
    model.sample = lambda: SPEECH
    assert model.run(2) == [CHOICE, piece(ord("b"))]
    assert model.tokens[-4:] == [PAD, PAD, EPAD, ord("b")]


def test_without_pads_the_next_word_may_follow_at_once() -> None:
    player = ScriptPlayer(hold_floor=False)
    player.load(script("a b", pads=(0, 3)))
    model = Model(player, lambda: EPAD)
    model.run(4)
    assert model.tokens == [EPAD, ord("a"), EPAD, ord("b")]


def test_pauses_and_emphasis_are_silence_beyond_the_pace() -> None:
    player = ScriptPlayer(hold_floor=False)
    words = (ScriptWord("a", (10,), 0, 4), ScriptWord("b", (11,), 2, 0))
    player.load(Script(words, 1, 3, True))
    plans = Model(player, lambda: PAD).run(13)
    assert plans == [ANNOUNCE, piece(10), *[HOLD] * 7, *[CHOICE] * 2, ANNOUNCE, piece(11)]


def test_a_script_waits_for_quiet_but_not_for_ever() -> None:
    player = ScriptPlayer(hold_floor=False)
    player.load(script("a b"))
    model = Model(player)
    assert model.run(5, quiet=False) == [HOLD] * 5
    assert model.run(1, quiet=True) == [ANNOUNCE]
    assert model.run(5, quiet=False)[2:] == [CHOICE, CHOICE, ANNOUNCE], "inside a script nothing waits for quiet"
    player.clear()
    for _ in range(2):
        player.load(script("a"))
        assert model.run(LEAD_IN_LIMIT + 1, quiet=False) == [HOLD] * LEAD_IN_LIMIT + [ANNOUNCE]
        model.run(3)


def test_a_script_keeps_its_distance_from_what_the_model_said_itself() -> None:
    player = ScriptPlayer(hold_floor=False)
    model = Model(player, lambda: SPEECH)
    model.run(3)
    player.load(script("a", pads=(2, 3)))
    model.sample = lambda: PAD
    assert model.run(5) == [HOLD, HOLD, CHOICE, ANNOUNCE, piece(ord("a"))]


def test_a_turn_of_two_scripts_starts_and_ends_once_with_a_silence_between() -> None:
    player = ScriptPlayer(hold_floor=False)
    player.load(Script((ScriptWord("a", (ord("a"),), 0, 4),), 1, 3, True, "h1", ends_turn=False))
    player.load(script("b"))
    player.load(script("c"))
    model = Model(player)
    model.run(20)
    assert model.tokens[2:10] == [PAD] * 7 + [EPAD]
    assert [p.started for p in model.progress if p.started] == ["h1", "h1"]
    assert [p.ended for p in model.progress if p.ended] == ["h1", "h1"]
    labels = [(p.started, p.word, p.ended) for p in model.progress if p.word]
    assert labels == [("h1", "a", None), (None, "b", "h1"), ("h1", "c", "h1")]


def test_a_script_without_words_can_end_a_turn() -> None:
    player = ScriptPlayer(hold_floor=False)
    player.load(script("", label="h0"))
    player.load(script("a", ends_turn=False))
    model = Model(player)
    model.run(4)
    player.load(script(""))
    model.run(2)
    assert [(p.word, p.ended) for p in model.progress if p.word or p.ended] == [("a", None), (None, "h1")]
    assert not player.active
    assert player.drop() is None


def test_words_that_go_on_with_the_one_before_are_not_reported() -> None:
    player = ScriptPlayer(hold_floor=False)
    player.load(Script((ScriptWord("€5", (10,), 0, 0), ScriptWord("", (11,), 0, 0)), 0, 0, True, "h1"))
    model = Model(player)
    model.run(3)
    assert player.drop() == Dropped("€5", "", "h1")
    assert model.words == ["€5"]


def test_pausing_finishes_the_word_and_keeps_the_place() -> None:
    player = ScriptPlayer(hold_floor=False)
    player.load(script("a-b c"))
    model = Model(player, lambda: SPEECH)
    model.run(2)
    player.pause()
    assert model.run(5) == [piece(ord("b")), *[HOLD] * 4]
    player.resume()
    model.run(2)
    assert model.text == [ord("a"), ord("b"), ord("c")]


def test_pausing_after_an_announcement_announces_again() -> None:
    player = ScriptPlayer(hold_floor=False)
    player.load(script("a"))
    model = Model(player)
    assert model.run(1) == [ANNOUNCE]
    player.pause()
    assert model.run(3) == [HOLD] * 3
    player.resume()
    assert model.run(2) == [ANNOUNCE, piece(ord("a"))]


def test_a_pause_without_a_script_is_silence_too() -> None:
    player = ScriptPlayer(hold_floor=False)
    model = Model(player, lambda: SPEECH)
    player.pause()
    assert model.run(2) == [HOLD, HOLD]
    player.resume()
    assert model.run(1) == [LET_GO]


def test_dropping_tells_what_was_said_and_seals() -> None:
    player = ScriptPlayer(hold_floor=False)
    player.load(script("a b", ends_turn=False))
    player.load(script("c-d e"))
    model = Model(player, lambda: SPEECH)
    while "c-d" not in model.words:
        model.run(1)
    player.pause()
    assert player.drop() == Dropped("a b c-d", "e", "h1")
    assert not player.active
    assert model.run(SEAL_FRAMES + 1) == [HOLD] * SEAL_FRAMES + [LET_GO]
    assert player.drop() is None
    assert model.run(1) == [LET_GO], "nothing was dropped, nothing is sealed"


def test_a_drop_while_the_frame_is_made_is_not_undone_by_it() -> None:
    player = ScriptPlayer(hold_floor=False)
    player.load(script("a b"))
    assert Model(player).run(1) == [ANNOUNCE]
    plan = player.plan(quiet=True)
    assert player.drop() == Dropped("", "a b", "h1"), "an announced word is not said"
    player.load(script("a b"))
    assert player.advance(used(plan, PAD)) == Progress(), 'this "a" was of the script that is gone'
    model = Model(player)
    assert model.run(SEAL_FRAMES) == [HOLD] * SEAL_FRAMES
    model.run(8)
    assert model.words == ["a", "b"]


def test_a_frame_that_was_not_planned_is_the_models_own() -> None:
    player = ScriptPlayer(hold_floor=False)
    player.load(script("a b", pads=(2, 2)))
    model = Model(player)
    model.run(2)
    for token in (PAD, ord("b"), EPAD):
        assert player.advance(token) == Progress()
    assert player.mismatches == 0
    assert model.run(4) == [HOLD, HOLD, ANNOUNCE, piece(ord("b"))]


def test_a_turn_that_waits_for_its_next_script_can_be_dropped() -> None:
    player = ScriptPlayer(hold_floor=False)
    player.load(script("a", ends_turn=False))
    Model(player).run(4)
    assert player.drop() == Dropped("a", "", "h1")


def test_clearing_lets_go_at_once() -> None:
    player = ScriptPlayer(hold_floor=False)
    player.load(script("a-b c"))
    player.pause()
    model = Model(player)
    model.run(2)
    player.clear()
    assert (model.run(1), player.drop()) == ([LET_GO], None)


def test_holding_the_floor_keeps_the_model_silent() -> None:
    player = ScriptPlayer(hold_floor=True)
    model = Model(player, lambda: SPEECH)
    assert model.run(3) == [HOLD] * 3
    player.load(script("a"))
    assert model.run(3) == [ANNOUNCE, piece(ord("a")), HOLD]


def test_the_queue_is_bounded_and_the_oldest_waiting_gives_way() -> None:
    player = ScriptPlayer(hold_floor=False)
    scripts = [script(chr(ord("a") + index), label=str(index), pads=(0, 0)) for index in range(MAX_SCRIPTS + 2)]
    dropped = [player.load(item) for item in scripts]
    assert dropped == [None] * MAX_SCRIPTS + [scripts[1], scripts[2]]
    model = Model(player)
    model.run(2 * MAX_SCRIPTS)
    assert model.words == [item.words[0].text for item in [scripts[0], *scripts[3:]]]


@pytest.mark.parametrize("wrong", [PAD, EPAD, SPEECH])
def test_a_token_that_is_not_as_planned_is_forced_again(wrong: int) -> None:
    player = ScriptPlayer(hold_floor=False)
    player.load(script("a-b c"))
    model = Model(player)
    model.run(2)
    for _ in range(3):
        assert player.plan(quiet=True) == piece(ord("b"))
        assert player.advance(wrong).word is None
    assert player.mismatches == 3
    model.run(8)
    assert model.text == [ord("a"), ord("b"), ord("c")]
    assert player.mismatches == 3


def test_a_broken_seal_or_announcement_is_forced_again() -> None:
    player = ScriptPlayer(hold_floor=False)
    player.load(script("a"))
    assert player.plan(quiet=True) == ANNOUNCE
    player.advance(PAD)
    assert player.plan(quiet=True) == ANNOUNCE
    player.advance(EPAD)
    player.drop()
    model = Model(player)
    player.plan(quiet=True)
    player.advance(SPEECH)
    assert model.run(SEAL_FRAMES + 1) == [HOLD] * SEAL_FRAMES + [LET_GO]
    assert player.mismatches == 2


_WORDS = st.lists(
    st.builds(
        ScriptWord,
        st.just("w"),
        st.lists(st.integers(4, 31999), min_size=1, max_size=4).map(tuple),
        st.integers(0, 2),
        st.integers(0, 18),
    ),
    min_size=1,
    max_size=6,
).map(tuple)
_SCRIPTS = st.lists(st.tuples(_WORDS, st.sampled_from([(3, 8), (1, 6), (0, 3)]), st.booleans()), min_size=1, max_size=3)


@given(_SCRIPTS, st.integers(0, 2**32), st.floats(0, 1), st.floats(0, 1))
def test_whatever_is_sampled_the_words_come_in_order_once_and_in_time(
    parts: list[tuple[tuple[ScriptWord, ...], tuple[int, int], bool]], seed: int, pad_share: float, quiet_share: float
) -> None:
    rng = random.Random(seed)
    player = ScriptPlayer(hold_floor=True)
    words = [word for part, _, _ in parts for word in part]
    bound = 0
    for number, (part, (low, high), ends_turn) in enumerate(parts):
        player.load(Script(part, low, high, True, str(number), ends_turn))
        longest = [word.pads_before + high + 1 + len(word.pieces) + word.pads_after for word in part]
        bound += LEAD_IN_LIMIT + sum(longest)
    tokens: list[int] = []
    reported = 0
    while player.active:
        assert len(tokens) <= bound
        sampled = PAD if rng.random() < pad_share else rng.choice([EPAD, 5, 77, 31999])
        tokens.append(used(player.plan(quiet=rng.random() < quiet_share), sampled))
        reported += player.advance(tokens[-1]).word is not None
    assert [token for token in tokens if token not in (PAD, EPAD)] == [piece for word in words for piece in word.pieces]
    assert reported == len(words)
    assert player.mismatches == 0
    _check_gaps(tokens, parts)


def _check_gaps(tokens: list[int], parts: list[tuple[tuple[ScriptWord, ...], tuple[int, int], bool]]) -> None:
    """Each word is announced once, after at least the pads that it and the word before it want."""
    place = 0
    tail = None
    for part, (low, _), _ in parts:
        for word in part:
            announced = tokens.index(EPAD, place)
            gap = tokens[place:announced]
            assert gap == [PAD] * len(gap)
            assert tail is None or len(gap) >= low + tail + word.pads_before
            place = announced + 1 + len(word.pieces)
            assert tuple(tokens[announced + 1 : place]) == word.pieces
            tail = word.pads_after
    assert place == len(tokens)


_COMMANDS = st.lists(st.sampled_from(["frame", "plan", "load", "pause", "resume", "drop", "glitch"]), max_size=120)


@given(_COMMANDS, st.integers(0, 2**32))
def test_no_order_of_calls_loses_or_repeats_a_word(commands: list[str], seed: int) -> None:
    rng = random.Random(seed)
    player = ScriptPlayer(hold_floor=False)
    loaded: list[str] = []
    said: list[str] = []
    plan = player.plan(quiet=True)
    for command in commands:
        if command == "frame":
            said += [player.advance(used(plan, rng.choice([PAD, PAD, EPAD, 9]))).word or ""]
            plan = player.plan(quiet=rng.random() < 0.5)
        elif command == "plan":
            plan = player.plan(quiet=True)
        elif command == "glitch":
            said += [player.advance(rng.choice([PAD, 9])).word or ""]
            plan = player.plan(quiet=True)
        elif command == "load" and len(loaded) < MAX_SCRIPTS:
            loaded.append(f"w{len(loaded)}-x")
            player.load(script(loaded[-1], label=loaded[-1], ends_turn=rng.random() < 0.5))
        elif command == "drop":
            dropped = player.drop()
            said += dropped.unsaid.split() if dropped else []
        elif command in ("pause", "resume"):
            getattr(player, command)()
    final = player.drop()
    said += final.unsaid.split() if final else []
    assert [word for word in said if word] == loaded
