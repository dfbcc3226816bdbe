/** Small tools to build page elements. Text goes in as text, never as markup. */

/** Make an element. `props`: class, text, title, lang, and any attribute; `children` are nodes. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") node.textContent = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter(Boolean));
  return node;
}

/** The element with this id; it must be there. */
export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`the page has no #${id}`);
  return node;
}

/** Change text only where it differs: an equal text must not be announced again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Rows of a definition list: [[name, value or node], ...]. */
export function pairs(list, rows) {
  const nodes = rows.flatMap(([name, value]) => {
    const detail = value instanceof Node ? el("dd", {}, value) : el("dd", { text: value });
    return [el("dt", { text: name }), detail];
  });
  list.replaceChildren(...nodes);
}

/** A number for reading: at most two decimals, as the language writes it. */
export function formatNumber(language, value, digits = 2) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
}
