"""Hugo without a language model: decisions by `moves`, words by the phrasebook. Deterministic per session id.

Pure but for the async form of its interface; an answer takes well under 10 ms.
"""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from services.coach_worker.brain import BrainName, Heard, Part
from services.coach_worker.delivery import Role, hints_for
from services.coach_worker.moves import Decision, decide, greeting
from services.coach_worker.quoting import quote
from services.coach_worker.wording import Phrasebook, load_phrases
from shared.coaching.conversation import Conversation, split_sentences, write_plan
from shared.coaching.phrases import openers, whole_sentences
from shared.events import Language, VoiceToCoach

OPENER_SHARE = 0.8
"""How often an answer begins with a very short sentence that the voice has ready as audio."""

_MOOD = {
    "praise": "good",
    "polish": "half",
    "correct": "miss",
    "nudge": "miss",
    "ask_slot": "take",
    "begin": "take",
    "refocus": "take",
    "explain": "take",
    "confirm": "take",
}

_FAMILY: tuple[tuple[str, str], ...] = (
    ("1.4", "open"),
    ("1.", "opening"),
    ("2.1.1", "fact"),
    ("2.1.2", "open"),
    ("2.1.3", "choice"),
    ("2.1.4", "park"),
    ("2.1.5", "clarify"),
    ("2.1.6", "listen"),
    ("2.2", "probe"),
    ("2.3", "impact"),
    ("2.4", "commit"),
    ("3.4", "benefit"),
    ("3.5", "test"),
    ("3.", "present"),
    ("4.1", "test"),
    ("4.2", "offramp"),
    ("4.", "close"),
)


@dataclass(slots=True)
class _Draft:
    """An answer in the making: what it may draw on, and its sentences so far."""

    conversation: Conversation
    language: Language
    rng: random.Random
    book: Phrasebook
    heard: VoiceToCoach | None
    decision: Decision
    gaps: dict[str, str]
    parts: list[Part] = field(default_factory=list)
    used: list[str] = field(default_factory=list)

    def said(self, sentence: str) -> bool:
        known = {item.casefold() for item in self.used}
        return any(self.conversation.has_said(item) or item.casefold() in known for item in split_sentences(sentence))

    def draw(self, *keys: str) -> str:
        """Return a new sentence of the first key that has one."""
        for key in keys:
            if self.book.knows(key):
                sentence = self.book.draw(key, self.rng, self.said, **self.gaps)
                if sentence:
                    return sentence
        return ""

    def add(self, text: str, role: Role) -> bool:
        """Add a stretch; "" adds nothing. Returns whether something was added."""
        if not text:
            return False
        names = (self.gaps["name"], self.gaps["due"])
        hints = hints_for(text, role, self.heard, self.decision.move, names)
        self.parts.append(Part(text, hints, allow_interrupt=role != "cue"))
        self.used.extend(split_sentences(text))
        return True


class PolicyBrain:
    """The deterministic brain."""

    name: BrainName = "policy"

    async def greet(self, conversation: Conversation, session_id: str) -> AsyncIterator[Part]:
        """Yield the greeting."""
        for part in self.compose_greeting(conversation, session_id):
            yield part

    async def answer(self, conversation: Conversation, session_id: str, heard: Heard) -> AsyncIterator[Part]:
        """Yield the answer to a turn."""
        for part in self.compose(conversation, session_id, heard):
            yield part

    def compose_greeting(self, conversation: Conversation, session_id: str) -> list[Part]:
        """Return the greeting: who speaks, and the first question."""
        draft = _draft(conversation, session_id, "", None, greeting(conversation), conversation.language)
        hellos = whole_sentences(draft.language)[:2]
        draft.add(hellos[draft.rng.randrange(len(hellos))], "opener")
        draft.add(draft.draw("ask.product"), "ask")
        return _finish(draft)

    def compose(self, conversation: Conversation, session_id: str, heard: Heard) -> list[Part]:
        """Return the whole answer to a turn that the conversation has taken in: 1 to 4 stretches, one question."""
        decision = decide(conversation, heard.turn, heard.message.asr_confidence)
        language = _language(conversation, heard)
        draft = _draft(conversation, session_id, heard.turn.turn, heard.message, decision, language)
        draft.gaps.update(_gaps(draft, heard))
        _open(draft)
        _WRITERS[decision.move](draft)
        if not draft.parts:
            draft.add(draft.draw("try.any", "cue.ask", "confirm"), "ask")
        if not draft.parts:  # every phrase of a very long session was used: an invitation is never wrong
            draft.add(whole_sentences(language)[4], "ask")
        return _finish(draft)


def _draft(
    conversation: Conversation,
    session_id: str,
    turn: str,
    heard: VoiceToCoach | None,
    decision: Decision,
    language: Language,
) -> _Draft:
    book = Phrasebook(load_phrases(language), conversation.locale)
    rng = random.Random(f"{session_id}:{turn}:{language}")
    gaps = {"name": "", "due": "", "commit": conversation.knowledge.name("2.4", language)}
    return _Draft(conversation, language, rng, book, heard, decision, gaps)


def _gaps(draft: _Draft, heard: Heard) -> dict[str, str]:
    decision, knowledge, found = draft.decision, draft.conversation.knowledge, heard.turn.detection
    slots = draft.conversation.slots
    technique = knowledge.techniques.get(decision.technique)
    due = knowledge.techniques.get(decision.due)
    example = (due.examples_nl if draft.language == "nl" else due.examples_en)[0] if due else ""
    definition = (technique.definition_nl if draft.language == "nl" else technique.definition_en) if technique else ""
    asked = draft.conversation.last_plan.get("slot", "")
    return {
        "name": spoken_name(technique.name(draft.language)) if technique else "",
        "due": spoken_name(due.name(draft.language)) if due else "",
        "quote": quote(found.evidence or heard.turn.text, heard.turn.language),
        "count": _count(found.question_forms, draft.language),
        "example": "" if example.startswith("(") else _as_quote(example),
        "definition": definition[:1].lower() + definition[1:],
        "value": next((_inside(value) for slot, value in slots.items() if slot == asked), ""),
        "product": _inside(slots.get("product", "")),
        "customer": _inside(slots.get("customer_type", "")),
        "n": str(len(draft.conversation.done)),
    }


def spoken_name(name: str) -> str:
    """Return a technique's exact name as far as it can be said aloud: without brackets and second names."""
    return re.split(r" [(/+]", name)[0]


def _inside(value: str) -> str:
    """Return a value as it stands inside a sentence: the recogniser's capital at its start is no name's."""
    return value[:1].lower() + value[1:] if value[1:2].islower() else value


def _count(forms: tuple[str, ...], language: Language) -> str:
    names = ("twee", "drie", "vier") if language == "nl" else ("two", "three", "four")
    return names[len(forms) - 2] if 2 <= len(forms) <= 4 else ""


def _as_quote(text: str) -> str:
    """Return a sample sentence without question marks: it is quoted, not asked."""
    return text.replace("?", ",").replace('"', "").strip(" .,…")


def _language(conversation: Conversation, heard: Heard) -> Language:
    """Answer in the language spoken; a turn of a few words is too short to tell, so it keeps the session's."""
    if len(heard.turn.text.split()) < 4:
        return conversation.language
    return heard.turn.language


# --- writing, move by move


def _open(draft: _Draft) -> None:
    mood = _MOOD.get(draft.decision.move)
    if mood is None or draft.rng.random() > OPENER_SHARE:
        return
    options = list(openers(draft.language, mood, draft.conversation.locale))
    draft.rng.shuffle(options)
    draft.add(next((item for item in options if not draft.said(item)), ""), "opener")


def _write_ask(draft: _Draft) -> None:
    slot = draft.decision.slot or "product"
    asked = draft.conversation.last_plan.get("slot", "")
    if draft.gaps["value"] and asked:
        draft.add(draft.draw(f"got.{asked}"), "body")
    draft.add(draft.draw(f"ask.{slot}", f"clarify.{slot}"), "ask")


def _write_clarify(draft: _Draft) -> None:
    draft.add(draft.draw(f"clarify.{draft.decision.slot}", f"ask.{draft.decision.slot}"), "ask")


def _write_begin(draft: _Draft) -> None:
    asked = draft.conversation.last_plan.get("slot", "")
    if not (draft.gaps["value"] and asked and draft.add(draft.draw(f"got.{asked}"), "body")):
        draft.add(draft.draw("begin.known"), "body")
    draft.add(draft.draw("begin", "try.1.4"), "ask")


def _write_praise(draft: _Draft) -> None:
    family = next((name for start, name in _FAMILY if draft.decision.technique.startswith(start)), "open")
    draft.add(draft.draw(f"good.{family}"), "body")
    if not _cue(draft):
        draft.add(draft.draw(f"try.{draft.decision.due}", "try.any"), "ask")


def _write_polish(draft: _Draft) -> None:
    draft.add(draft.draw("half"), "body")
    draft.add(_instruction(draft), "ask")


def _write_correct(draft: _Draft) -> None:
    draft.add(draft.draw(f"bad.{draft.decision.reason}", "bad.none"), "body")
    again = f"again.{draft.decision.reason}"
    draft.add(draft.draw(again) or _instruction(draft), "ask")


def _write_nudge(draft: _Draft) -> None:
    draft.add(draft.draw("bad.none"), "body")
    draft.add(_instruction(draft), "ask")


def _write_explain(draft: _Draft) -> None:
    before = draft.used[:]
    draft.add(draft.draw("explain.lead", "explain.again"), "body")
    if len(draft.used) > len(before):
        draft.add(draft.draw("explain.example"), "body")
    draft.add(draft.draw("explain.try", "try.any"), "ask")


def _write_help(draft: _Draft) -> None:
    if draft.gaps["example"] and draft.add(draft.draw("help.example"), "body"):
        draft.add(draft.draw("help.try") or _instruction(draft), "ask")
    else:
        draft.add(draft.draw("help.think"), "body")
        draft.add(_instruction(draft), "ask")


def _write_refocus(draft: _Draft) -> None:
    draft.add(draft.draw("refocus"), "body")
    if not _cue(draft):
        draft.add(_instruction(draft), "ask")


def _write_confirm(draft: _Draft) -> None:
    if not draft.parts:
        draft.add(draft.draw("confirm"), "body")
    draft.add(_instruction(draft), "ask")


def _write_repeat(draft: _Draft) -> None:
    options = [item for item in whole_sentences(draft.language)[2:4] if not draft.said(item)]
    draft.add(options[0] if options else "", "opener")
    draft.add(draft.draw("repeat.ask"), "ask")


def _write_close(draft: _Draft) -> None:
    draft.add(draft.draw("close.sum") if draft.conversation.done else "", "body")
    draft.add(draft.draw("close.bye"), "ask")


def _instruction(draft: _Draft) -> str:
    due = draft.decision.due
    keys = [f"try.{due}"]
    while "." in due:  # a theme's own phrases, then those of its group
        due = due.rpartition(".")[0]
        keys.append(f"try.{due}")
    return draft.draw(*keys, "try.any")


def _cue(draft: _Draft) -> bool:
    """Lend the customer a line and ask for the seller's; False where there is none left or none is called for."""
    kind = draft.decision.customer
    if not kind:
        return False
    key, ask = f"cue.{kind}", draft.draw("cue.ask", "try.any")
    line = draft.draw(key) or draft.book.draw(key, draft.rng, _never)  # a customer may come back to it
    lead_key = f"cue.lead.{kind}" if draft.book.knows(f"cue.lead.{kind}") else "cue.lead"
    lead = draft.book.draw(lead_key, draft.rng, lambda start: draft.said(f"{start} “{line}.”"))
    if not (line and lead and ask):
        return False
    draft.add(f"{lead} “{line}.”", "cue")
    return draft.add(ask, "ask")


def _never(_: str) -> bool:
    return False


_WRITERS = {
    "ask_slot": _write_ask,
    "clarify_slot": _write_clarify,
    "begin": _write_begin,
    "praise": _write_praise,
    "polish": _write_polish,
    "correct": _write_correct,
    "nudge": _write_nudge,
    "explain": _write_explain,
    "help": _write_help,
    "refocus": _write_refocus,
    "confirm": _write_confirm,
    "repeat": _write_repeat,
    "close": _write_close,
}

_PRACTICE = frozenset(["begin", "praise", "polish", "correct", "nudge", "help", "refocus", "confirm"])


def plan_of(decision: Decision) -> str:
    """Return the decision as the rationale that goes out with the answer and is read back on a restart."""
    return write_plan(
        move=decision.move,
        reason=decision.reason,
        slot=decision.slot or "",
        due=decision.due,
        focus=str(decision.focus) if decision.focus is not None else "",
        practice="yes" if decision.move in _PRACTICE else "",
    )


def _finish(draft: _Draft) -> list[Part]:
    plan = plan_of(draft.decision)
    end = len(draft.parts) - 1
    return [replace(part, plan=plan, last=index == end) for index, part in enumerate(draft.parts)]
