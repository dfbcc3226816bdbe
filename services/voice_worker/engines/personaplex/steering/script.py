"""What the model is to say: words as text tokens, with the silences around them. Pure; `script_player` says when.

Pace, pauses and emphasis of the delivery hints become bounds and runs of PAD tokens. The tone has no effect:
this model's tone is set by its voice and its prompt, and neither can be changed while it talks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from services.voice_worker.engines.personaplex.steering.spelling import spell_numbers
from services.voice_worker.engines.personaplex.tokens import EPAD, PAD
from shared.audio import FRAME_MS
from shared.events import DeliveryHints, Pace

FREE: Final = -1
"""Leaves the token that the model sampled."""

PACE_PADS: Final[dict[Pace, tuple[int, int]]] = {"slow": (3, 8), "normal": (1, 6), "fast": (0, 3)}
"""Fewest and most PAD frames between two words. English has about 4.6 frames a word, 1.3 of them pieces."""

EMPHASIS_PADS: Final = 2
MAX_PAUSE_FRAMES: Final = 1500 // FRAME_MS
"""The model may take a longer silence for the end of its turn."""

MAX_SPELL_WORDS: Final = 3
"""How many written words one number may take: "$5 million"."""

_MARK_PADS: Final = {",": 2, ";": 3, ":": 3, ".": 4, "?": 4, "!": 4, "…": 4, "–": 2, "—": 2, "-": 2}
_CLOSING: Final = "\"'”’»)]}*_"
_ABBREVIATIONS: Final = frozenset({"mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "e.g.", "i.e."})
_SILENT: Final = frozenset("-–—…•.,;:!?*_~\"'“”‘’«»()[]{}<>|`")
_NO_TEXT: Final = frozenset({PAD, EPAD, 1, 2})
_EDGES = re.compile(r"^\W+|\W+$")


@dataclass(frozen=True, slots=True)
class Forcing:
    """What becomes of the next frame's text token: `on_pad` if the model samples PAD, else `otherwise`.

    FREE leaves what was sampled. Both ways are known before the model runs, so that the choice is made on the
    device and nothing has to be read back in the middle of a step.
    """

    on_pad: int = FREE
    otherwise: int = FREE


UNFORCED: Final = Forcing()
"""Leaves the model to itself."""


@dataclass(frozen=True, slots=True)
class ScriptWord:
    """A word to speak. `pieces` are its text tokens, at least one (ValueError), none of them PAD or EPAD.

    `text` is the word as it is reported; "" if it goes on with the word before ("euros" of "€5"). The pads are
    frames of silence beyond those of the pace.
    """

    text: str
    pieces: tuple[int, ...]
    pads_before: int = 0
    pads_after: int = 0

    def __post_init__(self) -> None:
        if not self.pieces or any(piece < 0 or piece in _NO_TEXT for piece in self.pieces):
            raise ValueError(f"a word needs tokens that carry text, not {self.pieces}")


@dataclass(frozen=True, slots=True)
class Script:
    """Words to say in a row, with `min_pads` to `max_pads` PAD frames between them; the model chooses.

    `label` names the turn; several scripts may belong to one, `ends_turn` marks the last. No words is allowed.
    """

    words: tuple[ScriptWord, ...]
    min_pads: int
    max_pads: int
    allow_interrupt: bool
    label: str = ""
    ends_turn: bool = True


def build_script(
    text: str,
    hints: DeliveryHints,
    encode: Callable[[str], Sequence[int]],
    *,
    allow_interrupt: bool = True,
    label: str = "",
    ends_turn: bool = True,
    spell: Callable[[str], str] = spell_numbers,
) -> Script:
    """Return the script of `text`; the words' texts joined by spaces are `text` (spaces normalised), unless
    nothing of it has a sound: then there are no words.

    `encode` gets a bare word and returns its text tokens, the first with the mark of a new word. `spell` returns
    the text as it is spoken. A lone dash or the like is silent: it belongs to the word before (at the start of the
    text: after) it. Hints whose words are not in the text have no effect.
    """
    originals = text.split()
    before, after = _silences(originals, hints)
    words: list[ScriptWord] = []
    silent = ""
    for index, spoken in enumerate(_align(originals, spell(text).split(), spell)):
        pads = after.get(index)
        if pads is None:
            pads = _mark_pads(spoken[-1] if spoken else originals[index])
        if index in before:  # a stressed word
            pads = max(pads, EMPHASIS_PADS)
        tokens = [pieces for part in spoken if (pieces := _pieces(part, encode))]
        if tokens:
            lead = before.get(index, 0) if not words or not words[-1].pads_after else 0
            words += _speak(f"{silent} {originals[index]}".strip(), tokens, lead, pads)
            silent = ""
        elif words:
            _join(words, originals[index], pads)
        else:
            silent = f"{silent} {originals[index]}".strip()
    min_pads, max_pads = PACE_PADS[hints.pacing]
    return Script(tuple(words), min_pads, max_pads, allow_interrupt, label, ends_turn)


def _speak(text: str, tokens: list[tuple[int, ...]], before: int, after: int) -> list[ScriptWord]:
    """The spoken words of one written word: the first carries its text, the outer ones its silences."""
    last = len(tokens) - 1
    return [
        ScriptWord("" if i else text, pieces, 0 if i else before, after if i == last else 0)
        for i, pieces in enumerate(tokens)
    ]


def _join(words: list[ScriptWord], text: str, pads: int) -> None:
    """Give what is not spoken to the word before it, so that the words still make the text."""
    words[-1] = replace(words[-1], pads_after=max(pads, words[-1].pads_after))
    index = max(i for i, word in enumerate(words) if word.text)
    words[index] = replace(words[index], text=f"{words[index].text} {text}")


def _pieces(word: str, encode: Callable[[str], Sequence[int]]) -> tuple[int, ...]:
    """Tokens of a spoken word; none if it has no sound. Special ids are left out: they would end the word."""
    if all(character in _SILENT for character in word):
        return ()
    return tuple(int(piece) for piece in encode(word) if piece >= 0 and piece not in _NO_TEXT)


def _align(originals: list[str], spoken: list[str], spell: Callable[[str], str]) -> list[list[str]]:
    """Return for each written word the words it is spoken with; all of them in a row are `spoken`.

    Linear in the number of words, whatever the text: it comes from a language model and is spoken in real time.
    """
    parts: list[list[str]] = []
    place = 0
    while len(parts) < len(originals):
        for size in range(1, MAX_SPELL_WORDS + 1):
            chunk = originals[len(parts) : len(parts) + size]
            words = spell(" ".join(chunk)).split()
            if spoken[place : place + len(words)] == words:
                break
        else:  # a spelling that looks farther ("5 %", from its second word on): word for word
            chunk, words = chunk[:1], spoken[place : place + 1]
        parts += _share(chunk, words, spell)
        place += len(words)
    if parts:
        parts[-1] += spoken[place:]
    return parts


def _share(chunk: list[str], spoken: list[str], spell: Callable[[str], str]) -> list[list[str]]:
    """Share the spoken words of a chunk among its words: "$5 million" is "five" and "million dollars"."""
    parts: list[list[str]] = []
    for word, following in pairwise(chunk):
        size = spoken.index(following) if following in spoken else len(spell(word).split())
        parts.append(spoken[:size])
        spoken = spoken[size:]
    return [*parts, spoken]


def _silences(words: list[str], hints: DeliveryHints) -> tuple[dict[int, int], dict[int, int]]:
    """Word index -> PAD frames before a stressed word, and -> PAD frames of a wanted pause after a word."""
    plain = [(index, key) for index, word in enumerate(words) if (key := _plain(word))]
    stressed = {_plain(word) for phrase in hints.emphasis for word in phrase.split()}
    before = {index: EMPHASIS_PADS for index, key in plain if key in stressed}
    after: dict[int, int] = {}
    start = 0
    for pause in hints.pauses:
        target = [key for word in pause.after.split() if (key := _plain(word))]
        end = _find([key for _, key in plain], target, start)
        if end is not None:
            after[plain[end - 1][0]] = min(round(pause.duration * 1000 / FRAME_MS), MAX_PAUSE_FRAMES)
            start = end
    return before, after


def _find(words: list[str], target: list[str], start: int) -> int | None:
    """Return the index after the first place of `target` in `words` from `start` on; None if there is none."""
    size = len(target)
    for index in range(start, len(words) - size + 1):
        if size and words[index : index + size] == target:
            return index + size
    return None


def _plain(word: str) -> str:
    return _EDGES.sub("", word).replace("’", "'").casefold()


def _mark_pads(word: str) -> int:
    """PAD frames for the mark at the end of a word; 0 if there is none."""
    bare = word.rstrip(_CLOSING)
    if bare.lower() in _ABBREVIATIONS:
        return 0
    return _MARK_PADS.get(bare[-1:], 0)
