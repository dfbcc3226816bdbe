/** The transcript: settled turns in a log that is announced, turns underway below it, unannounced. */

import { byId, el, setText } from "./dom.js";
import { errorName, techniqueName } from "./method_names.js";
import { isSettled, turnText } from "./state.js";
import { translate } from "./strings.js";

const NEAR_END_PX = 80;

export class TalkView {
  constructor() {
    this._settled = byId("turns");
    this._now = byId("turns-now");
    this._scroll = byId("talk-scroll");
    this._caption = byId("caption");
    this._nodes = new Map();
  }

  render(state) {
    const isAtEnd =
      this._scroll.scrollHeight - this._scroll.scrollTop - this._scroll.clientHeight < NEAR_END_PX;
    const shown = state.turns.filter((turn) => turnText(turn) !== "");
    const ids = new Set(shown.map((turn) => turn.id));
    for (const [id, entry] of this._nodes) {
      if (ids.has(id)) continue;
      entry.node.remove();
      this._nodes.delete(id);
    }
    const places = { settled: null, now: null };
    for (const turn of shown) this._place(turn, state.language, places);
    setText(this._caption, state.caption.trim());
    this._caption.hidden = state.caption.trim() === "";
    byId("talk-empty").hidden = shown.length > 0 || !this._caption.hidden;
    byId("talk-dropped").hidden = state.turnsDropped === 0;
    setText(byId("talk-dropped"), translate(state.language, "talk.dropped", { count: state.turnsDropped }));
    if (isAtEnd) this._scroll.scrollTop = this._scroll.scrollHeight;
  }

  _place(turn, language, places) {
    let entry = this._nodes.get(turn.id);
    if (!entry) {
      entry = { node: makeTurn(turn), turn: null, language: null };
      this._nodes.set(turn.id, entry);
    }
    if (entry.turn !== turn || entry.language !== language) {
      fillTurn(entry.node, turn, language);
      entry.turn = turn;
      entry.language = language;
    }
    const where = isSettled(turn) ? "settled" : "now";
    const list = where === "settled" ? this._settled : this._now;
    const previous = places[where];
    const expected = previous ? previous.nextSibling : list.firstChild;
    if (expected !== entry.node) list.insertBefore(entry.node, expected);
    places[where] = entry.node;
  }
}

function makeTurn(turn) {
  return el(
    "li",
    { class: `turn ${turn.speaker}`, "data-turn": turn.id },
    el("span", { class: "speaker" }),
    el("p", { class: "said" }),
    el("p", { class: "marks" }),
  );
}

function fillTurn(node, turn, language) {
  setText(node.querySelector(".speaker"), translate(language, `who.${turn.speaker}`));
  const said = node.querySelector(".said");
  setText(said, turnText(turn));
  if (turn.lang) said.lang = turn.lang;
  node.classList.toggle("partial", !isSettled(turn));
  node.classList.toggle("interrupted", turn.isInterrupted);
  const marks = node.querySelector(".marks");
  const wanted = marksOf(turn, language);
  const now = [...marks.children].map((mark) => mark.textContent).join("|");
  if (now !== wanted.map((mark) => mark.textContent).join("|")) marks.replaceChildren(...wanted);
  marks.hidden = wanted.length === 0;
}

function marksOf(turn, language) {
  const marks = [];
  if (turn.isInterrupted) marks.push(el("span", { class: "mark cut", text: translate(language, "talk.interrupted") }));
  if (!turn.score) return marks;
  for (const id of turn.score.techniques) {
    marks.push(el("span", { class: "mark", text: techniqueName(id, language) }));
  }
  const quality = turn.score.quality;
  if (quality) marks.push(el("span", { class: `mark q-${quality}`, text: translate(language, `quality.${quality}`) }));
  for (const code of turn.score.errors) marks.push(el("span", { class: "mark q-missed", text: errorName(code, language) }));
  return marks;
}
