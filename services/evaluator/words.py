"""Words, sentences, syllables, questions and phrase counts of a turn's text. Pure; holds no word lists of fillers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Literal

from services.evaluator.lexicon import ListName, Phrase, phrases_by_first, word_set
from shared.events import Language

_TOKEN = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+(?:['\-][^\W_]+)*|[.!?,;:…]+|[–—]")
_STOPS = frozenset(".!?")
_VOWEL_GROUP_NL = re.compile(r"ij|[äëïöü]?[aeiouyàáâèéêìíîòóôùúû]+|[äëïöü]")
_VOWEL_GROUP_EN = re.compile(r"[aeiouyàáâäèéêëìíîïòóôöùúûü]+")

_LEAD_IN = {
    "nl": word_set("en dus maar want oké oke ok ja nou euh eh uh uhm dan nu zeg goed mag ik vragen om te kaderen"),
    "en": word_set("and so but well okay ok yeah then now uh um er right may i ask just to"),
}
_PREPOSITIONS = {
    "nl": word_set("met voor tegen van in op bij naar over tot uit aan door sinds onder vanaf binnen te"),
    "en": word_set("with for by from in on at to about of since under within until through"),
}
_OPENERS = {
    "nl": word_set(
        "wat hoe waarom welke welk wie wiens waar wanneer hoeveel hoelang hoezo waarmee waarvoor waarop "
        "waarover waarin waaraan waaruit waardoor waarbij waartoe waarvan vertel beschrijf"
    ),
    "en": word_set("what how why which who whom whose where when what's how's who's where's tell describe"),
}
_VERB_FIRST = {
    "nl": word_set(
        "is zijn was waren bent hebt heb heeft hebben had kan kunt kun kunnen mag mogen wil wilt willen zou zouden zal "
        "zullen moet moeten ga gaat gaan doet doen ziet vindt vind werkt weet klopt past volstaat zullen"
    ),
    "en": word_set(
        "is are was were am do does did have has had can could will would shall should may might isn't aren't don't "
        "doesn't didn't won't wouldn't can't couldn't"
    ),
}


@dataclass(frozen=True, slots=True)
class Token:
    """A word in lower case, with the punctuation that stands right before and after it ("" for none)."""

    word: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question: its words, and whether it can be answered with more than yes, no or a pick."""

    words: tuple[str, ...]
    form: Literal["open", "closed"]


def tokens(text: str) -> tuple[Token, ...]:
    """Return the words of a text. Curly apostrophes count as straight ones; numbers such as 3.5 stay whole."""
    plain = unicodedata.normalize("NFC", text.lower()).replace("’", "'").replace("‘", "'")
    parts = _TOKEN.findall(plain)
    found: list[Token] = []
    mark = "^"  # the start of a turn bounds a clause, as punctuation does
    for index, part in enumerate(parts):
        if not part[0].isalnum():
            mark = part
            continue
        following = parts[index + 1] if index + 1 < len(parts) else "$"
        found.append(Token(part, mark, "" if following[0].isalnum() else following))
        mark = ""
    return tuple(found)


def sentences(words: Sequence[Token]) -> list[tuple[Token, ...]]:
    """Split at full stops, exclamation and question marks; an ellipsis is a pause and splits nothing."""
    found: list[tuple[Token, ...]] = []
    current: list[Token] = []
    for token in words:
        current.append(token)
        if token.after and (_STOPS & set(token.after)) and token.after not in {"...", ".."}:
            found.append(tuple(current))
            current = []
    if current:
        found.append(tuple(current))
    return found


def syllables(word: str, language: Language) -> int:
    """Return the number of vowel groups, at least 1; in English a silent final e is not counted.

    An estimate: for Dutch it gives 1.60 a word on spoken text. A vowel with a diaeresis opens a new group;
    a number written in digits counts one for each digit.
    """
    if word[0].isdigit():
        return sum(char.isdigit() for char in word)
    if language == "nl":
        return max(1, len(_VOWEL_GROUP_NL.findall(word)))
    groups = len(_VOWEL_GROUP_EN.findall(word))
    if groups > 1 and word.endswith("e") and not word.endswith(("le", "ee", "ie", "oe", "ye")):
        groups -= 1
    return max(1, groups)


def questions(words: Sequence[Token], language: Language) -> tuple[Question, ...]:
    """Return the questions of a text: sentences that end in "?"; without any end marks, by their first word.

    Recognisers that write no punctuation leave only word order to go by: then the turn is one question if it
    begins with a question word or a verb-first form.
    """
    parts = sentences(words)
    asked = [part for part in parts if "?" in part[-1].after]
    if not asked and not any(_STOPS & set(token.after) for token in words):
        asked = [part for part in parts if _asks_by_order(part, language)]
    return tuple(Question(tuple(token.word for token in part), _form(part, language)) for part in asked)


def statements(words: Sequence[Token], language: Language) -> tuple[tuple[Token, ...], ...]:
    """Return the sentences that are no questions."""
    asked = {question.words for question in questions(words, language)}
    return tuple(part for part in sentences(words) if tuple(token.word for token in part) not in asked)


def count_phrases(
    words: Sequence[Token], name: ListName, language: Language, *, belgian: bool = False, prompted: bool = False
) -> int:
    """Return how many entries of a word list the words hold; whole tokens, longest first, none counted twice.

    `prompted`: the turn follows a question, so that a "ja" at its start is an answer.
    """
    entries = phrases_by_first(name, language, belgian)
    filled = phrases_by_first("filled", language, belgian).keys()
    count = index = 0
    while index < len(words):
        near = entries.get(words[index].word, ())
        match = next((phrase for phrase in near if _matches(words, index, phrase, filled, prompted)), None)
        count += match is not None
        index += len(match.tokens) if match else 1
    return count


def count_hedges(words: Sequence[Token], language: Language, belgian: bool) -> tuple[int, int]:
    """Return (hedges, words) of a turn's statements."""
    parts = statements(words, language)
    found = sum(count_phrases(part, "hedge", language, belgian=belgian) for part in parts)
    return found, sum(len(part) for part in parts)


def _matches(words: Sequence[Token], index: int, phrase: Phrase, filled: Set[str], prompted: bool) -> bool:
    end = index + len(phrase.tokens)
    if end > len(words) or tuple(token.word for token in words[index:end]) != phrase.tokens:
        return False
    if any(token.after for token in words[index : end - 1]):
        return False  # a comma inside means that these are not one phrase
    first, last = words[index], words[end - 1]
    match phrase.where:
        case "anywhere":
            return True
        case "clause_start":
            return first.before != ""
        case "clause_end":
            return last.after != ""
        case "turn_start":
            return index == 0
        case "unprompted_start":
            return index == 0 and not prompted
        case "tag_question":
            return "?" in last.after
        case "set_off":
            beside = {words[index - 1].word} if index else set()
            beside |= {words[end].word} if end < len(words) else set()
            bounded = first.before not in {"", "^"} or last.after not in {"", "$"}
            return bounded or bool(beside & filled)


def _asks_by_order(part: Sequence[Token], language: Language) -> bool:
    words = _after_lead_in([token.word for token in part], language)
    opens = bool(words) and (words[0] in _OPENERS[language] or words[0] in _VERB_FIRST[language])
    return opens or part[0].word in _VERB_FIRST[language]


def _form(part: Sequence[Token], language: Language) -> Literal["open", "closed"]:
    """Open if any clause starts, after lead-in words and one preposition, with a question word."""
    clause: list[str] = []
    for token in part:
        clause.append(token.word)
        if token.after:
            if _opens(clause, language):
                return "open"
            clause = []
    return "open" if clause and _opens(clause, language) else "closed"


def _opens(clause: list[str], language: Language) -> bool:
    words = _after_lead_in(clause, language)
    if len(words) > 1 and words[0] in _PREPOSITIONS[language]:
        words = words[1:]
    return bool(words) and words[0] in _OPENERS[language]


def _after_lead_in(words: list[str], language: Language) -> list[str]:
    index = 0
    while index < len(words) and words[index] in _LEAD_IN[language]:
        index += 1
    return words[index:]
