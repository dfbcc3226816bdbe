"""When the words of a script are said: which text token is forced in each frame. Pure: no clock, no device.

The script decides which word comes, the model when it begins: between the fewest and the most pads a word is
announced as soon as the model samples anything but PAD. `plan` tells how the next frame is forced, before the
model runs; `advance` takes in the token that was really used. Calls between the two are allowed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from services.voice_worker.engines.personaplex.steering.script import FREE, Forcing, Script
from services.voice_worker.engines.personaplex.tokens import EPAD, PAD

MAX_SCRIPTS: Final = 16
LEAD_IN_LIMIT: Final = 12
"""Frames that a script waits for quiet before it begins all the same."""

SEAL_FRAMES: Final = 5
"""PAD frames after a dropped script: the model would else finish the sentence in words of its own."""

BETWEEN_LIMIT: Final = 25
"""PAD frames that an open turn waits for its next script (2 s): the coach sends an answer sentence by sentence."""

_LONG_AGO: Final = 1 << 20


class _Step(Enum):
    """What was planned for a frame."""

    FREE = auto()
    PAD = auto()
    WAIT = auto()
    SEAL = auto()
    CHOICE = auto()
    ANNOUNCE = auto()
    PIECE = auto()


@dataclass(frozen=True, slots=True)
class Progress:
    """What happened in a frame.

    `started` is the label of a turn that begins to sound: with its first script, not with those that follow it.
    `word` is the written word that begins. `ended` is the label of a turn whose last piece was used.
    """

    started: str | None = None
    word: str | None = None
    ended: str | None = None
    interruptible: bool = True


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was left when the floor was taken: words of the current turn said, words not said, the turn's label.

    If no turn had begun, `said` is empty and the label is that of the script that was to come first.
    """

    said: str
    unsaid: str
    label: str


class ScriptPlayer:
    """Forces scripts into one slot, one after the other, at most MAX_SCRIPTS of them.

    `hold_floor` keeps the model from talking of its own accord: PAD is forced whenever there is nothing to say. Without
    it, too, an open turn waits for its next script for up to BETWEEN_LIMIT frames.
    `mismatches` counts frames whose token was not as planned; such a frame is forced again.
    """

    def __init__(self, *, hold_floor: bool) -> None:
        self.mismatches = 0
        self._hold_floor = hold_floor
        self._queue: deque[Script] = deque()
        self._step = _Step.FREE
        self._word = 0  # index into the words of the first script
        self._pieces: int | None = None  # pieces used of that word; None until it is announced
        self._pads = _LONG_AGO  # PAD frames since the last text token
        self._tail = 0  # pads that the last word wants after it
        self._lead_in = 0
        self._seal = 0
        self._paused = False
        self._turn: str | None = None
        self._said: list[str] = []

    @property
    def active(self) -> bool:
        """True while a script is said or waits."""
        return bool(self._queue)

    @property
    def speaking(self) -> bool:
        """True while a turn of the scripts has begun to sound and is not over."""
        return self._turn is not None

    @property
    def goes_on(self) -> bool:
        """True while a turn that has begun to sound has words left, or may still get some."""
        return self._turn is not None and (bool(self._queue) or self._pads < BETWEEN_LIMIT)

    @property
    def interruptible(self) -> bool:
        """False while a script is up that is to be heard to its end."""
        return not self._queue or self._queue[0].allow_interrupt

    def load(self, script: Script) -> Script | None:
        """Queue a script. If MAX_SCRIPTS are there, the oldest behind the first gives way and is returned."""
        dropped = None
        if len(self._queue) >= MAX_SCRIPTS:
            dropped = self._queue[1]
            del self._queue[1]
        self._queue.append(script)
        return dropped

    def clear(self) -> None:
        """Forget all scripts, the turn and a pause, and let go at once."""
        self._queue.clear()
        self._step = _Step.FREE
        self._word = self._tail = self._lead_in = self._seal = 0
        self._pieces = None
        self._paused = False
        self._turn = None
        self._said = []

    def pause(self) -> None:
        """Finish the word that has begun, then force PAD until `resume`, whether or not there is a script."""
        self._paused = True

    def resume(self) -> None:
        """Go on after `pause`."""
        self._paused = False

    def drop(self) -> Dropped | None:
        """Forget all that is not said yet, end a pause, and force PAD for SEAL_FRAMES before letting go.

        A word counts as said from the frame in which its first piece is used. None, and no seal, if no turn had
        begun and nothing waited.
        """
        if not self._queue and self._turn is None:
            self._paused = False
            return None
        label = self._queue[0].label if self._turn is None else self._turn
        words = [word.text for script in self._queue for word in script.words]
        begun = self._word + bool(self._pieces)
        said = "" if self._turn is None else " ".join(self._said)
        unsaid = " ".join(text for text in words[begun:] if text)
        self.clear()
        self._seal = SEAL_FRAMES
        return Dropped(said, unsaid, label)

    def plan(self, *, quiet: bool) -> Forcing:
        """Return how the next frame's text token is forced. `quiet`: neither the model nor the user is heard."""
        self._step = self._next_step(quiet)
        match self._step:
            case _Step.FREE:
                return Forcing(FREE, FREE)
            case _Step.CHOICE:
                return Forcing(PAD, EPAD)
            case _Step.ANNOUNCE:
                return Forcing(EPAD, EPAD)
            case _Step.PIECE:
                piece = self._next_piece()
                return Forcing(piece, piece)
            case _Step.PAD | _Step.WAIT | _Step.SEAL:
                return Forcing(PAD, PAD)

    def advance(self, token: int) -> Progress:
        """Take in the text token that was used in the frame planned last; each planned frame needs one call."""
        step, self._step = self._step, _Step.FREE
        started = word = ended = None
        if step is _Step.PIECE and token == self._next_piece():
            started, word, ended = self._use_piece()
        elif step in (_Step.CHOICE, _Step.ANNOUNCE) and token == EPAD:
            self._pieces = 0
        else:
            self._count(step, token)
        ended = self._skip_empty() or ended
        return Progress(started, word, ended, self.interruptible)

    def _next_step(self, quiet: bool) -> _Step:
        if self._pieces or (self._pieces == 0 and not self._paused):
            return _Step.PIECE
        if self._seal:
            return _Step.SEAL
        if self._paused:
            return _Step.PAD
        if not self._queue or not self._queue[0].words:
            waits = self._turn is not None and self._pads < BETWEEN_LIMIT
            return _Step.PAD if self._hold_floor or waits else _Step.FREE
        return self._step_before_word(self._queue[0], quiet)

    def _step_before_word(self, script: Script, quiet: bool) -> _Step:
        if self._word == 0 and not quiet and self._lead_in < LEAD_IN_LIMIT:
            return _Step.WAIT
        rest = self._tail + script.words[self._word].pads_before
        if self._pads < rest + script.min_pads:
            return _Step.PAD
        return _Step.CHOICE if self._pads < rest + script.max_pads else _Step.ANNOUNCE

    def _next_piece(self) -> int:
        return self._queue[0].words[self._word].pieces[self._pieces or 0]

    def _use_piece(self) -> tuple[str | None, str | None, str | None]:
        """A piece was used as planned. Return what started, the word that begins, what ended."""
        script = self._queue[0]
        word = script.words[self._word]
        started = text = None
        if not self._pieces:
            started = self._begin_turn(script.label)
            text = word.text or None
            self._said += [text] if text else []
        self._pieces = (self._pieces or 0) + 1
        self._pads = 0
        if self._pieces < len(word.pieces):
            return started, text, None
        self._pieces = None
        self._tail = word.pads_after
        self._word += 1
        return started, text, self._end_script(script) if self._word == len(script.words) else None

    def _begin_turn(self, label: str) -> str | None:
        if self._turn == label:
            return None
        self._turn = label
        self._said = []
        return label

    def _end_script(self, script: Script) -> str | None:
        """The first script has nothing left. Return the label of the turn if that is over."""
        self._queue.popleft()
        self._word = self._lead_in = 0
        if not script.ends_turn or self._turn != script.label:
            return None
        self._turn = None
        return script.label

    def _skip_empty(self) -> str | None:
        """Take scripts without words away; one may still end the turn that sounds."""
        ended = None
        while self._queue and not self._queue[0].words:
            ended = self._end_script(self._queue[0]) or ended
        return ended

    def _count(self, step: _Step, token: int) -> None:
        """A frame in which the script did not go on: count its silence, or notice that it is not as planned."""
        if step is _Step.WAIT:
            self._lead_in += 1
        if token == PAD:
            self._pads += 1
            if step is _Step.SEAL:
                self._seal -= 1
            elif step is _Step.PAD:
                self._pieces = None  # an announcement followed by silence is void
        elif token != EPAD:
            self._pads = self._tail = 0
        as_planned = step is _Step.FREE or (token == PAD and step not in (_Step.ANNOUNCE, _Step.PIECE))
        self.mismatches += not as_planned
