/** Every word that the page itself says, in Dutch and English. `{name}` is filled in by `translate`. */

import { nl } from "./strings_nl.js";
import { en } from "./strings_en.js";

export const LANGUAGES = { nl, en };

/** The text of `key` in a language, with its places filled in. An unknown key raises: a missing text is a fault. */
export function translate(language, key, values = {}) {
  const text = LANGUAGES[language][key];
  if (text === undefined) throw new Error(`no text "${key}" in ${language}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** The text of `key`, or `fallback` where the page has no words of its own for it (a new metric, a new code). */
export function translateOr(language, key, fallback) {
  return LANGUAGES[language][key] ?? fallback;
}

/** "talk_share" -> "Talk share": a readable name for what has no translation. */
export function humanize(name) {
  const words = String(name).replace(/([a-z0-9])([A-Z])/g, "$1 $2").replace(/[_-]+/g, " ").trim().toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
