"""What a page about one recording shows: turns, marks, scores and where they come from. Pure; renders nothing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.evaluator.evaluation import Evaluation
from services.evaluator.intervals import Interval, overlap
from services.evaluator.recording.reader import Recording
from services.evaluator.report.evidence import Place, places_of
from services.evaluator.scoring import COMMITMENT, TurnVerdict
from services.evaluator.timeline import Timeline
from services.evaluator.turns import Ack, Turn
from shared.coaching.detection import Detector
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import Knowledge, load_knowledge
from shared.events import CoachToVoice, Event, Interrupted, ProsodyMeasured, Speaker


@dataclass(frozen=True, slots=True)
class Cut:
    """A turn that the other cut short, and what was left unsaid of it."""

    turn: str
    by: Speaker
    at_ms: int
    dropped: str = ""


@dataclass(frozen=True, slots=True)
class Hint:
    """What the coach sent to the voice: the words, how to say them, and what it expects of the seller."""

    at_ms: int
    turn: str
    text: str
    tone: str
    pacing: str
    techniques: tuple[str, ...]
    expected: tuple[str, ...]
    phase: int | None


@dataclass(frozen=True, slots=True)
class Attitude:
    """An attitude of the customer's, at the end of the turn that showed it."""

    key: str
    at_ms: int
    turn: str
    is_handled: bool | None
    answered_by: str
    expected: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TurnView:
    """A turn as it is shown."""

    turn: Turn
    verdict: TurnVerdict | None = None
    attitude: Attitude | None = None
    cut: Cut | None = None
    prosody: ProsodyMeasured | None = None


@dataclass(frozen=True)
class SessionView:
    """Everything that a page shows of one recording."""

    recording: Recording
    timeline: Timeline
    card: dict[str, Any]
    knowledge: Knowledge
    turns: tuple[TurnView, ...]
    cuts: tuple[Cut, ...]
    hints: tuple[Hint, ...]
    attitudes: tuple[Attitude, ...]
    overlaps: tuple[Interval, ...]
    phases: tuple[tuple[int, Interval], ...]
    length_ms: int
    evidence: dict[str, tuple[Place, ...]] = field(default_factory=dict)
    """By what it is evidence of: `metric:<name>`, `phase:<n>`, `technique:<id>`, `error:<code>`, `gate`, `themes`."""

    @property
    def acks(self) -> tuple[Ack, ...]:
        return self.timeline.backchannels

    @property
    def has_words(self) -> bool:
        """False where the user did not allow words to be kept: then nothing could be judged."""
        return not any(each.what == "words" for each in self.recording.manifest.left_out)

    @property
    def has_sound(self) -> bool:
        return bool(self.recording.packets)

    @property
    def why_no_sound(self) -> str:
        """Return the reason that the recording gives for having no sound, "" if there is none."""
        left = {each.what: each.why for each in self.recording.manifest.left_out}
        return left.get("output.ogg") or left.get("input.ogg") or "not_recorded"


def session_view(recording: Recording, detector: Detector | None = None) -> SessionView:
    """Return what a page shows of a recording. The scorecard is computed from its events, as the live one was."""
    knowledge = load_knowledge()
    evaluation = Evaluation(detector or default_detector(), knowledge)
    for event in recording.events:
        evaluation.add(event)
        if evaluation.is_due:
            evaluation.score()
    card = evaluation.scorecard().data
    timeline, verdicts = evaluation.timeline, evaluation.verdicts
    attitudes = _attitudes(timeline, verdicts)
    cuts = _cuts(timeline, recording.events)
    manifest = recording.manifest
    samples = [track.n_samples // 24 for track in manifest.tracks.values()]
    view = SessionView(
        recording=recording,
        timeline=timeline,
        card=card,
        knowledge=knowledge,
        turns=_turns(timeline, verdicts, attitudes, cuts),
        cuts=cuts,
        hints=_hints(recording.events),
        attitudes=attitudes,
        overlaps=overlap(timeline.turn_speech("user"), timeline.turn_speech("hugo")),
        phases=_phases(timeline),
        length_ms=max([1, manifest.clocks.media_ms, timeline.span.end_ms, *samples]),
    )
    view.evidence.update(_evidence(view, verdicts))
    return view


def _turns(
    timeline: Timeline, verdicts: Sequence[TurnVerdict], attitudes: Sequence[Attitude], cuts: Sequence[Cut]
) -> tuple[TurnView, ...]:
    by_turn = {verdict.turn: verdict for verdict in verdicts}
    felt = {attitude.turn: attitude for attitude in attitudes}
    cut = {each.turn: each for each in cuts}
    measured: dict[str, ProsodyMeasured] = {}
    for item in timeline.prosody:
        known = measured.get(item.turn)
        if known is None or item.end_ms - item.start_ms > known.end_ms - known.start_ms:
            measured[item.turn] = item
    return tuple(
        TurnView(turn, by_turn.get(turn.id), felt.get(turn.id), cut.get(turn.id), measured.get(turn.id))
        for turn in timeline.turns
    )


def _cuts(timeline: Timeline, events: Sequence[Event]) -> tuple[Cut, ...]:
    dropped = {event.body.turn: event.body.dropped_text for event in events if isinstance(event.body, Interrupted)}
    return tuple(Cut(cut.turn, cut.by, cut.at_ms, dropped.get(cut.turn, "")) for cut in timeline.cuts)


def _hints(events: Sequence[Event]) -> tuple[Hint, ...]:
    """Return one hint for each answer of the coach's: its sentences joined."""
    found: dict[tuple[str, str], Hint] = {}
    for event in events:
        body = event.body
        if not isinstance(body, CoachToVoice):
            continue
        key = (event.source, body.turn)
        known = found.get(key)
        if known is None:
            found[key] = Hint(
                event.media_ms,
                body.turn,
                body.response_text,
                body.delivery_hints.tone,
                body.delivery_hints.pacing,
                body.techniques,
                body.expected,
                body.phase,
            )
        elif body.chunk > 0 and body.response_text not in known.text:
            text = f"{known.text} {body.response_text}"
            expected = known.expected or body.expected
            found[key] = Hint(
                known.at_ms, known.turn, text, known.tone, known.pacing, known.techniques, expected, known.phase
            )
    return tuple(sorted(found.values(), key=lambda hint: hint.at_ms))


def _attitudes(timeline: Timeline, verdicts: Sequence[TurnVerdict]) -> tuple[Attitude, ...]:
    """Return the customer's attitudes, each at the last turn of Hugo's before the seller's that was judged with it."""
    hugo = timeline.turns_of("hugo")
    starts = [turn.start_ms for turn in hugo]
    found: dict[str, Attitude] = {}
    for verdict in verdicts:
        index = bisect_right(starts, verdict.start_ms) - 1
        if verdict.attitude is None or index < 0:
            continue
        turn = hugo[index]
        found.setdefault(
            turn.id,
            Attitude(verdict.attitude, turn.end_ms, turn.id, verdict.is_handled, verdict.turn, verdict.expected),
        )
    return tuple(found.values())


def _phases(timeline: Timeline) -> tuple[tuple[int, Interval], ...]:
    """Return the phases that the talk went through: from a judged turn of the seller's to the next of another phase."""
    parts: list[tuple[int, Interval]] = []
    for turn in timeline.turns_of("user"):
        if turn.phase is None:
            continue
        if parts and parts[-1][0] == turn.phase:
            continue
        if parts:
            before, part = parts[-1]
            parts[-1] = (before, Interval(part.start_ms, turn.start_ms))
        parts.append((turn.phase, Interval(turn.start_ms, timeline.span.end_ms)))
    return tuple(parts)


def _evidence(view: SessionView, verdicts: Sequence[TurnVerdict]) -> dict[str, tuple[Place, ...]]:
    found: dict[str, list[Place]] = {}
    for verdict in verdicts:
        place = Place(verdict.start_ms, verdict.end_ms, ", ".join(verdict.techniques))
        if verdict.is_scored and verdict.techniques:
            found.setdefault(f"phase:{verdict.phase}", []).append(place)
        for technique in verdict.techniques:
            found.setdefault(f"technique:{technique}", []).append(place)
            if view.knowledge.technique(technique).theme:
                found.setdefault("themes", []).append(place)
            if view.knowledge.is_within(technique, COMMITMENT):
                found.setdefault("gate", []).append(place)
        for code in verdict.errors:
            found.setdefault(f"error:{code}", []).append(Place(verdict.start_ms, verdict.end_ms))
    for attitude in view.attitudes:
        name = view.knowledge.attitudes[attitude.key].name(view.timeline.language)
        found.setdefault("attitudes", []).append(Place(max(0, attitude.at_ms - 3_000), attitude.at_ms, name))
    for metric in view.card["metrics"]:
        if places := places_of(metric["name"], view.timeline):
            found[f"metric:{metric['name']}"] = list(places)
    return {key: tuple(places) for key, places in found.items()}
