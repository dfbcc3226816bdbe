/**
 * A scorecard of an unknown form: figures become tables, lists become lists, evidence becomes quotations. So a
 * newer evaluator's card is readable without a newer page; the known form has its own view.
 */

import { el, formatNumber } from "./dom.js";
import { humanize, translate, translateOr } from "./strings.js";
import { metricRow } from "./view_panels.js";

const MAX_DEPTH = 6;
const MAX_ITEMS = 200;
const QUOTED = /evidence|quote|bewijs|citaat/i;

/** Elements that show any card. */
export function plainCardNodes(card, language) {
  return [...objectNodes(card, language, 0)];
}

function nameOf(key, language) {
  return translateOr(language, `card.key.${key}`, humanize(key));
}

function isScalar(value) {
  return value === null || typeof value !== "object";
}

function scalarText(value, language) {
  if (value === null || value === "") return translate(language, "card.none");
  if (typeof value === "boolean") return translate(language, value ? "card.yes" : "card.no");
  if (typeof value === "number") return formatNumber(language, value);
  return translateOr(language, `quality.${value}`, String(value));
}

function* objectNodes(object, language, depth) {
  const entries = Object.entries(object);
  const scalars = entries.filter(([key, value]) => isScalar(value) && !isQuote(key, value));
  if (scalars.length) {
    const rows = scalars.map(([key, value]) => [
      el("dt", { text: nameOf(key, language) }),
      el("dd", { text: scalarText(value, language) }),
    ]);
    yield el("dl", { class: depth === 0 ? "pairs big" : "pairs" }, ...rows.flat());
  }
  for (const [key, value] of entries) {
    if (isQuote(key, value)) yield el("blockquote", { text: value });
    else if (!isScalar(value)) yield* partNodes(key, value, language, depth);
  }
}

function isQuote(key, value) {
  return typeof value === "string" && value !== "" && QUOTED.test(key);
}

function* partNodes(key, value, language, depth) {
  if (Array.isArray(value) ? value.length === 0 : Object.keys(value).length === 0) return;
  const level = Math.min(6, 3 + depth);
  yield el(`h${level}`, { text: nameOf(key, language) });
  if (depth >= MAX_DEPTH) yield el("pre", { text: JSON.stringify(value, null, 1) });
  else if (Array.isArray(value)) yield listNode(key, value.slice(0, MAX_ITEMS), language, depth);
  else yield el("div", { class: "part" }, ...objectNodes(value, language, depth + 1));
}

function listNode(key, items, language, depth) {
  if (items.every(isMetric)) {
    const rows = items.map((item) => metricRow(item, language));
    return el("table", {}, el("caption", { class: "hidden", text: nameOf(key, language) }), el("tbody", {}, ...rows));
  }
  const children = items.map((item) => {
    if (isScalar(item)) return el("li", {}, QUOTED.test(key) ? el("q", { text: String(item) }) : scalarText(item, language));
    if (Array.isArray(item)) return el("li", {}, listNode(key, item, language, depth + 1));
    return el("li", {}, ...objectNodes(item, language, depth + 1));
  });
  return el("ul", { class: items.every(isScalar) ? "plain" : "items" }, ...children);
}

function isMetric(item) {
  return item !== null && typeof item === "object" && "name" in item && "value" in item && "band" in item;
}
