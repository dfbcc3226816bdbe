"""The state of one coaching talk: phase and gate, techniques, themes, context, and what Hugo really said.

Pure: it is built from events, and from the same events it is always the same. Every list is bounded; the
oldest goes first.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from shared.coaching.cues import customer_line
from shared.coaching.detection import Detection, DetectionContext, Detector
from shared.coaching.knowledge import Knowledge
from shared.coaching.slots import Slot, find_slots
from shared.coaching.words import words
from shared.events import (
    CoachToVoice,
    Event,
    Interrupted,
    Language,
    SessionStarted,
    Transcript,
    VoiceToCoach,
)

T = TypeVar("T")

MAX_TURNS = 500
MAX_SAID = 5_000
MAX_CUSTOMER_CHARS = 2_000
COMMITMENT = "2.4"
_OFF_RAMPS = frozenset(["bezwaar", "angst", "uitstel", "twijfel"])


@dataclass(frozen=True, slots=True)
class UserTurn:
    """One finished turn of the seller. `attitude` is the customer's stance that it had to answer."""

    turn: str
    text: str
    language: Language
    detection: Detection
    attitude: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """What was really said, in order. `speaker` is user or hugo."""

    speaker: str
    turn: str
    text: str


class Conversation:
    """The talk so far. Feed it with `apply` (events), or turn by turn with `hear_*` and `plan`."""

    def __init__(self, knowledge: Knowledge, detector: Detector, language: Language = "nl", locale: str = "") -> None:
        self.knowledge = knowledge
        self.language: Language = language
        self.locale = locale
        self.persona = ""
        self.phase: int | None = None
        self.committed = False
        self.attitude: str | None = None
        self.done: deque[str] = deque(maxlen=MAX_TURNS)
        self.themes: set[str] = set()
        self.slots: dict[Slot, str] = {}
        self.asked: dict[Slot, int] = {}
        self.lines: deque[Line] = deque(maxlen=MAX_TURNS)
        self.practising = False
        self.last_plan: Mapping[str, str] = {}
        self._detector = detector
        self._turns: OrderedDict[str, UserTurn] = OrderedDict()
        self._said: OrderedDict[str, None] = OrderedDict()
        self._pending: list[str] = []  # planned chunks that may not have been heard yet
        self._planned: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._customer_text = ""
        self._to_coach = False
        self._hugo_final: OrderedDict[str, None] = OrderedDict()

    # --- reading

    @property
    def turns(self) -> tuple[UserTurn, ...]:
        """The seller's turns, oldest first."""
        return tuple(self._turns.values())

    @property
    def context(self) -> DetectionContext:
        """What a detector may know before the next turn."""
        return DetectionContext(
            phase=self.phase,
            attitude=self.attitude,
            customer_text=self._customer_text,
            done=tuple(self.done),
            committed=self.committed,
            to_coach=self._to_coach,
        )

    def has_said(self, sentence: str) -> bool:
        """Tell whether Hugo has said or planned a sentence with these words before."""
        return _key(sentence) in self._said

    # --- what happens

    def apply(self, event: Event) -> None:
        """Take in an event; kinds that do not matter here change nothing, and neither does one seen before."""
        match event.body:
            case SessionStarted() as body:
                self.language, self.locale, self.persona = body.language, body.locale, body.persona
            case VoiceToCoach() as body:
                self.hear_user(body.turn, body.transcript, body.language)
            case CoachToVoice() as body:
                self.plan(body)
            case Transcript(speaker="hugo", final=True) as body:
                self.hear_hugo(body.turn, body.text)
            case Interrupted(by="user") as body:
                self._drop(body.heard_text)
            case _:
                pass

    def hear_user(self, turn: str, text: str, language: Language | None = None) -> UserTurn:
        """Judge a turn of the seller and move on. The same turn again returns the first verdict."""
        if turn in self._turns:
            return self._turns[turn]
        self._assume_heard()
        spoken: Language = language or self.language
        asked = _as_slot(self.last_plan.get("slot"))
        detection = self._detector.detect(text, spoken, self.context)
        if asked and not detection.techniques:
            detection = Detection(scored=False, question_forms=detection.question_forms, phase=self.phase)
        heard = UserTurn(turn, text, spoken, detection, self.attitude)
        self._turns[turn] = heard
        if len(self._turns) > MAX_TURNS:
            self._turns.popitem(last=False)
        self.lines.append(Line("user", turn, text))
        if detection.scored:
            self._move_on(detection)
        else:
            self._learn(text, spoken, asked)
        self._to_coach = False
        return heard

    def hear_customer(self, text: str, language: Language | None = None) -> str | None:
        """Take in a customer's line; return the attitude in it.

        Only a clear yes to a commitment question (2.4) opens phase 3; the question alone does not.
        """
        spoken: Language = language or self.language
        self._customer_text = f"{self._customer_text}\n{text}".strip()[-MAX_CUSTOMER_CHARS:]
        self.attitude = self._detector.attitude(text, spoken, self.phase)
        if self.done and self.done[-1] == COMMITMENT and self._detector.is_clear_yes(text, spoken):
            self.committed = True
            self.attitude = "positief"
        return self.attitude

    def focus(self, phase: int) -> None:
        """Start practice in a phase by agreement: the customer's yes is then taken as given."""
        self.phase = phase
        self.committed = phase >= 3

    def plan(self, chunk: CoachToVoice) -> None:
        """Take in what Hugo is about to say. It counts as said only once it was heard; see `hear_hugo`."""
        if (chunk.turn, chunk.chunk) in self._planned:
            return
        if chunk.chunk == 0:
            self._pending = []
        _remember(self._planned, (chunk.turn, chunk.chunk), MAX_SAID)
        self._pending.append(chunk.response_text)
        line = customer_line(chunk.response_text, self.language)
        for sentence in (*split_sentences(chunk.response_text), *([line] if line else [])):
            _remember(self._said, _key(sentence), MAX_SAID)
        plan = read_plan(chunk.rationale)
        if plan and chunk.chunk == 0:
            self.last_plan = plan
            self.practising = self.practising or plan.get("practice") == "yes"
            slot = _as_slot(plan.get("slot"))
            if slot:
                self.asked[slot] = self.asked.get(slot, 0) + 1
            if plan.get("focus", "").isdigit():
                self.focus(int(plan["focus"]))

    def hear_hugo(self, turn: str, text: str) -> None:
        """Take in what Hugo really said: an interrupted answer counts as far as it was heard."""
        if not text or turn in self._hugo_final:
            return
        _remember(self._hugo_final, turn, MAX_SAID)
        self.lines.append(Line("hugo", turn, text))
        self._pending = []
        self._take_in(text)

    # --- inside

    def _move_on(self, detection: Detection) -> None:
        self.practising = self.practising or bool(detection.techniques)
        for technique in detection.techniques:
            self.done.append(technique)
            theme = self.knowledge.technique(technique).theme
            if theme:
                self.themes.add(theme)
        phase = detection.phase
        if phase is not None and self._may_enter(phase, detection):
            self.committed = self.committed or (self.phase is None and phase >= 3)
            self.phase = phase
        # An off-ramp stays open until it was dealt with; a passing remark is answered once.
        if self.attitude not in _OFF_RAMPS or detection.quality == "ok":
            self.attitude = None

    def _may_enter(self, phase: int, detection: Detection) -> bool:
        if phase <= 2 or self.committed:
            return True
        # The first line of a practice may start late in the talk on purpose; a pitch may not.
        return self.phase is None and not {"3.2", "3.3", "3.4"} & set(detection.techniques)

    def _learn(self, text: str, language: Language, asked: Slot | None) -> None:
        for slot, value in find_slots(text, language, asked).items():
            if slot not in self.slots or slot == asked:
                self.slots[slot] = value

    def _assume_heard(self) -> None:
        """Where no transcript of Hugo came (a text-only client), the plan counts as said."""
        if self._pending:
            text = " ".join(self._pending)
            self._pending = []
            self.lines.append(Line("hugo", "", text))
            self._take_in(text)

    def _drop(self, heard: str) -> None:
        self._pending = [heard] if heard else []

    def _take_in(self, text: str) -> None:
        line = customer_line(text, self.language)
        if line:
            self.hear_customer(line)
        self._to_coach = line is None and text.rstrip().endswith("?")


def split_sentences(text: str) -> tuple[str, ...]:
    """Return the sentences of what Hugo says, with their marks."""
    found: list[str] = []
    start = 0
    for index, char in enumerate(text):
        ends = char in ".!?…" and (index + 1 == len(text) or text[index + 1] in ' \n”"')
        if ends:
            found.append(text[start : index + 1].strip(' \n”"'))
            start = index + 1
    rest = text[start:].strip(' \n”"')
    return tuple(item for item in (*found, rest) if item)


def write_plan(**parts: str) -> str:
    """Return the rationale of an answer: `move=retry; reason=stacked_questions`."""
    return "; ".join(f"{key}={value}" for key, value in parts.items() if value)


def read_plan(rationale: str) -> dict[str, str]:
    """Return the parts of a rationale; {} where it is not of that form."""
    pairs = [part.partition("=") for part in rationale.split("; ")]
    return {key: value for key, mark, value in pairs if mark and key}


def _remember(seen: OrderedDict[T, None], item: T, limit: int) -> None:
    seen[item] = None
    if len(seen) > limit:
        seen.popitem(last=False)


def _as_slot(name: str | None) -> Slot | None:
    match name:
        case "product" | "customer_type" | "sector" | "channel" | "experience":
            return name
        case _:
            return None


def _key(sentence: str) -> str:
    return " ".join(words(sentence))
