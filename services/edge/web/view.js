/** Shows the state: each part is rendered only when its part of the state (or the language) has changed. */

import { byId, el, setText } from "./dom.js";
import { ENGINE_FREE, LIVE_STATUSES, shownStatus } from "./state.js";
import { translate } from "./strings.js";
import {
  noticeText,
  renderCoach,
  renderDelivery,
  renderLatency,
  renderMetrics,
  renderNotices,
} from "./view_panels.js";
import { scorecardNodes } from "./view_scorecard.js";
import { TalkView } from "./view_talk.js";

const LOCKED_PROFILES = ["workplace", "education"];
const WAIT_TO_RETRY = ["full", "restarting"];
const STALL_MS = 2500;

export class View {
  constructor() {
    this._last = {};
    this._retryAt = null;
    this._isStalled = false;
    this._talk = new TalkView();
  }

  /** Bring the page up to `state`. */
  render(state) {
    const { language } = state;
    this._when("language", [language], () => renderStaticTexts(language));
    this._when("engines", [language, state.engines, state.engine, state.enginesFailed], () => renderEngines(state));
    this._when("status", [language, shownStatus(state), state.problem, state.isMuted], () => renderStatus(state));
this._renderHelp(state, performance.now());
    this._when("detail", [state.detail, state.healthDetail, state.status], () => renderDetail(state));
    this._when("who", [language, state.speaking, state.isMuted], () => renderVoices(state));
    this._when("consent", [state.consent, state.profile], () => renderConsent(state));
    this._when("talk", [language, state.turns, state.caption], () => this._talk.render(state));
    this._when("coach", [language, state.hints], () => renderCoach(state));
    this._when("delivery", [language, state.delivery], () => renderDelivery(state));
    this._when("metrics", [language, state.metrics, state.scorecard], () => renderMetrics(state));
    this._when("notices", [language, state.notices], () => renderNotices(state));
    this._when("alert", [language, state.alert], () => renderAlert(state));
    this._when("card", [language, state.scorecard], () => renderScorecard(state));
  }

  /** What moves without events: levels, speed, a silent server, and when a retry makes sense. */
  tick(state, stats, nowMs) {
    const isLive = state.status === "talking";
    setLevel("voice-user", isLive && !state.isMuted ? stats.micRms : 0);
    setLevel("voice-hugo", stats.rms);
    renderLatency(state, stats);
    this._isStalled = isLive && stats.lastAudioAt !== null && nowMs - stats.lastAudioAt > STALL_MS;
    this._renderHelp(state, nowMs);
  }

  _when(name, values, render) {
    const last = this._last[name];
    if (last && last.every((value, index) => value === values[index])) return;
    this._last[name] = values;
    render();
  }

  _renderHelp(state, nowMs) {
    const waits = WAIT_TO_RETRY.includes(state.status);
    if (!waits) this._retryAt = null;
    else this._retryAt ??= nowMs + state.retryAfterS * 1000;
    const mayRetry = waits && nowMs >= this._retryAt;
    setText(byId("status-help"), helpText(state, this._isStalled, mayRetry));
  }
}

/** The seconds stay as they were said first: a screen reader should not hear a countdown. */
function helpText(state, isStalled, mayRetry) {
  const t = (key, values) => translate(state.language, key, values);
  if (state.status === "unsupported") return t(`help.unsupported.${state.problem}`);
  if (state.status === "mic_failed") return t(`help.mic_failed.${state.problem}`);
  if (WAIT_TO_RETRY.includes(state.status)) {
    return mayRetry ? t(`help.${state.status}.now`) : t(`help.${state.status}`, { seconds: state.retryAfterS });
  }
  if (state.status === "talking" && state.isMuted) return t("help.muted");
  if (isStalled) return t("help.stalled");
  if (state.status === "ended" && !state.scorecard) return `${t("help.ended")} ${t("card.noneCame")}`;
  return t(`help.${shownStatus(state)}`);
}

function renderStaticTexts(language) {
  document.documentElement.lang = language;
  document.title = translate(language, "page.title");
  for (const node of document.querySelectorAll("[data-t]")) setText(node, translate(language, node.dataset.t));
  for (const node of document.querySelectorAll("[data-t-label]")) {
    node.setAttribute("aria-label", translate(language, node.dataset.tLabel));
  }
  byId("language").value = language;
}

function renderEngines(state) {
  const t = (key, values) => translate(state.language, key, values);
  const automatic = el("option", { value: "", text: t("setup.engine.auto") });
  const options = state.engines
    .filter((engine) => !engine.languages?.length || engine.languages.includes(state.language))
    .map((engine) => {
      const text = engine.available ? engine.id : t("setup.engine.unavailable", { name: engine.id });
      return el("option", { value: engine.id, text, disabled: !engine.available });
    });
  const select = byId("engine");
  select.replaceChildren(automatic, ...options);
  select.value = options.some((option) => option.value === state.engine && !option.disabled) ? state.engine : "";
  const chosen = state.engines.find((engine) => engine.id === select.value);
  const duplex = chosen?.duplex ? t("setup.engine.duplex") : "";
  const help = [chosen?.description, duplex].filter(Boolean).join(" · ");
  setText(byId("engine-help"), state.enginesFailed ? t("setup.engines.failed") : help);
}

const CAN_RETRY = ["mic_failed", "full", "restarting", "denied", "lost", "failed"];

function renderStatus(state) {
  const t = (key) => translate(state.language, key);
  const shown = shownStatus(state);
  document.body.dataset.status = shown;
  setText(byId("status-chip"), t(`status.${shown}`));
  const isLive = LIVE_STATUSES.includes(state.status);
  const focused = document.activeElement;
  const start = byId("start");
  start.hidden = isLive || state.status === "unsupported";
  const label = CAN_RETRY.includes(state.status) ? "button.retry" : state.status === "ended" ? "button.again" : "button.start";
  start.dataset.t = label;
  setText(start, t(label));
  const mute = byId("mute");
  mute.hidden = state.status !== "talking";
  mute.setAttribute("aria-pressed", String(state.isMuted));
  mute.dataset.t = "button.mute"; // a pressed button keeps its name: the state says the rest
  byId("hangup").hidden = !isLive || state.status === "ending";
  document.body.dataset.phase = isLive ? "live" : state.turns.length || state.scorecard ? "after" : "before";
  keepFocus(focused);
}

/** A focused button that disappears hands its focus to the one that takes its place. */
function keepFocus(focused) {
  if (!focused?.closest(".buttons") || !focused.hidden) return;
  const next = ["hangup", "start"].map(byId).find((button) => !button.hidden);
  if (next) next.focus();
  else byId("conversation").focus({ preventScroll: true });
}

function renderDetail(state) {
  const quiet = ["idle", "asking", "ending"].includes(state.status);
  const text = state.status === "talking" ? state.healthDetail || state.detail : state.detail;
  setText(byId("status-detail"), quiet ? "" : text);
  byId("status-detail").hidden = quiet || !text;
}

function renderVoices(state) {
  const t = (key) => translate(state.language, key);
  for (const speaker of ["user", "hugo"]) {
    const node = byId(`voice-${speaker}`);
    const speaks = state.speaking[speaker];
    node.classList.toggle("speaks", speaks);
    const isMuted = speaker === "user" && state.isMuted;
    setText(node.querySelector(".doing"), t(isMuted ? "who.muted" : speaks ? "who.speaking" : "who.quiet"));
  }
}

function setLevel(id, level) {
  const shown = Math.min(1, Math.sqrt(level) * 1.6);
  byId(id).style.setProperty("--level", shown.toFixed(2));
}

function renderConsent(state) {
  const isLocked = LOCKED_PROFILES.includes(state.profile);
  for (const input of document.querySelectorAll("[data-consent]")) {
    input.checked = state.consent[input.dataset.consent];
  }
  byId("consent-emotion").disabled = isLocked;
  byId("consent-locked").hidden = !isLocked;
}

function renderAlert(state) {
  const box = byId("alert");
  if (!state.alert) {
    box.replaceChildren();
    return;
  }
  const t = (key) => translate(state.language, key);
  const text = `${t(`level.${state.alert.level}`)}: ${noticeText(state.alert, state.language)}`;
  const button = el("button", { type: "button", id: "dismiss", "aria-label": t("button.dismiss"), text: "×" });
  const change = el("button", { type: "button", id: "change-engine", text: t("button.engine") });
  const offer = state.alert.code === ENGINE_FREE ? [change] : [];
  box.replaceChildren(el("p", { class: `level-${state.alert.level}`, text }), ...offer, button);
}

function renderScorecard(state) {
  const section = byId("scorecard");
  const wasHidden = section.hidden;
  section.hidden = !state.scorecard;
  if (section.hidden) return;
  const save = el("button", { type: "button", id: "save-card", text: translate(state.language, "card.save") });
  byId("card-body").replaceChildren(...scorecardNodes(state.scorecard, state.language), save);
  if (wasHidden) section.focus();
}
