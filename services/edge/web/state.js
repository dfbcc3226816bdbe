/**
 * What the page knows, and how each action changes it. Pure: `reduce(state, action)` returns a new state and
 * shares what did not change. Handling an event twice changes nothing.
 *
 * `status`: unsupported | idle | asking | mic_failed | connecting | waiting | talking | ending | ended |
 * resuming | full | restarting | denied | lost | failed. `health` (while talking): ok | degraded | migrating | engine_failed.
 */

const MAX_TURNS = 500;
const MAX_HINTS = 50;
const MAX_NOTICES = 30;
const MAX_CAPTION = 600;

export const LIVE_STATUSES = ["asking", "connecting", "waiting", "talking", "resuming", "ending"];

/** The state before a conversation. */
export function initialState(language = "nl") {
  return {
    language,
    status: "idle",
    problem: "",
    detail: "",
    retryAfterS: 0,
    health: "ok",
    healthDetail: "",
    engines: [],
    enginesFailed: false,
    engine: "",
    profile: "",
    consent: { storeAudio: false, storeTranscript: false, emotion: false },
    isMuted: false,
    ...emptyConversation(),
  };
}

function emptyConversation() {
  return {
    sessionId: "",
    activeEngine: "",
    epochs: {},
    turns: [],
    turnsDropped: 0,
    hasHugoEvents: false,
    caption: "",
    speaking: { user: false, hugo: false },
    delivery: null,
    hints: [],
    metrics: [],
    metricsMs: -1,
    scorecard: null,
    notices: [],
    alert: null,
    answerGapMs: null,
    firstEngine: "",
    endReason: "",
  };
}

const ACTIONS = {
  unsupported: (state, action) => ({ ...state, status: "unsupported", problem: action.problem }),
  language: (state, action) => ({ ...state, language: action.language }),
  engines: (state, action) => ({ ...state, engines: action.engines, enginesFailed: false }),
  config: (state, action) => ({ ...state, profile: action.profile }),
  "engines-failed": (state) => ({ ...state, engines: [], enginesFailed: true }),
  engine: (state, action) => ({ ...state, engine: action.engine }),
  consent: (state, action) => ({ ...state, consent: { ...state.consent, ...action.consent } }),
  muted: (state, action) => ({ ...state, isMuted: action.isMuted }),
  asking: (state) => ({ ...fresh(state), ...emptyConversation(), status: "asking", isMuted: false }),
  resuming: (state) => ({ ...fresh(state), status: "resuming", speaking: { user: false, hugo: false } }),
  connecting: (state) => ({ ...state, status: "connecting" }),
  opened: (state) => (state.status === "resuming" ? state : { ...state, status: "waiting" }),
  handshake: (state) => ({ ...state, status: "talking" }),
  "mic-failed": (state, action) => ({ ...state, status: "mic_failed", problem: action.code }),
  "mic-lost": (state) => addNotice(state, { id: "page:mic_lost", code: "mic_lost", level: "error", message: "", count: 0 }),
  "uplink-full": (state, action) =>
    addNotice(state, { id: "page:uplink_full", code: "uplink_full", level: "warning", message: "", count: action.count }),
  "hung-up": (state) => ({ ...state, status: "ending", speaking: { user: false, hugo: false } }),
  "server-error": (state, action) => ({ ...state, detail: action.text }),
  text: takeText,
  closed: takeClosed,
  message: (state, action) => takeMessage(state, action.message),
  "dismiss-alert": (state) => ({ ...state, alert: null }),
};

/** The state after `action`; unknown actions change nothing. */
export function reduce(state, action) {
  const step = Object.hasOwn(ACTIONS, action.type) ? ACTIONS[action.type] : null;
  return step ? step(state, action) : state;
}

function fresh(state) {
  return { ...state, problem: "", detail: "", retryAfterS: 0, health: "ok", healthDetail: "", alert: null };
}

/** Text pieces are Hugo's words where a server sends no events; with events they would come twice. */
function takeText(state, action) {
  if (state.hasHugoEvents) return state;
  return { ...state, caption: (state.caption + action.text).slice(-MAX_CAPTION) };
}

function takeClosed(state, action) {
  const isOwnHangUp = state.status === "ending";
  return {
    ...state,
    status: isOwnHangUp ? "ended" : action.meaning,
    detail: isOwnHangUp ? "" : action.reason || state.detail,
    retryAfterS: action.retryAfterS ?? 0,
    speaking: { user: false, hugo: false },
    health: "ok",
  };
}

/** A kind-4 message: the session's name, or an event. What an older owner says is dropped, as every reader must. */
function takeMessage(state, message) {
  const body = message.body;
  if (message.kind === "session") return { ...state, sessionId: String(message.sessionId ?? "") };
  if (!body || typeof body.kind !== "string" || !Object.hasOwn(EVENTS, body.kind)) return state;
  const known = state.epochs[message.source] ?? 0;
  if (message.epoch < known) return state;
  const epochs = message.epoch > known ? { ...state.epochs, [message.source]: message.epoch } : state.epochs;
  return EVENTS[body.kind]({ ...state, epochs, sessionId: message.sessionId || state.sessionId }, body, message);
}

const EVENTS = {
  session_started: (state, body) => ({
    ...state,
    activeEngine: body.engine,
    firstEngine: state.firstEngine || body.engine,
    profile: body.profile,
    consent: body.consent,
  }),
  session_ended: (state, body) => ({ ...state, endReason: body.reason, detail: body.detail || state.detail }),
  engine_state: takeEngineState,
  consent_changed: (state, body) => ({ ...state, consent: body.consent }),
  turn_started: (state, body) => {
    const next = withTurn(state, body.turn, body.speaker, { startMs: body.startMs });
    const turn = next.turns.find((item) => item.id === body.turn);
    if (turn.isOver) return next;
    return { ...next, speaking: { ...next.speaking, [body.speaker]: true }, answerGapMs: answerGap(next, turn) };
  },
  turn_ended: (state, body) => {
    const changes = { startMs: body.startMs, endMs: body.endMs, isOver: true };
    if (body.reason === "interrupted") changes.isInterrupted = true;
    const next = withTurn(state, body.turn, body.speaker, changes);
    const isNewest = next.turns.findLast((turn) => turn.speaker === body.speaker).id === body.turn;
    return isNewest ? { ...next, speaking: { ...next.speaking, [body.speaker]: false } } : next;
  },
  transcript: takeTranscript,
  spoken: (state, body, message) => {
    const turn = state.turns.find((item) => item.id === body.turn);
    const words = turn?.words ?? [];
    if (words.some((word) => word.id === message.id)) return state;
    const changes = { words: [...words, { id: message.id, text: body.text }] };
    if (!turn) changes.startMs = body.startMs;
    return { ...withTurn(state, body.turn, "hugo", changes), hasHugoEvents: true, caption: "" };
  },
  prosody: (state, body) => ({ ...state, delivery: { ...body } }),
  voice_to_coach: (state, body) => {
    const measured = state.delivery?.turn === body.turn ? state.delivery : {};
    const delivery = { ...measured, turn: body.turn, prosody: body.prosody, speechPace: body.timing.speechPace };
    return { ...state, delivery };
  },
  coach_to_voice: takeHint,
  interrupted: (state, body) => {
    const speaker = body.by === "user" ? "hugo" : "user";
    const changes = { isInterrupted: true };
    if (speaker === "hugo") changes.heardText = body.heardText;
    return withTurn(state, body.turn, speaker, changes);
  },
  backchannel: (state) => state,
  metrics: (state, body, message) =>
    message.mediaMs < state.metricsMs ? state : { ...state, metrics: body.metrics, metricsMs: message.mediaMs },
  turn_scored: (state, body) => withTurn(state, body.turn, "user", { score: body }),
  scorecard: (state, body) => ({ ...state, scorecard: body }),
  notice: (state, body, message) => addNotice(state, { ...body, id: message.id }),
};

/** Code of the notice that the voice the conversation began with has a place again: the page offers it by a button. */
export const ENGINE_FREE = "engine_available";

const HEALTH = { ready: "ok", resumed: "ok", degraded: "degraded", migrating: "migrating", failed: "engine_failed" };

function takeEngineState(state, body) {
  const health = HEALTH[body.state] ?? state.health;
  return { ...state, activeEngine: body.engine || state.activeEngine, health, healthDetail: body.detail };
}

function takeTranscript(state, body) {
  const turn = state.turns.find((item) => item.id === body.turn);
  const isStale = turn?.isFinal && !body.final;
  const isHugo = body.speaker === "hugo";
  const next = isHugo ? { ...state, hasHugoEvents: true, caption: "" } : state;
  if (isStale) return next;
  const changes = { text: body.text, isFinal: body.final, startMs: body.startMs, lang: body.language };
  return withTurn(next, body.turn, body.speaker, changes);
}

function takeHint(state, body) {
  const existing = state.hints.find((hint) => hint.turn === body.turn);
  const chunks = { ...existing?.chunks, [body.chunk]: body.responseText };
  const text = Object.keys(chunks)
    .map(Number)
    .sort((a, b) => a - b)
    .map((chunk) => chunks[chunk].trim())
    .join(" ");
  const hint = {
    turn: body.turn,
    chunks,
    text,
    isComplete: Boolean(existing?.isComplete || body.last),
    tone: body.deliveryHints.tone,
    pacing: body.deliveryHints.pacing,
    emphasis: body.deliveryHints.emphasis,
    techniques: body.techniques.length ? body.techniques : (existing?.techniques ?? []),
    expected: body.expected.length ? body.expected : (existing?.expected ?? []),
    phase: body.phase ?? existing?.phase ?? null,
    rationale: body.rationale || existing?.rationale || "",
    brain: body.brain,
  };
  const hints = existing
    ? state.hints.map((item) => (item.turn === body.turn ? hint : item))
    : [...state.hints, hint].slice(-MAX_HINTS);
  return { ...state, hints };
}

function addNotice(state, notice) {
  const others = state.notices.filter((item) => item.id !== notice.id);
  const isKnown = others.length !== state.notices.length;
  const notices = [...others, notice].slice(-MAX_NOTICES);
  const isAlert = (notice.level !== "info" || notice.code === ENGINE_FREE) && !isKnown;
  // An offer of the first voice is over as soon as any voice has taken over.
  const old = notice.code === "engine_changed" && state.alert?.code === ENGINE_FREE ? null : state.alert;
  return { ...state, notices, alert: isAlert ? notice : old };
}

/** Add or change one turn; turns stay in the order of their start. The oldest go beyond 500. */
function withTurn(state, id, speaker, changes) {
  const index = state.turns.findIndex((turn) => turn.id === id);
  const blank = { id, speaker, startMs: 0, endMs: null, text: "", words: [], isFinal: false, isOver: false };
  const base = index < 0 ? { ...blank, isInterrupted: false, heardText: null, score: null, lang: "" } : state.turns[index];
  const turn = { ...base, ...changes };
  if (index >= 0 && turn.startMs === base.startMs) {
    return { ...state, turns: state.turns.with(index, turn) };
  }
  const others = index < 0 ? state.turns : state.turns.toSpliced(index, 1);
  const later = others.findIndex((item) => item.startMs > turn.startMs);
  const turns = others.toSpliced(later < 0 ? others.length : later, 0, turn);
  const excess = Math.max(0, turns.length - MAX_TURNS);
  return { ...state, turns: turns.slice(excess), turnsDropped: state.turnsDropped + excess };
}

/** Media time between the user's last word and the start of this answer; negative if Hugo came in early. */
function answerGap(state, turn) {
  if (turn.speaker !== "hugo") return state.answerGapMs;
  const before = state.turns[state.turns.indexOf(turn) - 1];
  const isAnswer = before?.speaker === "user" && before.endMs !== null;
  return isAnswer ? turn.startMs - before.endMs : state.answerGapMs;
}

/** What was said in a turn, as it should be read: an interrupted answer ends at the last word heard. */
export function turnText(turn) {
  if (turn.isInterrupted && turn.heardText) return turn.heardText;
  if (turn.isFinal) return turn.text;
  const spoken = turn.words.map((word) => word.text).join("").trim();
  return spoken.length > turn.text.length ? spoken : turn.text;
}

/** May the turn go into the log that screen readers announce: is its text settled? */
export function isSettled(turn) {
  return turn.isFinal || (turn.isOver && turn.speaker === "hugo" && turnText(turn) !== "");
}

/** The one word for the state chip: the status, or while talking the health. */
export function shownStatus(state) {
  return state.status === "talking" && state.health !== "ok" ? state.health : state.status;
}
