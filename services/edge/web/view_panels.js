/** The side panels: coach, delivery, figures, speed, messages. Each renders from state; none keeps its own. */

import { byId, el, formatNumber, pairs } from "./dom.js";
import { phaseName, techniqueName } from "./method_names.js";
import { humanize, translate, translateOr } from "./strings.js";

const BANDS = ["good", "warn", "red", ""];

export function renderCoach(state) {
  const t = (key, values) => translate(state.language, key, values);
  const latest = state.hints.at(-1);
  byId("coach-empty").hidden = Boolean(latest);
  byId("hint").replaceChildren(...(latest ? [hintCard(latest, state.language)] : []));
  const earlier = state.hints.slice(0, -1).reverse();
  byId("hints-more").hidden = earlier.length === 0;
  byId("hints-count").textContent = t("coach.earlier", { count: earlier.length });
  byId("hints").replaceChildren(...earlier.map((hint) => el("li", {}, hintCard(hint, state.language))));
}

function hintCard(hint, language) {
  const t = (key) => translate(language, key);
  const tags = [
    el("span", { class: `tag tone-${hint.tone}`, text: `${t("coach.tone")}: ${t(`tone.${hint.tone}`)}` }),
    el("span", { class: "tag", text: `${t("coach.pacing")}: ${t(`pace.${hint.pacing}`)}` }),
  ];
  const rows = [
    [t("coach.techniques"), hint.techniques.map((id) => techniqueName(id, language)).join(", ")],
    [t("coach.expected"), hint.expected.map((id) => techniqueName(id, language)).join(", ")],
    [t("coach.phase"), hint.phase === null ? "" : phaseName(hint.phase, language)],
    [t("coach.why"), hint.rationale],
    [t("coach.brain"), t(`brain.${hint.brain}`)],
  ].filter(([, value]) => value !== "");
  const list = el("dl", { class: "pairs" });
  pairs(list, rows);
  return el("div", { class: "hint" }, emphasised(hint), el("p", { class: "tags" }, ...tags), list);
}

/** The hint's text with the words to stress in <em>. */
function emphasised(hint) {
  const words = new Set(hint.emphasis.map((word) => word.toLowerCase()));
  const paragraph = el("p", { class: "hint-text" });
  for (const piece of hint.text.split(/(\s+)/)) {
    const bare = piece.toLowerCase().replace(/^\p{P}+|\p{P}+$/gu, "");
    paragraph.append(words.has(bare) ? el("em", { text: piece }) : piece);
  }
  return paragraph;
}

export function renderDelivery(state) {
  const { delivery, language } = state;
  byId("delivery-empty").hidden = Boolean(delivery);
  byId("delivery").replaceChildren();
  if (!delivery) return;
  const t = (key, values) => translate(language, key, values);
  const { confidence, emotion, energy } = delivery.prosody;
  const pace = t(`pace.${delivery.speechPace}`);
  const wordsPerMin = delivery.wordsPerMin;
  const rows = [
    [t("delivery.pace"), wordsPerMin == null ? pace : t("delivery.wpm", { pace, value: Math.round(wordsPerMin) })],
    [t("delivery.energy"), energy == null ? t("delivery.unknown") : meter(energy, t("delivery.energy"), language)],
    [t("delivery.confidence"), confidence == null ? notInferred(t) : meter(confidence, t("delivery.confidence"), language)],
    [t("delivery.emotion"), emotion == null ? notInferred(t) : t(`emotion.${emotion}`)],
  ];
  if (delivery.pauseShare != null) rows.splice(1, 0, [t("delivery.pauses"), percent(language, delivery.pauseShare)]);
  pairs(byId("delivery"), rows);
}

function notInferred(t) {
  return el("span", { class: "none", text: t("delivery.not_inferred") });
}

function meter(value, label, language) {
  const bar = el("meter", { min: 0, max: 1, value, "aria-label": label });
  return el("span", { class: "meter" }, bar, el("span", { text: percent(language, value) }));
}

function percent(language, value) {
  return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 }).format(value);
}

/** Figures with a judgement first; the others are one step away. The scorecard, once there, has them all. */
export function renderMetrics(state) {
  const { metrics, language } = state;
  byId("metrics-card").hidden = Boolean(state.scorecard);
  const judged = metrics.filter((metric) => metric.band !== "");
  const others = metrics.filter((metric) => metric.band === "");
  byId("metrics-empty").hidden = metrics.length > 0;
  byId("metrics").hidden = judged.length === 0;
  byId("metrics-more").hidden = others.length === 0;
  byId("metrics-count").textContent = translate(language, "metrics.more", { count: others.length });
  byId("metrics").tBodies[0].replaceChildren(...judged.map((metric) => metricRow(metric, language)));
  byId("metrics-others").replaceChildren(...others.map((metric) => metricRow(metric, language)));
}

/** One figure as a table row; used by the scorecard too. */
export function metricRow(metric, language) {
  const t = (key) => translate(language, key);
  const band = BANDS.includes(metric.band) ? metric.band : "";
  const name = el("th", { scope: "row", text: translateOr(language, `metric.${metric.name}`, humanize(metric.name)) });
  if (metric.note) name.append(el("span", { class: "note", text: metric.note }));
  const value = metric.value === null ? t("metrics.none") : formatMetric(metric, language);
  return el(
    "tr",
    { class: metric.value === null ? "none" : undefined },
    name,
    el("td", { class: "num", text: value }),
    el("td", {}, el("span", { class: `band band-${band || "none"}`, text: t(`band.${band}`) })),
  );
}

function formatMetric(metric, language) {
  if (/share|overlap/.test(metric.name) && metric.unit === "ratio") return percent(language, metric.value);
  const number = formatNumber(language, metric.value);
  return metric.unit === "ratio" || metric.unit === "" ? number : `${number} ${unitName(metric.unit, language)}`;
}

function unitName(unit, language) {
  return translateOr(language, `unit.${unit}`, unit.replaceAll("_", " "));
}

export function renderLatency(state, stats) {
  const t = (key) => translate(state.language, key);
  const ms = (value) =>
    value == null ? t("latency.none") : `${formatNumber(state.language, Math.round(value))} ms`;
  pairs(byId("latency"), [
    [t("latency.answer"), ms(state.answerGapMs)],
    [t("latency.roundtrip"), ms(stats.roundTripMs)],
    [t("latency.buffer"), stats.playing ? ms(stats.bufferedMs) : t("latency.none")],
    [t("latency.first"), ms(stats.firstSoundMs)],
    [t("latency.underruns"), formatNumber(state.language, stats.underruns)],
    [t("latency.dropped"), ms(stats.droppedMs)],
  ]);
}

export function renderNotices(state) {
  byId("notices-empty").hidden = state.notices.length > 0;
  const items = [...state.notices].reverse().map((notice) =>
    el(
      "li",
      { class: `level-${notice.level}` },
      el("strong", { text: `${translate(state.language, `level.${notice.level}`)}: ` }),
      noticeText(notice, state.language),
    ),
  );
  byId("notices").replaceChildren(...items);
}

/** What a notice says: the page's own words for its code, else the server's message. */
export function noticeText(notice, language) {
  const own = translateOr(language, `code.${notice.code}`, "");
  if (own) return translate(language, `code.${notice.code}`, { count: notice.count });
  const count = notice.count > 0 && !notice.message.includes(String(notice.count)) ? ` (${notice.count})` : "";
  return (notice.message || humanize(notice.code)) + count;
}
