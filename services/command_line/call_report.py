"""What a call looks like on a terminal or as JSON lines, and how fast Hugo answered. Pure; prints nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from services.command_line.client import Received
from services.command_line.recording import CallRecording
from shared.events import (
    Backchannel,
    CoachToVoice,
    EngineState,
    Event,
    Interrupted,
    MetricsUpdated,
    Notice,
    ProsodyMeasured,
    ScorecardReady,
    SessionEnded,
    SessionStarted,
    Transcript,
    TurnEnded,
    TurnScored,
    TurnStarted,
)

_MAX_PAIRS = 10_000


@dataclass(frozen=True, slots=True)
class AnswerLatency:
    """From the end of a user's speech to Hugo's answer, in ms.

    `turn_ms` is media time: the user's `TurnEnded.end_ms` to Hugo's `TurnStarted.start_ms`. `heard_ms` is what
    the caller lived through: from the moment those words ended to the arrival of the first sound of the answer;
    network, queues and the frame's own 80 ms are in it. Null: no such sound came.
    """

    user_turn: str
    hugo_turn: str
    user_end_ms: int
    turn_ms: int
    heard_ms: int | None


class LatencyMeter:
    """Pairs each Hugo turn with the user's turn that it follows. Bounded: later pairs are not kept."""

    def __init__(self, recording: CallRecording) -> None:
        self._recording = recording
        self._user: tuple[str, int] | None = None
        self._pairs: list[tuple[str, str, int, int]] = []

    def on_event(self, event: Event) -> None:
        """Take in an event of the session."""
        body = event.body
        if isinstance(body, TurnEnded) and body.speaker == "user":
            self._user = (body.turn, body.end_ms)
        elif isinstance(body, TurnStarted):
            if body.speaker == "user":
                self._user = None
            elif self._user and len(self._pairs) < _MAX_PAIRS:
                turn, end_ms = self._user
                self._pairs.append((turn, body.turn, end_ms, body.start_ms))
                self._user = None

    def latencies(self) -> list[AnswerLatency]:
        """Return the answers so far, in order."""
        return [self._measure(*pair) for pair in self._pairs]

    def _measure(self, user: str, hugo: str, end_ms: int, start_ms: int) -> AnswerLatency:
        said_s = self._recording.said_at_s(end_ms)
        sound = self._recording.first_sound(max(start_ms - 80, 0))
        heard = None if said_s is None or sound is None else round((sound.at_s - said_s) * 1000)
        return AnswerLatency(user, hugo, end_ms, start_ms - end_ms, heard)


def latency_line(latency: AnswerLatency) -> str:
    """Return the line that tells an answer's latency."""
    heard = "no sound" if latency.heard_ms is None else f"heard after {latency.heard_ms} ms"
    return f"         {latency.user_turn} -> {latency.hugo_turn}: {heard} ({latency.turn_ms} ms on media time)"


def describe(thing: Received, *, verbose: bool = False) -> str | None:
    """Return the line for something received; None for what a person need not see without `verbose`."""
    if thing.kind == "error":
        return f"  error  {thing.text}"
    if thing.event is None:
        return f"   meta  {_without_secrets(thing.data)}" if verbose and thing.data else None
    text = _words(thing.event, verbose)
    return f"{thing.event.media_ms / 1000:8.2f} {text}" if text else None


def as_json(thing: Received) -> dict[str, Any]:
    """Return something received as a JSON-ready object with its `type`."""
    if thing.kind in ("event", "metadata"):
        return {"type": thing.kind, thing.kind: _without_secrets(thing.data)}
    return {"type": thing.kind, "text": thing.text}


def latency_json(latency: AnswerLatency) -> dict[str, Any]:
    """Return a latency in camelCase."""
    names = {"user_turn": "userTurn", "hugo_turn": "hugoTurn", "user_end_ms": "userEndMs"}
    names |= {"turn_ms": "turnMs", "heard_ms": "heardMs"}
    return {"type": "latency", **{names[key]: value for key, value in asdict(latency).items()}}


def _without_secrets(data: dict[str, Any]) -> dict[str, Any]:
    """A resume token gives its bearer the session: it is for the program that calls, not for its output."""
    return {key: "..." if key == "resumeToken" else value for key, value in data.items()}


def _words(event: Event, verbose: bool) -> str | None:
    body = event.body
    match body:
        case Transcript():
            return _transcript(body) if body.final or verbose else None
        case CoachToVoice():
            hints = body.delivery_hints
            extras = [body.brain, *body.techniques, f"pace {hints.pacing}", f"tone {hints.tone}"]
            return f"[hint] {', '.join(extras)}: {body.response_text}"
        case ProsodyMeasured():
            whole_turn = event.id.endswith(":final")  # the others are of a second each
            return f"[prosody] {_prosody(body)}" if whole_turn or verbose else None
        case TurnScored():
            return (
                f"[score] {body.turn}: {', '.join(body.techniques) or 'no technique'}, {body.quality or 'not scored'}"
            )
        case ScorecardReady():
            return f"[scorecard] version {body.evaluator_version}"
        case _:
            return _events_of_course(event, verbose)


def _events_of_course(event: Event, verbose: bool) -> str | None:
    """The course of the call: states, cuts, notices; and with `verbose` turns and figures."""
    body = event.body
    match body:
        case SessionStarted():
            return f"[session] {body.engine}, {body.language}"
        case SessionEnded():
            return f"[session] ended: {body.reason} {body.detail}".rstrip()
        case EngineState():
            return f"[engine] {body.engine} {body.state} {body.detail}".rstrip()
        case Interrupted():
            return f"[interrupt] {body.turn} was cut by {body.by}"
        case Notice():
            return f"[{body.level}] {body.message}"
        case _:
            return _only_verbose(event) if verbose else None


def _only_verbose(event: Event) -> str | None:
    body = event.body
    match body:
        case TurnStarted():
            return f"[turn] {body.turn} {body.speaker} begins at {body.start_ms / 1000:.2f}"
        case TurnEnded():
            return f"[turn] {body.turn} {body.speaker} ends at {body.end_ms / 1000:.2f}: {body.reason}"
        case Backchannel():
            return f"[backchannel] {body.speaker}: {body.text}"
        case MetricsUpdated():
            known = [f"{m.name} {m.value:g} {m.unit}".rstrip() for m in body.metrics if m.value is not None]
            return f"[metrics] {', '.join(known)}"
        case _:
            return f"[{body.kind}]"


def _transcript(body: Transcript) -> str:
    mark = "" if body.final else " ..."
    return f"{body.speaker:>5} ({body.start_ms / 1000:.2f} to {body.end_ms / 1000:.2f}): {body.text}{mark}"


def _prosody(body: ProsodyMeasured) -> str:
    inferred = body.prosody
    parts = [f"{body.turn}: pace {body.speech_pace}"]
    for name, value in (("energy", inferred.energy), ("confidence", inferred.confidence)):
        parts.append(f"{name} {'not inferred' if value is None else f'{value:.2f}'}")
    parts.append(f"emotion {inferred.emotion or 'not inferred'}")
    if body.f0_median_hz is not None:
        parts.append(f"pitch {body.f0_median_hz:.0f} Hz")
    return ", ".join(parts)
