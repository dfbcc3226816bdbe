"use strict";
/* What both pages share: the data, colours of the page's style, small builders. Text goes in as text, never as markup. */

const data = JSON.parse(document.getElementById("data").textContent);
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** A colour of the page's style, by its name without the dashes. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** A moment of the talk: 0:07, 12:40, 1:02:03. */
function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${hours ? two(Math.floor(seconds / 60) % 60) : Math.floor(seconds / 60)}:${two(seconds % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

/** An element with text in it. */
function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** Lines of text as the content of a chart's hint: the first one is its head. */
function hint(head, ...lines) {
  const box = element("div", "", "hint");
  box.append(element("b", head));
  for (const line of lines) if (line) box.append(element("p", line));
  return box;
}

const hintStyle = () => ({
  confine: true,
  backgroundColor: colour("card"),
  borderColor: colour("line"),
  textStyle: { color: colour("ink"), fontSize: 13 },
  extraCssText: "max-width:min(420px,80vw);white-space:normal;box-shadow:0 4px 18px rgba(0,0,0,.18)",
  transitionDuration: 0,
});

/** A number as people write it in the page's language; shares in per cent. */
function figure(value, isShare) {
  if (value === null || value === undefined) return "–";
  const shown = isShare ? value * 100 : value;
  const size = Math.abs(shown);
  const digits = size >= 20 || Number.isInteger(shown) ? 0 : size >= 3 ? 1 : 2;
  const text = shown.toLocaleString(data.lang, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return isShare ? `${text} %` : text;
}

/** Draw a chart now, and anew when its size or the page's colours change. `build(width)` returns [option, height]. */
function chartOf(box, build) {
  const chart = echarts.init(box, null, { renderer: "canvas" });
  let width = 0;
  const draw = () => {
    width = box.clientWidth;
    const [option, height] = build(width);
    box.style.height = `${height}px`;
    chart.resize();
    chart.setOption({ animation: !still.matches, animationDuration: 250, textStyle: { fontFamily: getComputedStyle(document.body).fontFamily }, ...option }, true);
    chart.isDrawn = true;
    if (chart.afterDraw) chart.afterDraw();
  };
  new ResizeObserver(() => {
    if (box.clientWidth !== width) draw();
  }).observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  chart.draw = draw;
  draw();
  return chart;
}
