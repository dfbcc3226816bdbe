/** The page's start: one store, one view, one conversation at a time; buttons, keys and the token. */

import { Call } from "./call.js";
import { findSupportProblem } from "./codec.js";
import { fetchConfig, fetchEngines } from "./connection.js";
import { byId } from "./dom.js";
import { newStats } from "./link.js";
import { LIVE_STATUSES, initialState, reduce } from "./state.js";
import { View } from "./view.js";

const TICK_MS = 100;
const TOKEN_KEY = "splitbrain.token";

let state = initialState(navigator.language.startsWith("en") ? "en" : "nl");
let call = null;
const stats = newStats();
const view = new View();

/** For tests and for the curious: figures of playback, and what the page knows. */
window.splitbrain = { stats, getState: () => state };

function dispatch(action) {
  state = reduce(state, action);
  view.render(state);
  if (action.type === "message" && state.status === "ending" && state.scorecard) call?.finish();
}

/**
 * The token comes in the fragment (`#token=...`), which browsers send to no server. It is taken out of the
 * address bar and kept for this tab only, so that a reload works.
 */
function takeToken() {
  const fragment = new URLSearchParams(window.location.hash.slice(1));
  const given = fragment.get("token");
  if (given) {
    window.history.replaceState(null, "", window.location.pathname + window.location.search);
    remember(given);
    return given;
  }
  return recall();
}

function remember(token) {
  try {
    window.sessionStorage.setItem(TOKEN_KEY, token);
  } catch {
    // Storage is blocked: the token then lives as long as the page.
  }
}

function recall() {
  try {
    return window.sessionStorage.getItem(TOKEN_KEY) ?? "";
  } catch {
    return "";
  }
}

function startCall() {
  if (LIVE_STATUSES.includes(state.status)) return;
  if (!byId("voice").checkValidity()) {
    byId("voice").closest("details").open = true;
    byId("voice").reportValidity();
    return;
  }
  Object.assign(stats, newStats());
  const options = {
    engine: byId("engine").value,
    language: state.language,
    voice: byId("voice").value.trim(),
    prompt: byId("prompt").value.trim(),
    consent: state.consent,
    token,
  };
  call = new Call(options, dispatch, stats);
  call.start();
}

function toggleMute() {
  if (state.status === "talking") call.setMuted(!state.isMuted);
}

function hangUp() {
  if (LIVE_STATUSES.includes(state.status)) call.hangUp();
}

function changeConsent(event) {
  dispatch({ type: "consent", consent: { [event.target.dataset.consent]: event.target.checked } });
  if (LIVE_STATUSES.includes(state.status)) call.sendConsent(state.consent);
}

function onKey(event) {
  if (!byId("keys").checked || event.ctrlKey || event.altKey || event.metaKey) return;
  const isTyping = event.target.closest("input:not([type=checkbox]), textarea, select");
  if (event.key === "Escape" && !isTyping) hangUp();
  else if (event.key.toLowerCase() === "m" && !isTyping && !event.repeat) toggleMute();
}

function saveScorecard() {
  const file = new Blob([JSON.stringify(state.scorecard, null, 2)], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = `scorecard-${state.sessionId || "conversation"}.json`;
  link.click();
  URL.revokeObjectURL(link.href);
}

async function loadEngines() {
  try {
    dispatch({ type: "engines", engines: await fetchEngines(token) });
  } catch {
    dispatch({ type: "engines-failed" });
  }
}

async function loadConfig() {
  try {
    dispatch({ type: "config", profile: (await fetchConfig(token)).profile });
  } catch {
    // The first event of the conversation says it again.
  }
}

function listen() {
  byId("start").addEventListener("click", startCall);
  byId("hangup").addEventListener("click", hangUp);
  byId("mute").addEventListener("click", toggleMute);
  byId("language").addEventListener("change", (event) => dispatch({ type: "language", language: event.target.value }));
  byId("engine").addEventListener("change", (event) => dispatch({ type: "engine", engine: event.target.value }));
  for (const input of document.querySelectorAll("[data-consent]")) input.addEventListener("change", changeConsent);
  byId("alert").addEventListener("click", (event) => {
    if (event.target.id === "change-engine") call.sendEngine(state.firstEngine);
    if (["dismiss", "change-engine"].includes(event.target.id)) dispatch({ type: "dismiss-alert" });
  });
  byId("card-body").addEventListener("click", (event) => {
    if (event.target.id === "save-card") saveScorecard();
  });
  document.addEventListener("keydown", onKey);
  window.addEventListener("pagehide", () => hangUp());
}

const token = takeToken();
listen();
view.render(state);
setInterval(() => view.tick(state, stats, performance.now()), TICK_MS);
const problem = await findSupportProblem();
if (problem) dispatch({ type: "unsupported", problem });
else await Promise.all([loadEngines(), loadConfig()]);
document.body.dataset.loaded = "yes";
