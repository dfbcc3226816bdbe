/* Brings player, timeline and words together: what is clicked is played, what is played is shown. */

const turnItems = [...document.querySelectorAll("li.turn")];
const rows = turnItems.map((item) => ({ item, from: Number(item.dataset.from), to: Number(item.dataset.to) }));
let current = null;

function showTurn(ms, playing) {
  const now = rows.filter((row) => row.from <= ms && ms < row.to).pop() || null;
  if (now === current) return;
  if (current) current.item.classList.remove("now");
  current = now;
  if (!now) return;
  now.item.classList.add("now");
}

/** Go to a place: with sound it is played; without, the timeline and the words show it. */
function go(ms) {
  if (player.lead) {
    player.playFrom(ms);
    return;
  }
  player.seek(ms);
  const row = rows.find((each) => ms < each.to) || rows[rows.length - 1];
  if (!row) return;
  row.item.classList.remove("flash");
  void row.item.offsetWidth;
  row.item.classList.add("flash");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.at");
  if (button) {
    go(Number(button.dataset.at));
    if (!button.closest("li.turn") && !player.lead) {
      document.getElementById("chart").scrollIntoView({ behavior: still.matches ? "auto" : "smooth", block: "center" });
    }
    return;
  }
  const filter = event.target.closest("button[data-filter]");
  if (!filter) return;
  for (const each of document.querySelectorAll("button[data-filter]")) each.setAttribute("aria-pressed", String(each === filter));
  const wanted = filter.dataset.filter;
  for (const item of turnItems) item.hidden = wanted !== "all" && !item.classList.contains(wanted);
});

/** The turn before or behind the place. */
function step(direction) {
  const starts = [...new Set(rows.map((row) => row.from))].sort((a, b) => a - b);
  const at = player.at_ms;
  const next = direction > 0 ? starts.find((ms) => ms > at + 50) : starts.filter((ms) => ms < at - 1000).pop();
  if (next !== undefined) player.seek(next);
}

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea, summary")) return;
  const isButton = Boolean(event.target.closest("button, a"));
  if (event.key === " " && !isButton && player.lead) player.toggle();
  else if (event.key === "ArrowLeft") player.seek(player.at_ms - 5000);
  else if (event.key === "ArrowRight") player.seek(player.at_ms + 5000);
  else if (event.key === "n") step(1);
  else if (event.key === "p") step(-1);
  else return;
  event.preventDefault();
});

if (player.lead) {
  document.getElementById("prev").addEventListener("click", () => step(-1));
  document.getElementById("next").addEventListener("click", () => step(1));
}
const timeline = new Timeline(document.getElementById("chart"), data, (ms) => go(ms));
player.on((ms, playing) => {
  showTurn(ms, playing);
  timeline.point(ms);
});
document.body.dataset.ready = "yes";
