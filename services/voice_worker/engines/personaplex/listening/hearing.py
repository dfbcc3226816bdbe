"""What a recogniser on the model's own audio tokens hears: one text token a frame becomes words with times. Pure.

The recogniser is one of Kyutai's delayed-streams models: its text runs a fixed time behind the sound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from services.voice_worker.engines.personaplex.steering.text import Tokenizer
from services.voice_worker.engines.personaplex.steering.words import NO_TEXT, WordAssembler
from services.voice_worker.engines.personaplex.tokens import EPAD
from shared.audio import FRAME_MS

MEMORY_MS: Final = 300_000
"""Words are kept so long (5 min)."""

MS_PER_LETTER: Final = 65
"""For the end of a word, which the token stream does not tell: usual English is 60 to 75 ms a letter."""

MIN_WORD_MS: Final = 160


@dataclass(frozen=True, slots=True)
class SttConfig:
    """Conventions of a recogniser; the defaults are those of kyutai/stt-1b-en_fr.

    `audio_delay_s` is how far its text runs behind the sound. `pause_head` is the extra head that tells of a pause:
    the four of them look at 0.5, 1, 2 and 3 s, and class 0 of each softmax is "no voice within that time". Kyutai's
    own clients take the one of 2 s (kyutai-labs/delayed-streams-modeling, `stt-rs/src/main.rs`: `prs[2][0] > 0.5`).
    """

    audio_delay_s: float = 0.5
    n_codebooks: int = 32
    pause_head: int = 2


@dataclass(frozen=True, slots=True)
class Hearing:
    """What a session needs to read a recogniser's tokens."""

    config: SttConfig
    tokenizer: Tokenizer


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word of the user in media time. `end_ms` is estimated from its letters, and not beyond the next word."""

    text: str
    start_ms: int
    end_ms: int


class WordTimes:
    """Words of one session. Give it each frame's token; frames are numbered in media time, 80 ms each.

    EPAD marks that a word begins; a word without that mark begins at its first token. The frame's time minus the
    delay is the word's (kyutai-labs/delayed-streams-modeling, `scripts/stt_from_file_pytorch.py`).
    """

    def __init__(
        self, id_to_piece: Callable[[int], str], config: SttConfig | None = None, start_frame: int = 0
    ) -> None:
        self._assembler = WordAssembler(id_to_piece)
        self._delay_ms = round(1000 * (config or SttConfig()).audio_delay_s)
        self._start_ms = start_frame * FRAME_MS
        self._words: deque[HeardWord] = deque()
        self._begun_ms: int | None = None
        self._mark_ms: int | None = None
        self._heard_until_ms = self._start_ms
        self._pause = 0.0

    @property
    def heard_until_ms(self) -> int:
        """Media time up to which all words are known; a word that is under way is not."""
        return self._heard_until_ms

    @property
    def pause_probability(self) -> float:
        """How likely it is (0..1) that the user has stopped for a while; 0 from a recogniser that does not tell."""
        return self._pause

    def advance(self, frame: int, token: int, pause: float = 0.0) -> None:
        """Take in a frame's text token, -1 for a frame that was not heard."""
        at_ms = max(frame * FRAME_MS - self._delay_ms, self._start_ms)
        finished = self._assembler.advance(token)
        if finished is not None:
            self._add(finished, at_ms if self._begun_ms is None else self._begun_ms)
        if token < 0 or token in NO_TEXT:
            self._begun_ms = None
        elif finished is not None or self._begun_ms is None:
            self._begun_ms = at_ms if self._mark_ms is None else self._mark_ms
        self._mark_ms = at_ms if token == EPAD else None
        self._pause = pause
        self._know((frame + 1) * FRAME_MS - self._delay_ms)

    def words_between(self, start_ms: int, end_ms: int) -> tuple[HeardWord, ...]:
        """Return the words that begin at `start_ms` or later and before `end_ms`, in order."""
        return tuple(word for word in self._words if start_ms <= word.start_ms < end_ms)

    def _know(self, until_ms: int) -> None:
        pending = (self._begun_ms, self._mark_ms)
        until_ms = min((until_ms, *(began for began in pending if began is not None)))
        self._heard_until_ms = max(self._heard_until_ms, until_ms)

    def _add(self, text: str, start_ms: int) -> None:
        if self._words and self._words[-1].end_ms > start_ms:
            last = self._words.pop()
            self._words.append(replace(last, end_ms=max(last.start_ms, start_ms)))
        self._words.append(HeardWord(text, start_ms, start_ms + max(MIN_WORD_MS, MS_PER_LETTER * len(text))))
        while self._words[0].start_ms < start_ms - MEMORY_MS:
            self._words.popleft()
