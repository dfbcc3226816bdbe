"""The verdict on each user turn: what the detector is told, what it found, how the customer's mood was met.

Pure. Emotion is no input: the scorer sees words, phases and attitudes of the simulated customer, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from services.evaluator.turns import Turn
from shared.coaching.conversation import Conversation, read_plan
from shared.coaching.detection import Detection, Detector
from shared.coaching.knowledge import Knowledge, Quality
from shared.events import CoachToVoice, Event, SessionStarted, Transcript, TurnScored, VoiceToCoach

MAX_EVIDENCE_CHARS = 200
COMMITMENT = "2.4"


@dataclass(frozen=True, slots=True)
class TurnVerdict:
    """What one user turn shows.

    `attitude` is the customer's before it, `expected` what that called for, `is_handled` whether a technique
    of the turn answers it (None: no attitude, or the turn is not scored). `is_scored` False is talk to the
    coach, or half a turn in which nothing was found. `is_final` False: a partial transcript, cut by the session's end.
    """

    turn: str
    start_ms: int
    end_ms: int
    techniques: tuple[str, ...]
    quality: Quality | None
    phase: int | None
    errors: tuple[str, ...]
    evidence: str
    attitude: str | None
    expected: tuple[str, ...]
    is_handled: bool | None
    is_scored: bool
    is_final: bool

    def body(self) -> TurnScored:
        """Return the verdict as the event that clients see."""
        return TurnScored(
            turn=self.turn,
            techniques=self.techniques,
            quality=self.quality,
            phase=self.phase,
            errors=self.errors,
            evidence=self.evidence,
        )


class Scorer:
    """Scores user turns in the order in which they become final.

    What one turn means for the next (phase, gate, attitude, talk to the coach) is `Conversation`'s, the same
    fold that the coach uses, so that both see the same talk. Hugo speaks as the coach once an answer with a
    plan behind it came from the coach: the customer is then only who the coach quotes. Before that, and in
    sessions without a coach, Hugo is the customer himself.
    """

    def __init__(self, detector: Detector, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._talk = Conversation(knowledge, detector)
        self._is_coached = False
        self._heard: set[str] = set()
        self._verdicts: dict[str, TurnVerdict] = {}

    @property
    def is_committed(self) -> bool:
        """True once the customer gave a clear yes to 2.4, or practice began behind that gate by agreement."""
        return self._talk.committed

    @property
    def is_coached(self) -> bool:
        """True if Hugo speaks as the coach and lends the customer a voice."""
        return self._is_coached

    @property
    def verdicts(self) -> tuple[TurnVerdict, ...]:
        """All verdicts in the order in which they were given."""
        return tuple(self._verdicts.values())

    def has(self, turn_id: str) -> bool:
        """Tell whether a turn has its verdict."""
        return turn_id in self._verdicts

    def take(self, event: Event) -> None:
        """Take in what the coach plans and what Hugo says; user turns come through `score`."""
        body = event.body
        if isinstance(body, CoachToVoice):
            self._is_coached = self._is_coached or bool(read_plan(body.rationale))
        if isinstance(body, SessionStarted) or (self._is_coached and not isinstance(body, VoiceToCoach)):
            self._talk.apply(event)
            if isinstance(body, Transcript) and body.final:
                self._heard.add(body.turn)

    def score(self, turn: Turn, hugo_turns: Iterable[Turn]) -> TurnVerdict:
        """Return the verdict on a user turn; `hugo_turns` are Hugo's so far, in order. A turn is scored once."""
        if turn.id in self._verdicts:
            return self._verdicts[turn.id]
        if not self._is_coached:
            self._hear_customer(turn, hugo_turns)
        heard = self._talk.hear_user(turn.id, turn.text, turn.language)
        found = heard.detection
        if not turn.is_final and found.quality == "missed":
            # Half a turn shows what was said, never what was left out.
            found = replace(found, scored=False, quality=None, errors=())
        verdict = self._verdicts[turn.id] = self._judge(turn, found, heard.attitude)
        return verdict

    def _hear_customer(self, turn: Turn, hugo_turns: Iterable[Turn]) -> None:
        for said in hugo_turns:
            if said.start_ms <= turn.start_ms and said.id not in self._heard and said.text:
                self._heard.add(said.id)
                self._talk.hear_customer(said.text, said.language)

    def _judge(self, turn: Turn, found: Detection, attitude: str | None) -> TurnVerdict:
        is_handled: bool | None = None
        if attitude is not None and found.scored and found.expected:
            is_handled = found.quality in {"ok", "partial"} and any(
                self._knowledge.is_within(item, wanted) for item in found.techniques for wanted in found.expected
            )
        return TurnVerdict(
            turn=turn.id,
            start_ms=turn.start_ms,
            end_ms=turn.end_ms,
            techniques=found.techniques,
            quality=found.quality,
            phase=found.phase,
            errors=found.errors,
            evidence=found.evidence[:MAX_EVIDENCE_CHARS],
            attitude=attitude,
            expected=found.expected,
            is_handled=is_handled,
            is_scored=found.scored,
            is_final=turn.is_final,
        )
