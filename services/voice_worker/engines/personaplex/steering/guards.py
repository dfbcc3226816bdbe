"""Watches one slot's output for a model that is stuck: in a loop, or in silence. Pure; memory is bounded.

Each guard is told of every frame and returns a `Trouble` when it notices one, then holds off for a while.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from services.voice_worker.engines.personaplex.tokens import EPAD, PAD

TroubleReason = Literal["text_loop", "audio_loop", "silence"]

MIN_REPEATS: Final = 4
MIN_LOOP_TOKENS: Final = 12
"""A short phrase must be said more often to be a loop: "no, no, no, no" is none."""

MAX_PHRASE_TOKENS: Final = 24
"""12 words, at two pieces a word."""

GAP_FRAMES: Final = 25
"""After 2 s without text a phrase is not "in a row" with what was said before: "mm-hm" after "mm-hm"."""

STUCK_AUDIO_FRAMES: Final = 50
HOLD_OFF_FRAMES: Final = 125
SILENCE_FRAMES: Final = 50
WINDOW: Final = 64


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something is wrong with the slot's output. `frames` is how long it has gone on: frames or, in text, tokens."""

    reason: TroubleReason
    frames: int


class LoopGuard:
    """Notices a phrase or a sound that is repeated on and on. After firing it is mute for `hold_off` frames."""

    def __init__(self, hold_off: int = HOLD_OFF_FRAMES) -> None:
        self._hold_off = hold_off
        self._recent: deque[int] = deque(maxlen=MAX_PHRASE_TOKENS)
        self._gap = 0  # frames since the last token other than PAD
        self.reset()

    def reset(self) -> None:
        """Forget everything, as for a new session."""
        self._mute = 0
        self._start_over()

    def advance(self, token: int, codes: Sequence[int]) -> Trouble | None:
        """Take in a frame: its text token and its agent codes, shape [8].

        `text_loop`: 1 to 24 tokens, about 12 words, were said MIN_REPEATS times or more in a row and make
        MIN_LOOP_TOKENS or more. `audio_loop`: the same codes for STUCK_AUDIO_FRAMES frames in which text flowed.
        """
        self._mute = max(0, self._mute - 1)
        self._gap = 0 if token != PAD else self._gap + 1
        if self._gap > GAP_FRAMES:
            self._forget_text()
        is_text = token not in (PAD, EPAD)
        if is_text:
            self._add_text(token)
        self._add_codes(tuple(codes), flows=token != PAD)
        trouble = self._judge()
        if trouble is None or self._mute:
            return None
        self._mute = self._hold_off
        self._start_over()
        return trouble

    def _start_over(self) -> None:
        self._forget_text()
        self._gap = 0
        self._codes: tuple[int, ...] = ()
        self._stuck = 0

    def _forget_text(self) -> None:
        self._recent.clear()
        self._runs = [0] * (MAX_PHRASE_TOKENS + 1)  # [p]: tokens in a row that equal the one p tokens earlier

    def _add_text(self, token: int) -> None:
        for size in range(1, len(self._recent) + 1):
            self._runs[size] = self._runs[size] + 1 if self._recent[-size] == token else 0
        self._recent.append(token)

    def _add_codes(self, codes: tuple[int, ...], *, flows: bool) -> None:
        """Count equal frames from the first with text on: silence before a word is no loop."""
        if codes != self._codes or self._gap > GAP_FRAMES:
            self._codes = codes
            self._stuck = 0
        if flows or self._stuck:
            self._stuck += 1

    def _judge(self) -> Trouble | None:
        for size, run in enumerate(self._runs):
            said = run + size
            if run and said >= max(MIN_REPEATS * size, MIN_LOOP_TOKENS):
                return Trouble("text_loop", said)
        if self._stuck >= STUCK_AUDIO_FRAMES:
            return Trouble("audio_loop", self._stuck)
        return None


class SilenceGuard:
    """Notices that a user's turn gets no answer. After firing it is mute for `hold_off` frames, then counts again.

    `limit` is the number of frames in a row with nothing but PAD and quiet audio that is too long.
    """

    def __init__(self, limit: int = SILENCE_FRAMES, hold_off: int = HOLD_OFF_FRAMES) -> None:
        self._limit = limit
        self._hold_off = hold_off
        self.reset()

    def reset(self) -> None:
        """Forget everything, as for a new session: no answer is owed."""
        self._owes = False
        self._frames = 0
        self._mute = 0

    def user_turn_over(self) -> None:
        """The user finished a turn: from now on an answer is owed."""
        self._owes = True
        self._frames = 0

    def user_speaking(self) -> None:
        """The user speaks (again): no answer is owed until the turn is over."""
        self._owes = False
        self._frames = 0

    def advance(self, is_quiet: bool, token: int) -> Trouble | None:
        """Take in a frame: whether its audio is quiet, and its text token. A text token is an answer.

        Sound without text (a breath) is none; it only starts the count anew.
        """
        if token not in (PAD, EPAD):
            self._owes = False
        if self._mute:
            self._mute -= 1
            return None
        if not self._owes or not is_quiet or token != PAD:
            self._frames = 0
            return None
        self._frames += 1
        if self._frames < self._limit:
            return None
        trouble = Trouble("silence", self._frames)
        self._frames = 0
        self._mute = self._hold_off
        return trouble


class RepetitionWindow:
    """The last `size` text tokens other than PAD and EPAD, for a penalty on saying them again."""

    def __init__(self, size: int = WINDOW) -> None:
        self._ids = np.full(size, -1, dtype=np.int64)

    @property
    def ids(self) -> NDArray[np.int64]:
        """A copy of the window, shape [size]: newest last, padded in front with -1."""
        return self._ids.copy()

    def advance(self, token: int) -> None:
        """Take in a frame's text token."""
        if token < 0 or token in (PAD, EPAD):
            return
        self._ids[:-1] = self._ids[1:]
        self._ids[-1] = token

    def reset(self) -> None:
        """Forget everything."""
        self._ids[:] = -1
