"""A model for one `Conversation`: uses the tokens that are forced, and gives back the sound that it hears."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from services.voice_worker.engines.personaplex.inputs import SlotInput, SlotOutput
from services.voice_worker.engines.personaplex.slot import (
    GRACE_TICKS,
    INBOX_FRAMES,
    STALL_FRAMES,
    Conversation,
    FrameOut,
    Mode,
    Phase,
)
from services.voice_worker.engines.personaplex.steering.script import FREE, Script, ScriptWord
from services.voice_worker.engines.personaplex.steering.words import WordAssembler
from services.voice_worker.engines.personaplex.tokens import PAD

HEARD = tuple(range(8))
"""Codes of whatever the user says."""

OWN = 5000
"""Token of a word that the model thinks of itself."""

STEPS = (
    *("feed", "feed", "feed", "tick", "tick", "overdue", "overdue", "begin", "flood", "stall", "restart"),
    *("say", "hold", "go_on", "interrupt", "speaks", "over", "forget"),
)
"""What may happen to a conversation; see `Model.step`."""


class Model:
    """Samples what `sample` returns, sounds as loud as `level` says, and keeps what came of it."""

    def __init__(
        self, mode: Mode = "guided", sample: Callable[[], int] = lambda: PAD, *, silence_limit_frames: int = 100
    ) -> None:
        words = WordAssembler(lambda token: f"▁own{token}")
        self.talk = Conversation(3, mode, words, silence_limit_frames=silence_limit_frames)
        self.sample = sample
        self.level: float | None = None
        self.finite = True
        self.inputs: list[SlotInput] = []
        self.texts: list[int] = []
        self.out: list[FrameOut] = []
        self.fed: list[str] = []
        self._text = PAD

    @property
    def words(self) -> list[str]:
        return [word for frame in self.out for word in frame.words]

    @property
    def ids(self) -> list[str]:
        """Entries that were answered."""
        return [frame.consumed for frame in self.out]

    def begin(self) -> Model:
        self.talk.begin(np.full(8, 7), np.full(8, 9))
        self.tick()
        return self

    def feed(self, n: int = 1) -> None:
        for _ in range(n):
            self.fed.append(f"{len(self.fed)}-0")
            sound = np.full(1_920, len(self.fed) / 1e6, dtype=np.float32)
            self.talk.feed(sound, self.fed[-1])

    def tick(self, overdue: bool = False) -> SlotInput | None:
        given = self.talk.next_input(overdue)
        if given is not None:
            self.inputs.append(given)
            self.texts.append(self._text)
            self.talk.take(self._output(given))
        self.out += self.talk.collect()
        return given

    def run(self, n: int) -> list[FrameOut]:
        """Feed and answer `n` frames; return the answers."""
        for _ in range(n):
            self.feed()
            self.tick()
        return self.out[-n:]

    def run_until_word(self) -> None:
        while not self.words:
            self.run(1)

    def stall(self) -> None:
        """No frame comes for as long as the conversation's clock goes on without."""
        for _ in range(GRACE_TICKS + STALL_FRAMES):
            self.tick(overdue=True)

    def drain(self) -> list[str]:
        """Answer all that waits; return the entries that were answered since the beginning."""
        while self.talk.backlog or self.talk.phase is not Phase.LIVE:
            if self.talk.phase is Phase.PRIMING:
                self.begin()
            self.tick()
        self.out += self.talk.collect()
        return self.ids

    def step(self, name: str, number: int) -> None:
        """Do one of STEPS; `number` varies it."""
        talk = self.talk
        calls: dict[str, Callable[[], object]] = {
            "feed": self.feed,
            "tick": self.tick,
            "overdue": lambda: self.tick(overdue=True),
            "flood": lambda: self.feed(INBOX_FRAMES),
            "stall": self.stall,
            "begin": lambda: talk.phase is Phase.PRIMING and self.begin(),
            "restart": lambda: talk.phase is Phase.LIVE and talk.restart(),
            "say": lambda: talk.say(script("x y-z", allow_interrupt=number % 3 > 0, label=str(number))),
            "hold": talk.hold,
            "go_on": talk.go_on,
            "interrupt": talk.interrupt,
            "speaks": lambda: talk.user_speaks(number % 2 == 0),
            "over": talk.user_turn_over,
            "forget": talk.forget_scripts,
        }
        calls[name]()

    def _output(self, given: SlotInput) -> SlotOutput:
        sampled = self.sample()
        token = given.forcing.on_pad if sampled == PAD else given.forcing.otherwise
        text, self._text = self._text, sampled if token == FREE else token
        pcm: NDArray[np.float32] = np.zeros(1_920, np.float32) if given.pcm is None else given.pcm
        if self.level is not None:
            pcm = np.full(1_920, self.level, np.float32)
        user = np.array(HEARD) if given.user is None else given.user
        agent = np.full(8, len(self.inputs) % 2_048)
        return SlotOutput(text, agent, user, pcm, self._text, self.finite, heard_text=len(self.inputs))


def live(mode: Mode = "guided", sample: Callable[[], int] = lambda: PAD, *, silence_limit_frames: int = 100) -> Model:
    """Return a model whose boundary step is done."""
    return Model(mode, sample, silence_limit_frames=silence_limit_frames).begin()


def script(text: str, *, allow_interrupt: bool = True, label: str = "h1") -> Script:
    """Words of one piece, but of two if they have a hyphen; a piece's id is its first letter's."""
    words = tuple(ScriptWord(word, tuple(ord(part[0]) for part in word.split("-"))) for word in text.split())
    return Script(words, 0, 2, allow_interrupt, label)
