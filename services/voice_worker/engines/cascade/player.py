"""What is said next, frame by frame: a queue of utterances with their words. Pure: no clock, no sound card.

Frames are encoded before they come here, so giving one out costs nothing. A word counts as heard from the
frame in which it begins to sound; pausing keeps the place, dropping tells what was heard and what was not.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from services.voice_worker.engines.base import Packets


@dataclass(slots=True)
class Utterance:
    """A stretch of Hugo's speech that grows while it is synthesised.

    `words` holds (frame number, text) pairs, frames counted from the utterance's first; `turn` is Hugo's turn.
    `closed` means that no more frames will come; `ends_turn` that the turn is over after it.
    """

    turn: str
    text: str
    allow_interrupt: bool = True
    ends_turn: bool = False
    frames: list[Packets] = field(default_factory=list)
    words: deque[tuple[int, str]] = field(default_factory=deque)
    closed: bool = False
    position: int = 0

    @property
    def done(self) -> bool:
        """True if everything was given out."""
        return self.closed and self.position >= len(self.frames)


@dataclass(frozen=True, slots=True)
class Tick:
    """What happens in one frame: its packets (None: silence), words that begin, turns that begin and end."""

    packets: Packets | None = None
    words: tuple[str, ...] = ()
    turn: str = ""
    turn_started: bool = False
    turn_ended: bool = False


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was left when the floor was taken: the turn, the words heard, the words not said."""

    turn: str
    heard: str
    unsaid: str


class Player:
    """Gives out one frame for each `tick`. At most `max_frames` wait; see `room`."""

    def __init__(self, max_frames: int = 375) -> None:
        self._queue: deque[Utterance] = deque()
        self._max_frames = max_frames
        self._paused = False
        self._turn = ""
        self._heard: list[str] = []

    @property
    def speaking(self) -> bool:
        """True while a turn has begun and is not over, paused or not."""
        return bool(self._turn)

    @property
    def busy(self) -> bool:
        """True while anything waits to be said."""
        return bool(self._queue)

    @property
    def room(self) -> bool:
        """True while more speech may be prepared (30 s ahead at the most)."""
        return sum(len(item.frames) - item.position for item in self._queue) < self._max_frames

    @property
    def interruptible(self) -> bool:
        """False while an utterance is spoken that the coach wants to be heard to its end."""
        return not self._queue or self._queue[0].allow_interrupt

    @property
    def heard(self) -> str:
        """The words of the current turn that have begun to sound."""
        return " ".join(self._heard)

    def add(self, utterance: Utterance) -> None:
        """Queue an utterance; its frames may come later."""
        self._queue.append(utterance)

    def take_up(self, turn: str, heard: tuple[str, ...]) -> None:
        """Go on with a turn that was begun elsewhere, of which these words were heard."""
        self._turn = turn
        self._heard = list(heard)

    def pause(self) -> None:
        """Fall silent and keep the place."""
        self._paused = True

    def resume(self) -> None:
        """Go on after `pause`."""
        self._paused = False

    def tick(self) -> Tick:
        """Return what the next 80 ms hold."""
        if self._paused or not self._queue:
            return Tick()
        item = self._queue[0]
        if item.done:
            return self._next_utterance(item)
        if item.position >= len(item.frames):
            return Tick(turn=self._turn)  # synthesis is behind: a short silence inside the turn
        started = self._turn != item.turn
        if started:
            self._turn = item.turn
            self._heard.clear()
        packets = item.frames[item.position]
        words = self._words_at(item)
        item.position += 1
        if item.done:  # word times are estimates: what the last frame holds is said with it
            words += self._rest(item)
        ended = item.done and item.ends_turn
        turn = item.turn
        if item.done:
            self._queue.popleft()
        if ended:
            self._turn = ""
        return Tick(packets, words, turn, started, ended)

    def drop(self) -> Dropped | None:
        """Forget everything that is not said yet; None if no turn was begun."""
        unsaid = [text for item in self._queue for text in self._unsaid(item)]
        turn, heard = self._turn, self.heard
        self._queue.clear()
        self._paused = False
        self._turn = ""
        return Dropped(turn, heard, " ".join(unsaid)) if turn else None

    def _next_utterance(self, item: Utterance) -> Tick:
        """An utterance ended without a frame of its own to end with (it was closed late, or is empty)."""
        self._queue.popleft()
        if item.ends_turn and self._turn == item.turn:
            self._turn = ""
            return Tick(turn=item.turn, turn_ended=True)
        return self.tick()

    def _words_at(self, item: Utterance) -> tuple[str, ...]:
        words: list[str] = []
        while item.words and item.words[0][0] <= item.position:
            words.append(item.words.popleft()[1])
        self._heard.extend(words)
        return tuple(words)

    def _rest(self, item: Utterance) -> tuple[str, ...]:
        words = tuple(text for _, text in item.words)
        item.words.clear()
        self._heard.extend(words)
        return words

    def _unsaid(self, item: Utterance) -> list[str]:
        if item.closed or item.position:
            return [text for _, text in item.words]
        return item.text.split()
