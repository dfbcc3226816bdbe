/** The scorecard of the project's evaluator: totals, phases, turns with their evidence, figures, remarks. */

import { el, formatNumber } from "./dom.js";
import { errorName, phaseName, techniqueName, themeName } from "./method_names.js";
import { humanize, translate } from "./strings.js";
import { plainCardNodes } from "./view_card_plain.js";
import { metricRow } from "./view_panels.js";

const KNOWN_SCHEMA = "splitbrain.scorecard/1";

/** Elements that show the card; a card of another form is shown plainly, a damaged one too. */
export function scorecardNodes(body, language) {
  const version = translate(language, "card.version", { version: body.evaluatorVersion });
  const nodes = knownCard(body.scorecard, language) ?? plainCard(body.scorecard, language);
  return [...nodes, el("p", { class: "help", text: version })];
}

function plainCard(card, language) {
  const notice = el("p", { class: "help", text: translate(language, "card.notice") });
  return [notice, ...plainCardNodes(card, language)];
}

function knownCard(card, language) {
  if (card.schema !== KNOWN_SCHEMA) return null;
  try {
    return [
      el("p", { class: "help", text: card.notice[language] }),
      totals(card, language),
      ...phases(card, language),
      ...turns(card, language),
      ...figures(card, language),
      details(card, language),
    ];
  } catch (error) {
    if (error instanceof TypeError) return null; // it says it is known, but parts are missing
    throw error;
  }
}

function points(value, language) {
  if (value == null) return translate(language, "card.none");
  return translate(language, "card.points", { value: formatNumber(language, value, 0) });
}

function totals(card, language) {
  const t = (key) => translate(language, key);
  const gate = card.gate.committed ? "card.gate.yes" : card.gate.asked ? "card.gate.asked" : "card.gate.no";
  const rows = [
    [t("card.overall"), points(card.totals.overall, language), card.totals.note],
    [t("card.reached"), points(card.totals.reached, language), ""],
    [t("card.structure"), points(card.structure.score, language), card.structure.note],
    [t("card.themes"), points(card.themes.score, language), ""],
    [t("card.attitudes"), points(card.attitudes.score, language), card.attitudes.note],
    [t("card.gate"), t(gate), ""],
  ];
  const tiles = rows.map(([name, value, note]) =>
    el(
      "div",
      { class: "tile" },
      el("dt", { text: name }),
      el("dd", { class: "value", text: value }),
      note && el("dd", { class: "note", text: note }),
    ),
  );
  return el("dl", { class: "tiles" }, ...tiles);
}

function phases(card, language) {
  const t = (key) => translate(language, key);
  const head = ["card.phase", "card.score", "card.shown", "card.missing"].map((key) =>
    el("th", { scope: "col", text: t(key) }),
  );
  const rows = card.phases.map((phase) =>
    el(
      "tr",
      { class: phase.score === null ? "none" : undefined },
      el("th", { scope: "row", text: phaseName(phase.phase, language) }),
      el("td", { text: points(phase.score, language) }),
      el("td", {}, tags(Object.entries(phase.best).map(([id, quality]) => qualityTag(id, quality, language)))),
      el("td", { text: phase.missing.map((id) => techniqueName(id, language)).join(", ") }),
    ),
  );
  const table = el(
    "table",
    { class: "phases" },
    el("caption", { class: "hidden", text: t("card.phases") }),
    el("thead", {}, el("tr", {}, ...head)),
    el("tbody", {}, ...rows),
  );
  const missing = card.themes.missing.map((theme) => themeName(theme, language)).join(", ");
  const themes = missing && el("p", { class: "help", text: `${t("card.themes.missing")}: ${missing}` });
  const scroll = { class: "wide", tabindex: "0", role: "group", "aria-label": t("card.phases") };
  return [el("h3", { text: t("card.phases") }), el("div", scroll, table), ...(themes ? [themes] : [])];
}

function qualityTag(id, quality, language) {
  const text = `${techniqueName(id, language)}: ${translate(language, `quality.${quality}`)}`;
  return el("span", { class: `tag q-${quality}`, text });
}

function tags(nodes) {
  return el("span", { class: "tags" }, ...nodes);
}

function turns(card, language) {
  const t = (key) => translate(language, key);
  const judged = card.turns.filter((turn) => turn.techniques.length || turn.errors.length || turn.quality);
  const heading = el("h3", { text: t("card.turns") });
  if (judged.length === 0) return [heading, el("p", { class: "empty", text: t("card.turns.none") })];
  return [heading, el("ul", { class: "items" }, ...judged.map((turn) => turnItem(turn, language)))];
}

function turnItem(turn, language) {
  const t = (key) => translate(language, key);
  const shown = turn.techniques.map((id) =>
    turn.quality ? qualityTag(id, turn.quality, language) : el("span", { class: "tag", text: techniqueName(id, language) }),
  );
  const errors = turn.errors.map((code) => errorName(code, language)).join("; ");
  const expected = turn.expected.map((id) => techniqueName(id, language)).join(", ");
  return el(
    "li",
    {},
    el("p", { class: "help", text: `${t("card.turn")} ${turn.turn} · ${clock(turn.start_ms)}` }),
    turn.evidence && el("blockquote", { text: turn.evidence }),
    shown.length > 0 && tags(shown),
    errors && el("p", { class: "watch", text: `${t("card.errors")}: ${errors}` }),
    expected && el("p", { class: "help", text: `${t("card.expected")}: ${expected}` }),
  );
}

function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function figures(card, language) {
  const title = translate(language, "card.metrics");
  const rows = card.metrics.map((metric) => metricRow(metric, language));
  const caption = el("caption", { class: "hidden", text: title });
  return [el("h3", { text: title }), el("table", {}, caption, el("tbody", {}, ...rows))];
}

function details(card, language) {
  const names = ["detector", "knowledge_version", "knowledge_hash"];
  const rows = names.flatMap((name) => [el("dt", { text: humanize(name) }), el("dd", { text: String(card[name]) })]);
  return el(
    "details",
    {},
    el("summary", { text: translate(language, "card.details") }),
    el("dl", { class: "pairs" }, ...rows),
    el("h4", { text: translate(language, "card.notes") }),
    el("ul", { class: "plain" }, ...card.notes.map((note) => el("li", { text: note }))),
  );
}
