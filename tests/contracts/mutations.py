"""Changes to a written dialogue that ought to lower its score, and changes that ought to change nothing. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from services.evaluator.dialogues.reading import Dialogue, DialogueTurn
from services.evaluator.evaluation import evaluate_events
from shared.coaching.detection import Detector
from tests.services.evaluator.conftest import load_maker

Card = dict[str, Any]
Change = Callable[[str], str]

_SENTENCE = re.compile(r"[^.!?…]+[.!?…]+\s*|[^.!?…]+$")

FILLERS = {"nl": ("Euh, ", ", uhm,"), "en": ("Um, ", ", uh,")}
STACKED = {
    "nl": " En wie beslist daarover? En wat mag dat kosten? En wanneer zou u starten?",
    "en": " And who decides on that? And what may it cost? And when would you start?",
}
"""Three more questions, each about something else."""


def card_of(dialogue: Dialogue, detector: Detector | None = None) -> Card:
    """Return the scorecard of a dialogue, spoken as a session: the seller is the user, the customer is Hugo."""
    scene = load_maker().Scene(dialogue.lang, dialogue.locale)
    scene.start()
    at_ms = 1_000
    for number, turn in enumerate(dialogue.turns):
        if turn.speaker == "seller":
            at_ms = scene.user(number, at_ms, turn.text) + 900
        else:
            at_ms = scene.hugo(number, at_ms, turn.text) + 700
    scene.end(at_ms + 1_000)
    return evaluate_events(scene.events, detector).data


def verdicts(card: Card) -> dict[str, tuple[Any, ...]]:
    """Return of each turn what the technique score rests on."""
    return {
        turn["turn"]: (tuple(turn["techniques"]), turn["quality"], turn["phase"], tuple(turn["errors"]))
        for turn in card["turns"]
    }


def with_turn(dialogue: Dialogue, number: int, change: Change) -> Dialogue:
    """Return the dialogue with one turn's text changed."""
    turns = list(dialogue.turns)
    turns[number] = turns[number].model_copy(update={"text": change(turns[number].text)})
    return dialogue.model_copy(update={"turns": tuple(turns)})


def with_sellers_words(dialogue: Dialogue, change: Change, locale: str = "") -> Dialogue:
    """Return the dialogue with every turn of the seller changed."""
    turns = tuple(
        turn.model_copy(update={"text": change(turn.text)}) if turn.speaker == "seller" else turn
        for turn in dialogue.turns
    )
    return dialogue.model_copy(update={"turns": turns, "locale": locale or dialogue.locale})


def without_questions(text: str) -> str:
    """Return the text without the sentences that ask."""
    return "".join(part for part in _SENTENCE.findall(text) if not part.rstrip().endswith("?")).strip()


def with_fillers(text: str, language: str) -> str:
    """Return the text with a filled pause at its beginning and one at its first comma."""
    first, inner = FILLERS[language]
    return first + text[:1].lower() + text[1:].replace(",", inner, 1)


def replace_words(text: str, words: Mapping[str, str]) -> str:
    """Return the text with whole words replaced; a capital stays one."""
    pattern = re.compile(
        r"\b(" + "|".join(sorted(map(re.escape, words), key=len, reverse=True)) + r")\b", re.IGNORECASE
    )

    def put(match: re.Match[str]) -> str:
        new = words[match[0].lower()]
        return new[:1].upper() + new[1:] if match[0][:1].isupper() else new

    return pattern.sub(put, text)


JE_TO_U = {
    "heb je": "hebt u", "ben je": "bent u", "kun je": "kunt u", "wil je": "wilt u", "zou je": "zou u",
    "vind je": "vindt u", "zie je": "ziet u", "sta je": "staat u", "ga je": "gaat u", "doe je": "doet u",
    "denk je": "denkt u", "zeg je": "zegt u", "merk je": "merkt u", "je": "u", "jij": "u", "jou": "u", "jouw": "uw",
}  # fmt: skip
U_TO_JE = {new: old for old, new in JE_TO_U.items() if old not in ("jij", "jou")} | {"u": "je", "uw": "jouw"}
TO_FLEMISH = {
    "heb je": "hebt ge", "ben je": "zijt ge", "kun je": "kunt ge", "wil je": "wilt ge", "zou je": "zoudt ge",
    "je": "ge", "jij": "gij", "jou": "u", "jouw": "uw", "nou": "allez", "mooi": "schoon", "tevreden": "content",
    "veel": "een pak", "leuk": "plezant", "even": "efkes",
}  # fmt: skip
TO_DUTCH = {
    "hebt ge": "heb je", "zijt ge": "ben je", "kunt ge": "kun je", "wilt ge": "wil je", "zoudt ge": "zou je",
    "ge": "je", "gij": "jij", "allez": "nou", "schoon": "mooi", "content": "tevreden", "een pak": "veel",
    "amai": "zo", "plezant": "leuk", "efkes": "even",
}  # fmt: skip


def blocks_by_phase(dialogue: Dialogue, card: Card) -> list[tuple[int, list[DialogueTurn]]]:
    """Return the dialogue cut into runs of one phase: each begins with what stands before its first seller turn."""
    phases = {turn["turn"]: turn["phase"] for turn in card["turns"]}
    blocks: list[tuple[int, list[DialogueTurn]]] = []
    waiting: list[DialogueTurn] = []
    for number, turn in enumerate(dialogue.turns):
        waiting.append(turn)
        phase = phases.get(f"u{number}") if turn.speaker == "seller" else None
        if phase is None:
            continue
        if blocks and blocks[-1][0] == phase:
            blocks[-1][1].extend(waiting)
        else:
            blocks.append((phase, waiting))
        waiting = []
    if waiting and blocks:
        blocks[-1][1].extend(waiting)
    return blocks


def in_order(dialogue: Dialogue, blocks: Sequence[tuple[int, list[DialogueTurn]]]) -> Dialogue:
    """Return the dialogue with its turns in the order of these blocks."""
    return dialogue.model_copy(update={"turns": tuple(turn for _, turns in blocks for turn in turns)})
