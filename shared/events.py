"""The typed messages on a session's `events` stream: what each means, its fields, units and bounds.

Bodies are frozen dataclasses; pydantic checks them where they come from outside (`wire`, `event_json`).
In Python and on the broker names are snake_case; on JSON surfaces they are camelCase. A new kind goes
into `Body`; a changed meaning raises `SCHEMA_VERSION`.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as _field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

SCHEMA_VERSION = 1

Role = Literal["edge", "voice", "coach", "evaluator"]
Speaker = Literal["user", "hugo"]
Language = Literal["nl", "en"]
Pace = Literal["slow", "normal", "fast"]
Tone = Literal["supportive", "challenging", "neutral"]
Emotion = Literal["neutral", "frustrated", "excited", "uncertain"]
Profile = Literal["workplace", "education", "personal_training", "research"]
VoiceMode = Literal["free", "guided", "scripted"]
"""Who decides a full-duplex voice's words: the voice; the coach when it has something to say; the coach alone."""

Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Ms = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(max_length=20_000)]

_CONFIG = ConfigDict(extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


@dataclass(frozen=True, slots=True)
class Consent:
    """What the user allows. Each switch is off until it is given, and may be taken back at any time."""

    __pydantic_config__ = _CONFIG
    store_audio: bool = False
    store_transcript: bool = False
    emotion: bool = False


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """The edge opened a session. `media_ms` of the event is 0. `mode` and `seed` null: the engine's own."""

    __pydantic_config__ = _CONFIG
    engine: str
    language: Language
    locale: str = ""
    voice: str = ""
    persona: Text = ""
    profile: Profile = "workplace"
    consent: Consent = Consent()
    mode: VoiceMode | None = None
    seed: int | None = None
    kind: Literal["session_started"] = "session_started"


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session is over; no role publishes for it after its own last words.

    `reason`: client_closed | client_lost | idle | max_time | drained | engine_failed | state_lost | refused |
    limit.
    """

    __pydantic_config__ = _CONFIG
    reason: str
    detail: str = ""
    kind: Literal["session_ended"] = "session_ended"


@dataclass(frozen=True, slots=True)
class EngineState:
    """What the voice engine is doing for this session. `ready` is what the client's handshake waits for."""

    __pydantic_config__ = _CONFIG
    state: Literal["starting", "ready", "degraded", "migrating", "resumed", "failed", "ended"]
    engine: str
    detail: str = ""
    kind: Literal["engine_state"] = "engine_state"


@dataclass(frozen=True, slots=True)
class ConsentChanged:
    """The user changed a consent switch; it holds from this event on."""

    __pydantic_config__ = _CONFIG
    consent: Consent
    kind: Literal["consent_changed"] = "consent_changed"


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A speaker began a turn; backchannels are no turns. `answers`: the `turn` of the CoachToVoice that Hugo says."""

    __pydantic_config__ = _CONFIG
    turn: str
    speaker: Speaker
    start_ms: Ms
    answers: str | None = None
    kind: Literal["turn_started"] = "turn_started"


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """A turn is over. `end_ms` is the end of the speech, not the moment it was noticed (that is `media_ms`)."""

    __pydantic_config__ = _CONFIG
    turn: str
    speaker: Speaker
    start_ms: Ms
    end_ms: Ms
    reason: Literal["complete", "interrupted", "session_ended"] = "complete"
    kind: Literal["turn_ended"] = "turn_ended"


@dataclass(frozen=True, slots=True)
class Word:
    """One word with its place in media time. `confidence` is null where the recogniser gives none."""

    __pydantic_config__ = _CONFIG
    text: str
    start_ms: Ms
    end_ms: Ms
    confidence: Unit | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said in a turn. A partial (`final` false) replaces the partial before it.

    For Hugo it holds only what was really spoken: an interrupted answer ends at the last word heard.
    """

    __pydantic_config__ = _CONFIG
    turn: str
    speaker: Speaker
    text: Text
    final: bool
    start_ms: Ms
    end_ms: Ms
    language: Language
    words: tuple[Word, ...] = ()
    confidence: Unit | None = None
    kind: Literal["transcript"] = "transcript"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word that the voice says now, with its leading space; in order they make Hugo's transcript."""

    __pydantic_config__ = _CONFIG
    turn: str
    text: Text
    start_ms: Ms
    kind: Literal["spoken"] = "spoken"


@dataclass(frozen=True, slots=True)
class Prosody:
    """How it was said. Null means "not inferred" (by law, by consent or for lack of speech), never neutral."""

    __pydantic_config__ = _CONFIG
    confidence: Unit | None = None
    emotion: Emotion | None = None
    energy: Unit | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """When and how fast it was said. `pause_duration` is in seconds: the silence before this turn's speech."""

    __pydantic_config__ = _CONFIG
    word_timestamps: tuple[Word, ...] = ()
    speech_pace: Pace = "normal"
    pause_duration: Annotated[float, Field(ge=0.0)] = 0.0


@dataclass(frozen=True, slots=True)
class ProsodyMeasured:
    """Acoustic measures of one stretch of a user's turn; null where the stretch is too short to tell.

    `f0_median_hz` Hz, `f0_range_st` semitones (10th to 90th percentile), `f0_sd_st` semitones, `loudness_db`
    dB re full scale, `loudness_sd_db` dB, `syllables_per_s` articulation rate without pauses, `words_per_min`
    from word times, `pause_share` 0..1 of the stretch, `quality` 0..1 how much speech it rests on.
    """

    __pydantic_config__ = _CONFIG
    turn: str
    start_ms: Ms
    end_ms: Ms
    prosody: Prosody
    speech_pace: Pace = "normal"
    f0_median_hz: float | None = None
    f0_range_st: float | None = None
    f0_sd_st: float | None = None
    loudness_db: float | None = None
    loudness_sd_db: float | None = None
    syllables_per_s: float | None = None
    words_per_min: float | None = None
    pause_share: Unit | None = None
    quality: Unit = 0.0
    kind: Literal["prosody"] = "prosody"


@dataclass(frozen=True, slots=True)
class VoiceToCoach:
    """Voice -> coach, the first message of the split brain: a user's finished turn, and how it was said.

    `interrupt` is true if the user took the floor while Hugo spoke.
    """

    __pydantic_config__ = _CONFIG
    turn: str
    transcript: Text
    timing: Timing
    prosody: Prosody
    interrupt: bool
    language: Language
    start_ms: Ms
    end_ms: Ms
    asr_confidence: Unit | None = None
    kind: Literal["voice_to_coach"] = "voice_to_coach"


@dataclass(frozen=True, slots=True)
class Pause:
    """A silence of `duration` seconds after the words `after` (as they stand in the text)."""

    __pydantic_config__ = _CONFIG
    after: str
    duration: Annotated[float, Field(ge=0.0, le=10.0)]


@dataclass(frozen=True, slots=True)
class DeliveryHints:
    """How to say it. `emphasis` lists words of the text."""

    __pydantic_config__ = _CONFIG
    pacing: Pace = "normal"
    emphasis: tuple[str, ...] = ()
    pauses: tuple[Pause, ...] = ()
    tone: Tone = "neutral"


@dataclass(frozen=True, slots=True)
class CoachToVoice:
    """Coach -> voice, the second message: what to say and how. Sentence by sentence: chunk 0, 1, ... `last`.

    `turn` is the user's turn that it answers ("" for a greeting). An answer to an older turn than the
    newest is stale and is not spoken. `brain` says who thought of it; `knowledge_hash` names the method. `summary`
    (with the last sentence) is the conversation so far in a few words, for a voice that forgets.
    """

    __pydantic_config__ = _CONFIG
    turn: str
    response_text: Text
    delivery_hints: DeliveryHints = DeliveryHints()
    allow_interrupt: bool = True
    chunk: Annotated[int, Field(ge=0)] = 0
    last: bool = True
    brain: Literal["policy", "llm"] = "policy"
    techniques: tuple[str, ...] = ()
    phase: Annotated[int, Field(ge=0, le=4)] | None = None
    expected: tuple[str, ...] = ()
    rationale: str = ""
    knowledge_hash: str = ""
    summary: Text = ""
    kind: Literal["coach_to_voice"] = "coach_to_voice"


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A speaker's turn was cut by the other. For Hugo: what was heard until then, and what was dropped."""

    __pydantic_config__ = _CONFIG
    turn: str
    by: Speaker
    at_ms: Ms
    heard_text: Text = ""
    dropped_text: Text = ""
    kind: Literal["interrupted"] = "interrupted"


@dataclass(frozen=True, slots=True)
class Backchannel:
    """A short acknowledgement ("hm", "ja") that takes no turn."""

    __pydantic_config__ = _CONFIG
    speaker: Speaker
    text: Text
    start_ms: Ms
    end_ms: Ms
    kind: Literal["backchannel"] = "backchannel"


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One metric. `value` null means that it is not available, and `note` says why. `band`: good | warn | red | ""."""

    __pydantic_config__ = _CONFIG
    name: str
    value: float | None
    unit: str
    band: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class MetricsUpdated:
    """The evaluator's live figures up to this event's media time."""

    __pydantic_config__ = _CONFIG
    metrics: tuple[MetricValue, ...]
    kind: Literal["metrics"] = "metrics"


@dataclass(frozen=True, slots=True)
class TurnScored:
    """The evaluator's verdict on one user turn: technique ids, quality, errors and the words it rests on."""

    __pydantic_config__ = _CONFIG
    turn: str
    techniques: tuple[str, ...]
    quality: Literal["ok", "partial", "missed"] | None
    phase: Annotated[int, Field(ge=0, le=4)] | None = None
    errors: tuple[str, ...] = ()
    evidence: Text = ""
    source: Literal["rules", "model"] = "rules"
    kind: Literal["turn_scored"] = "turn_scored"


@dataclass(frozen=True, slots=True)
class ScorecardReady:
    """The scorecard at the end of the session (schema in docs/protocol.md)."""

    __pydantic_config__ = _CONFIG
    evaluator_version: str
    scorecard: dict[str, Any]
    kind: Literal["scorecard"] = "scorecard"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the client should know: audio was shed, Redis was away, a fallback. `count` of what, if any."""

    __pydantic_config__ = _CONFIG
    code: str
    level: Literal["info", "warning", "error"]
    message: str
    count: Annotated[int, Field(ge=0)] = 0
    kind: Literal["notice"] = "notice"


Body = Annotated[
    SessionStarted
    | SessionEnded
    | EngineState
    | ConsentChanged
    | TurnStarted
    | TurnEnded
    | Transcript
    | Spoken
    | ProsodyMeasured
    | VoiceToCoach
    | CoachToVoice
    | Interrupted
    | Backchannel
    | MetricsUpdated
    | TurnScored
    | ScorecardReady
    | Notice,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True)
class Event:
    """A body in its envelope.

    `id` is made from what the event is about, never drawn: handling one twice changes nothing, and a new
    owner that does the same work again makes the same ids. `epoch` is the owner's fencing token; readers
    drop what carries an older epoch of the same source than they have seen. `media_ms` counts from the
    session's first input frame; `wall_ms` is for people only.
    """

    __pydantic_config__ = _CONFIG
    id: str
    session_id: str
    source: Role
    epoch: Annotated[int, Field(ge=0)]
    media_ms: Ms
    wall_ms: Ms
    body: Body
    trace: str = _field(default="")
