"""One session's evaluation, event by event: the same object serves the live session, the job and a replay.

Pure. What it says depends on the accepted events in stream order and on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.evaluator.metrics import compute_all
from services.evaluator.scorecard import Basis, Scorecard, build_scorecard
from services.evaluator.scoring import Scorer, TurnVerdict
from services.evaluator.timeline import Timeline, TimelineBuilder, Verdict
from services.evaluator.turns import Turn
from shared.coaching.detection import Detector
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import Knowledge, load_knowledge
from shared.events import Event, MetricValue, SessionEnded, Transcript, VoiceToCoach


class Evaluation:
    """Takes in events up to the session's end; what stands behind the end belongs to nobody."""

    def __init__(self, detector: Detector, knowledge: Knowledge | None = None) -> None:
        self._detector = detector
        self._knowledge = knowledge or load_knowledge()
        self._builder = TimelineBuilder()
        self._scorer = Scorer(detector, self._knowledge)
        self._due: str | None = None
        self.end_reason: str | None = None

    @property
    def timeline(self) -> Timeline:
        """What is known so far."""
        return self._builder.snapshot()

    @property
    def verdicts(self) -> tuple[TurnVerdict, ...]:
        """All verdicts so far, in the order in which they were given."""
        return self._scorer.verdicts

    def add(self, event: Event) -> Verdict:
        """Take in an event (cheap: no verdict, no metrics). After the end everything is `stale`."""
        if self.end_reason is not None:
            return "stale"
        verdict = self._builder.add(event)
        if verdict != "taken":
            return verdict
        self._scorer.take(event)
        body = event.body
        if isinstance(body, SessionEnded):
            self.end_reason = body.reason
        elif isinstance(body, VoiceToCoach) or (isinstance(body, Transcript) and body.final and body.speaker == "user"):
            self._due = body.turn
        return verdict

    @property
    def is_due(self) -> bool:
        """True if the last event made a user turn ready to be scored: call `score` before the next `add`."""
        return self._due is not None and not self._scorer.has(self._due)

    def score(self) -> TurnVerdict | None:
        """Score the turn that is due, if any. Runs the detector."""
        turn_id, self._due = self._due, None
        # Looked up among the turns, so that an acknowledgement that came as a turn is left out.
        turn = next((turn for turn in self.timeline.turns_of("user") if turn.id == turn_id), None)
        if turn is None or not turn.text.strip() or self._scorer.has(turn.id):
            return None
        return self._judge(turn, self.timeline.turns_of("hugo"))

    def score_rest(self) -> tuple[TurnVerdict, ...]:
        """At the session's end, score the user turns that never became final by the words known of them."""
        left = [t for t in self.timeline.turns_of("user") if t.text.strip() and not self._scorer.has(t.id)]
        hugo = self.timeline.turns_of("hugo")
        return tuple(self._judge(turn, hugo) for turn in left)

    def _judge(self, turn: Turn, hugo: tuple[Turn, ...]) -> TurnVerdict:
        """Score a turn; its phase goes back into the timeline, where metrics of a phase find it."""
        verdict = self._scorer.score(turn, hugo)
        self._builder.set_phase(turn.id, verdict.phase if verdict.is_scored else None)
        return verdict

    def metrics(self) -> tuple[MetricValue, ...]:
        """Return all metrics of the session so far."""
        return compute_all(self.timeline)

    def scorecard(self) -> Scorecard:
        """Return the scorecard of what was taken in; scores what is left first."""
        self.score_rest()
        basis = Basis(
            self._knowledge,
            self._detector.version,
            self._scorer.is_committed,
            self._scorer.is_coached,
            self.end_reason,
        )
        return build_scorecard(self.timeline, self.verdicts, self.metrics(), basis, self._notes())

    def _notes(self) -> list[str]:
        notes = []
        if not self._builder.is_started:
            notes.append("the beginning of the session is missing from the events: figures cover the rest only")
        if self.end_reason is None:
            notes.append("the session has not ended in these events")
        if self._builder.n_left_out:
            notes.append(f"{self._builder.n_left_out} events beyond the limit were left out")
        return notes


def evaluate_events(events: Iterable[Event], detector: Detector | None = None) -> Scorecard:
    """Return the scorecard of recorded events, the same bytes as the live session's."""
    evaluation = Evaluation(detector or default_detector())
    for event in events:
        evaluation.add(event)
        if evaluation.is_due:
            evaluation.score()
    return evaluation.scorecard()


def scorecard_bytes(events: Iterable[Event], detector: Detector | None = None) -> bytes:
    """Return the canonical JSON of the events' scorecard."""
    return evaluate_events(events, detector).to_bytes()
