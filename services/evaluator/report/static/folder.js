/* The charts about many recordings, and a list that can be sorted. */

const day = (ms) => new Date(ms).toISOString().slice(0, 10);
const groupNames = [...new Set(data.recordings.map((each) => each.group))].sort();
const GROUP_COLOURS = ["user", "hugo", "p4", "p1", "p3", "both"];
const groupColour = (group) => colour(GROUP_COLOURS[groupNames.indexOf(group) % GROUP_COLOURS.length]);

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

const axisText = () => ({ color: colour("soft"), hideOverlap: true });
const softLines = () => ({ lineStyle: { color: colour("line"), opacity: 0.7 } });
const about = (each, name) =>
  hint(`${day(each.started)}${each.group ? `, ${each.group}` : ""}`, `${data.figures[name].name}: ${figure(each.values[name], data.figures[name].isShare)}`, each.id);

let picked = data.scores[0];

function trend(width) {
  const narrow = width < 640;
  const { isShare, isScore } = data.figures[picked];
  const known = data.recordings.filter((each) => picked in each.values);
  const line = known.map((each, i) => [each.started, median(known.slice(Math.max(0, i - 2), i + 3).map((other) => other.values[picked]))]);
  const zone = data.scales[picked] && data.scales[picked].good;
  const dots = groupNames.map((group, i) => ({
    type: "scatter", name: group || "–", symbolSize: 11, itemStyle: { color: groupColour(group), opacity: 0.85, borderColor: colour("card"), borderWidth: 1 },
    data: known.filter((each) => each.group === group).map((each) => ({ value: [each.started, each.values[picked]], each })),
    ...(zone && i === 0 ? { markArea: { silent: true, itemStyle: { color: colour("good"), opacity: 0.1 }, data: [[{ yAxis: zone[0] }, { yAxis: zone[1] }]] } } : {}),
  }));
  const option = {
    grid: { left: narrow ? 44 : 58, right: 18, top: groupNames.length > 1 ? 34 : 14, bottom: 30 },
    legend: { show: groupNames.length > 1, top: 0, left: 8, textStyle: { color: colour("soft") }, itemWidth: 12, itemHeight: 12 },
    tooltip: { trigger: "item", ...hintStyle(), formatter: (hit) => (hit.data.each ? about(hit.data.each, picked) : "") },
    xAxis: { type: "time", axisLabel: { ...axisText(), formatter: (ms) => day(ms) }, axisLine: softLines(), axisTick: { show: false }, splitLine: { show: false } },
    yAxis: { type: "value", min: isScore ? 0 : undefined, max: isScore ? 100 : undefined, scale: !isScore, axisLabel: { ...axisText(), formatter: (value) => figure(value, isShare) }, splitLine: softLines() },
    series: [
      ...dots,
      { type: "line", data: line, showSymbol: false, silent: true, smooth: 0.3, lineStyle: { color: colour("soft"), width: 2.5, type: "solid" }, z: 1, legendHoverLink: false },
    ],
  };
  return [option, narrow ? 250 : 300];
}

/** One row a figure, each with an axis of its own; dots are spread in height so that equal ones can be told apart. */
function spread(width) {
  const names = ["total_reached", ...data.main].filter((name) => data.recordings.some((each) => name in each.values));
  const narrow = width < 520;
  const ROW = narrow ? 66 : 54;
  const left = narrow ? 14 : 232;
  const option = { grid: [], xAxis: [], yAxis: [], series: [], graphic: [], tooltip: { trigger: "item", ...hintStyle(), formatter: (hit) => (hit.data.each ? about(hit.data.each, hit.data.name) : "") } };
  names.forEach((name, i) => {
    const known = data.recordings.filter((each) => name in each.values);
    const scale = data.scales[name] || { low: 0, high: 100, good: null };
    const values = known.map((each) => each.values[name]);
    const high = Math.max(scale.high, ...values);
    const good = scale.good && [scale.good[0], scale.good[1] === scale.high ? high : scale.good[1]];
    const top = i * ROW + (narrow ? 26 : 8);
    const { isShare, name: label } = data.figures[name];
    option.grid.push({ left, right: 22, top, height: 22 });
    option.xAxis.push({ type: "value", gridIndex: i, min: scale.low, max: high, splitNumber: 4, interval: isShare && high === 1 ? 0.25 : high === 100 ? 25 : undefined, axisLabel: { ...axisText(), fontSize: 11, margin: 4, showMaxLabel: high === scale.high, formatter: (value) => figure(value, isShare) }, axisLine: softLines(), axisTick: { show: false }, splitLine: { show: false } });
    option.yAxis.push({ type: "value", gridIndex: i, min: 0, max: 1, show: false });
    option.graphic.push({ type: "text", left: narrow ? 14 : 12, top: narrow ? top - 19 : top + 3, style: { text: label, fill: colour("ink"), fontSize: 13, width: narrow ? width - 28 : left - 24, overflow: "truncate" } });
    option.series.push({
      type: "scatter", xAxisIndex: i, yAxisIndex: i, symbolSize: 9, itemStyle: { opacity: 0.6 },
      data: known.map((each, k) => ({ value: [each.values[name], 0.2 + 0.6 * (((k * 7) % 11) / 10)], each, name, itemStyle: { color: groupColour(each.group) } })),
      markArea: good ? { silent: true, itemStyle: { color: colour("good"), opacity: 0.16 }, data: [[{ xAxis: good[0] }, { xAxis: good[1] }]] } : undefined,
      markLine: { silent: true, symbol: "none", animation: false, label: { show: false }, lineStyle: { color: colour("ink"), width: 2.5, type: "solid" }, data: [{ xAxis: median(values) }] },
    });
  });
  return [option, names.length * ROW + 14];
}

function errors() {
  const rows = [...data.errors].slice(0, 14).reverse();
  const option = {
    grid: { left: 14, right: 20, top: 8, bottom: 4 },
    tooltip: { trigger: "item", ...hintStyle(), formatter: (hit) => hint(rows[hit.dataIndex][0], `${rows[hit.dataIndex][1]} / ${data.recordings.length}`, `${rows[hit.dataIndex][2]}×`) },
    xAxis: { type: "value", min: 0, max: data.recordings.length, show: false },
    yAxis: { type: "category", data: rows.map((row) => row[0]), show: false },
    series: [{
      type: "bar", data: rows.map((row) => row[1]), barWidth: 8, itemStyle: { color: colour("red"), opacity: 0.75, borderRadius: 4 }, showBackground: true, backgroundStyle: { color: colour("line"), opacity: 0.4, borderRadius: 4 },
      label: { show: true, position: [0, -17], color: colour("ink"), fontSize: 13, formatter: (hit) => `${rows[hit.dataIndex][0]}  {n|${hit.value}}`, rich: { n: { fontWeight: 700, fontSize: 13, color: colour("ink") } } },
    }],
  };
  return [option, Math.max(60, rows.length * 41 + 12)];
}

function methods(width) {
  const { columns, rows, cells } = data.methods;
  const narrow = width < 640;
  const tones = { ok: colour("good"), partial: colour("warn-strong"), missed: colour("red") };
  const option = {
    grid: { left: narrow ? 62 : 320, right: 16, top: 6, bottom: 30 },
    tooltip: { trigger: "item", ...hintStyle(), formatter: (hit) => { const [x, y, quality] = cells[hit.dataIndex]; return hint(`${rows[y][0]} ${rows[y][1]}`, data.words[`quality.${quality}`], `${day(columns[x][1])}, ${columns[x][0]}`); } },
    xAxis: { type: "category", data: columns.map(([, ms]) => day(ms)), axisLabel: axisText(), axisLine: softLines(), axisTick: { show: false }, splitArea: { show: false } },
    yAxis: { type: "category", inverse: true, data: rows.map(([id, name]) => (narrow ? id : `${id}  ${name}`)), axisLabel: { color: colour("ink"), fontSize: 12, width: narrow ? 52 : 300, overflow: "truncate", interval: 0 }, axisLine: { show: false }, axisTick: { show: false }, splitLine: { show: true, ...softLines() } },
    series: [{
      type: "custom", data: cells.map(([x, y]) => [x, y]), encode: { x: 0, y: 1 },
      renderItem: (params, api) => {
        const [x, y] = api.coord([api.value(0), api.value(1)]);
        const [w, h] = api.size([1, 1]);
        const quality = cells[params.dataIndex][2];
        const size = { width: Math.max(2, w - 3), height: h - 5 };
        const shape = { x: x - size.width / 2, y: y - size.height / 2, ...size, r: 3 };
        // Told apart by height too, not by colour alone.
        if (quality === "partial") Object.assign(shape, { y: y - size.height * 0.1, height: size.height * 0.6 });
        if (quality === "missed") Object.assign(shape, { y: y + size.height * 0.25, height: size.height * 0.25 });
        return { type: "rect", shape, style: { fill: tones[quality], opacity: 0.85 } };
      },
    }],
  };
  return [option, rows.length * 25 + 40];
}

function groups(width) {
  const rows = [...data.comparison].reverse();
  const narrow = width < 640;
  const reach = Math.max(1, ...rows.flatMap((row) => [Math.abs(row[2]), Math.abs(row[3])]));
  const tone = (row) => colour(row[4] ? "hugo" : "edge");
  const option = {
    grid: { left: narrow ? 150 : 300, right: 24, top: 8, bottom: 26 },
    tooltip: { trigger: "item", ...hintStyle(), formatter: (hit) => { const row = rows[hit.dataIndex]; return hint(row[0], figure(row[1]), `${data.words["folder.interval"]}: ${figure(row[2])} … ${figure(row[3])}`); } },
    xAxis: { type: "value", min: -Math.ceil(reach), max: Math.ceil(reach), axisLabel: axisText(), splitLine: softLines() },
    yAxis: { type: "category", data: rows.map((row) => row[0]), axisLine: { show: false }, axisTick: { show: false }, axisLabel: { color: colour("ink"), fontSize: 12, width: narrow ? 140 : 284, overflow: "truncate", interval: 0 } },
    series: [
      {
        type: "custom", data: rows.map((row, i) => [row[2], row[3], i]), encode: { x: [0, 1], y: 2 },
        renderItem: (params, api) => {
          const row = rows[params.dataIndex];
          const [x1, y] = api.coord([row[2], params.dataIndex]);
          const [x2] = api.coord([row[3], params.dataIndex]);
          const [x] = api.coord([row[1], params.dataIndex]);
          return { type: "group", children: [
            { type: "rect", shape: { x: x1, y: y - 3, width: Math.max(2, x2 - x1), height: 6, r: 3 }, style: { fill: tone(row), opacity: 0.45 } },
            { type: "circle", shape: { cx: x, cy: y, r: 6 }, style: { fill: tone(row), stroke: colour("card"), lineWidth: 1.5 } },
          ] };
        },
        markLine: { silent: true, symbol: "none", animation: false, label: { show: false }, lineStyle: { color: colour("ink"), type: "solid", width: 1.5 }, data: [{ xAxis: 0 }] },
      },
    ],
  };
  return [option, rows.length * 26 + 44];
}

const charts = {};
for (const [name, build] of Object.entries({ trend, spread, errors, methods, groups })) {
  const box = document.getElementById(`chart-${name}`);
  if (box) charts[name] = chartOf(box, build);
}

const pick = document.getElementById("pick");
if (pick) {
  pick.addEventListener("change", () => {
    picked = pick.value;
    charts.trend.draw();
  });
}

/* A click on a column's head sorts by it, once more the other way round. */
const list = document.getElementById("recordings");
if (list) {
  list.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-column]");
    if (!button) return;
    const head = button.closest("th");
    const column = Number(button.dataset.column);
    const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const each of list.tHead.querySelectorAll("th")) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    const key = (row) => {
      const cell = row.cells[column];
      return cell.dataset.key === undefined ? cell.textContent : Number(cell.dataset.key);
    };
    const sorted = [...list.tBodies[0].rows].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) * direction);
    list.tBodies[0].append(...sorted);
  });
}
document.body.dataset.ready = "yes";
