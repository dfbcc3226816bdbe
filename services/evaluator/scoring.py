"""The verdict on each user turn: what the detector is told, what it found, how the customer's mood was met.

Pure. Emotion is no input: the scorer sees words, phases and attitudes of the simulated customer, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from services.evaluator.judge import Judge
from services.evaluator.timeline import Turn
from shared.coaching.detection import Detection, DetectionContext
from shared.coaching.knowledge import Knowledge, Quality
from shared.events import TurnScored

MAX_EVIDENCE_CHARS = 200
MAX_CUSTOMER_CHARS = 2_000
"""Of what the customer said, so much is kept as context, the newest."""

COMMITMENT = "2.4"
NO_GATE = "no_commitment_before_phase3"


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
    """Scores user turns in the order in which they become final, and keeps what the next one depends on.

    State: the phase of the talk, techniques so far, the customer's words and attitude, and whether a clear yes
    to a commitment question (2.4) was given. Only that yes opens phase 3; asking alone does not.
    """

    def __init__(self, detector: Judge, knowledge: Knowledge) -> None:
        self._detector = detector
        self._knowledge = knowledge
        self._phase: int | None = None
        self._done: list[str] = []
        self._customer_text = ""
        self._attitude: str | None = None
        self._heard: set[str] = set()
        self._verdicts: dict[str, TurnVerdict] = {}
        self._awaits_yes = False
        self.is_committed = False

    @property
    def verdicts(self) -> tuple[TurnVerdict, ...]:
        """All verdicts in the order in which they were given."""
        return tuple(self._verdicts.values())

    def has(self, turn_id: str) -> bool:
        """Tell whether a turn has its verdict."""
        return turn_id in self._verdicts

    def score(self, turn: Turn, hugo_turns: Iterable[Turn]) -> TurnVerdict:
        """Return the verdict on a user turn; `hugo_turns` are Hugo's so far, in order. A turn is scored once."""
        if turn.id in self._verdicts:
            return self._verdicts[turn.id]
        for said in hugo_turns:
            if said.start_ms <= turn.start_ms and said.id not in self._heard and said.text:
                self._hear(said)
        context = DetectionContext(
            phase=self._phase,
            attitude=self._attitude,
            customer_text=self._customer_text,
            done=tuple(self._done),
            committed=self.is_committed,
        )
        found = self._detector.detect(turn.text, turn.language, context)
        if not turn.is_final and found.quality == "missed":
            # Half a turn shows what was said, never what was left out.
            found = replace(found, scored=False, quality=None, errors=())
        verdict = self._judge(turn, found)
        self._verdicts[turn.id] = verdict
        self._move_on(found)
        return verdict

    def _hear(self, said: Turn) -> None:
        self._heard.add(said.id)
        self._customer_text = f"{self._customer_text}\n{said.text}".strip()[-MAX_CUSTOMER_CHARS:]
        self._attitude = self._detector.attitude(said.text, said.language, self._phase)
        if self._awaits_yes:
            self.is_committed = self.is_committed or self._detector.is_clear_yes(said.text, said.language)
            self._awaits_yes = False

    def _judge(self, turn: Turn, found: Detection) -> TurnVerdict:
        is_handled: bool | None = None
        if self._attitude is not None and found.scored and found.expected:
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
            attitude=self._attitude,
            expected=found.expected,
            is_handled=is_handled,
            is_scored=found.scored,
            is_final=turn.is_final,
        )

    def _move_on(self, found: Detection) -> None:
        if not found.scored:
            return
        self._done += [item for item in found.techniques if item not in self._done]
        self._awaits_yes = COMMITMENT in found.techniques and found.quality in {"ok", "partial"}
        if found.phase is not None and NO_GATE not in found.errors:
            self._phase = found.phase  # a pitch before the customer's yes does not move the talk on
        self._attitude = None  # an attitude calls for an answer once; a second turn in a row starts afresh
