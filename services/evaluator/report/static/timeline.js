/* Draws a talk on one axis of time: lanes of turns and judgements, loudness of both mirrored, pitch of both. */

const FLOOR_DB = -60;
const LANES = ["phase", "techniques", "user", "hugo", "attitudes", "hints"];
const LANE_PX = 34;
const CURVE_PX = 84;

class Timeline {
  constructor(box, talk, onPick) {
    this.talk = talk;
    this.at_ms = 0;
    this.items = this.collect();
    this.chart = chartOf(box, (width) => this.build(width));
    this.head = element("div", "", "playhead");
    box.append(this.head);
    this.chart.afterDraw = () => this.place();
    this.chart.on("dataZoom", () => this.place());
    let picked = null;
    this.chart.on("click", (hit) => {
      const item = hit.seriesId === "lanes" ? this.items[hit.dataIndex] : null;
      picked = item && item.jump !== undefined ? item.jump : null;
    });
    this.chart.getZr().on("click", (event) => {
      const ms = this.chart.convertFromPixel({ xAxisIndex: 0 }, event.offsetX);
      const jump = picked;
      picked = null;
      if (jump !== null) onPick(jump);
      else if (ms >= 0 && ms <= talk.length && event.offsetX >= this.left) onPick(ms);
    });
    this.place();
  }

  /** Show the place in the talk; while it plays a zoomed view goes along. */
  point(ms) {
    this.at_ms = ms;
    const zoom = this.chart.getOption().dataZoom[0];
    if (player.playing && (ms < zoom.startValue || ms > zoom.endValue)) {
      const width = zoom.endValue - zoom.startValue;
      const start = Math.min(Math.max(0, ms - width * 0.1), this.talk.length - width);
      this.chart.dispatchAction({ type: "dataZoom", startValue: start, endValue: start + width });
    }
    this.place();
  }

  place() {
    if (!this.head) return;
    const x = this.chart.convertToPixel({ xAxisIndex: 0 }, this.at_ms);
    const inside = x >= this.left - 1 && x <= this.chart.getWidth() - this.right + 1;
    this.head.hidden = !inside;
    this.head.style.transform = `translateX(${x}px)`;
  }

  /** Everything that stands in a lane, as {lane, from, to, draw, label, tip, jump}. */
  collect() {
    const { talk } = this;
    const lane = (name) => LANES.indexOf(name);
    const items = talk.phases.map(([number, from, to, name]) => ({
      lane: 0, from, to, draw: "phase", number, label: `${number} ${name}`, tip: [`${number} ${name}`],
    }));
    for (const each of talk.techniques) {
      if (!each.ids && !each.errors.length) continue;
      const quality = talk.words[`quality.${each.quality || "none"}`];
      items.push({
        lane: 1, from: each.from, to: each.to, draw: "chip", tone: each.quality || "none", jump: each.from,
        label: (each.errors.length ? "⚠ " : "") + each.ids, tip: [each.names.join(", ") || quality, quality, ...each.errors],
      });
    }
    for (const turn of talk.turns) {
      const tip = [`${talk.names[turn.who]}, ${clock(turn.from)}–${clock(turn.to)}`, turn.text];
      items.push({ lane: lane(turn.who), from: turn.from, to: turn.to, draw: "turn", tone: turn.who, speech: turn.speech, tip });
    }
    for (const [who, from, to, text] of talk.acks) {
      items.push({ lane: lane(who), from, to, draw: "ack", tone: who, tip: [`${talk.names[who]}, ${clock(from)}`, text || talk.words["mark.backchannel"]] });
    }
    for (const [from, to] of talk.overlaps) {
      items.push({ lane: 2, from, to, draw: "overlap", tip: [`${talk.words["mark.overlap"]}, ${((to - from) / 1000).toFixed(1)} s`, clock(from)] });
    }
    for (const [by, at, , text] of talk.cuts) {
      items.push({ lane: lane(by), from: at, to: at, draw: "cut", by, jump: Math.max(0, at - 2000), tip: [text, clock(at)] });
    }
    for (const each of talk.attitudes) {
      const state = each.handled === null ? "" : talk.words[each.handled ? "mark.handled" : "mark.unhandled"];
      const tone = each.handled === null ? "none" : each.handled ? "ok" : "missed";
      items.push({ lane: 4, from: each.from, to: each.to, draw: "chip", tone, jump: each.from, label: each.name, tip: [each.name, state] });
    }
    // A short turn's chip may reach into the gap behind it, so that its label can be read.
    for (const number of [1, 4]) {
      const chips = items.filter((item) => item.lane === number);
      chips.forEach((chip, i) => (chip.room = chips[i + 1] ? chips[i + 1].from : talk.length));
    }
    for (const [at, text, tone, name] of talk.hints) {
      items.push({ lane: 5, from: at, to: at, draw: "hint", tone, jump: at, tip: [`${talk.words["mark.hint"]} (${name}), ${clock(at)}`, text] });
    }
    return items;
  }

  build(width) {
    const narrow = width < 640;
    this.left = narrow ? 66 : 104;
    this.right = 14;
    const lanesPx = LANES.length * LANE_PX;
    const tops = [10, lanesPx + 22, lanesPx + CURVE_PX + 40];
    const heights = [lanesPx, CURVE_PX, CURVE_PX];
    const hasSound = Object.keys(this.talk.curves).length > 0;
    const shown = hasSound ? 3 : 1;
    const bottom = tops[shown - 1] + heights[shown - 1];
    const grid = tops.slice(0, shown).map((top, i) => ({ left: this.left, right: this.right, top, height: heights[i] }));
    const option = {
      grid,
      tooltip: { trigger: "item", ...hintStyle() },
      axisPointer: { link: [{ xAxisIndex: "all" }], lineStyle: { color: colour("edge") } },
      xAxis: grid.map((_, i) => this.timeAxis(i, i === shown - 1)),
      yAxis: [this.laneAxis(narrow), ...(hasSound ? this.curveAxes(narrow) : [])],
      dataZoom: this.zoom(shown, bottom + 30),
      series: [this.laneSeries(), ...(hasSound ? this.curveSeries() : [])],
    };
    return [option, bottom + 68];
  }

  timeAxis(index, isLast) {
    return {
      type: "value", gridIndex: index, min: 0, max: this.talk.length,
      axisLabel: { show: isLast, color: colour("soft"), formatter: (ms) => clock(ms), hideOverlap: true },
      axisLine: { show: false }, axisTick: { show: false },
      splitLine: { lineStyle: { color: colour("line"), opacity: 0.6 } }, minInterval: 1000,
      axisPointer: { show: true, triggerTooltip: false, label: { show: isLast, formatter: ({ value }) => clock(value), backgroundColor: colour("edge") } },
    };
  }

  laneAxis(narrow) {
    const { words, names } = this.talk;
    const texts = { phase: words["lane.phase"], techniques: words["lane.techniques"], user: names.user, hugo: names.hugo, attitudes: words["lane.attitudes"], hints: words["lane.hints"] };
    return {
      type: "category", data: LANES.map((lane) => texts[lane]), inverse: true, gridIndex: 0,
      axisLine: { show: false }, axisTick: { show: false },
      axisLabel: { color: (text) => (text === names.user ? colour("user") : text === names.hugo ? colour("hugo") : colour("soft")), fontSize: narrow ? 11 : 13, fontWeight: 600 },
      splitLine: { show: false },
    };
  }

  curveAxes(narrow) {
    const { words } = this.talk;
    const name = (text) => ({ name: text, nameLocation: "middle", nameGap: narrow ? 40 : 56, nameRotate: narrow ? 90 : 0, nameTextStyle: { color: colour("soft"), fontSize: narrow ? 11 : 13, fontWeight: 600, align: "center" } });
    const quiet = { axisLine: { show: false }, axisTick: { show: false }, splitLine: { lineStyle: { color: colour("line"), opacity: 0.6 } } };
    return [
      { type: "value", gridIndex: 1, min: FLOOR_DB, max: -FLOOR_DB, interval: -FLOOR_DB, ...name(words["curve.loudness"]), ...quiet, axisLabel: { show: false } },
      { type: "log", logBase: 2, gridIndex: 2, min: 64, max: 400, ...name(words["curve.pitch"]), ...quiet, splitNumber: 3, axisLabel: { color: colour("soft"), fontSize: 10, formatter: (hz) => (hz > 300 ? "Hz" : hz < 65 ? "" : String(Math.round(hz))) } },
    ];
  }

  zoom(shown, top) {
    const all = [...Array(shown).keys()];
    const common = { xAxisIndex: all, filterMode: "none", minValueSpan: 3000 };
    return [
      { type: "inside", ...common, zoomOnMouseWheel: "ctrl", moveOnMouseMove: true, moveOnMouseWheel: false, preventDefaultMouseMove: false },
      {
        type: "slider", ...common, top, height: 22, left: this.left, right: this.right, showDetail: false, brushSelect: false,
        borderColor: colour("line"), backgroundColor: "transparent", fillerColor: colour("filler"),
        handleStyle: { color: colour("card"), borderColor: colour("edge") }, moveHandleSize: 0,
        dataBackground: { lineStyle: { opacity: 0 }, areaStyle: { opacity: 0 } },
        selectedDataBackground: { lineStyle: { opacity: 0 }, areaStyle: { opacity: 0 } },
      },
    ];
  }

  laneSeries() {
    const palette = Object.fromEntries(
      ["user", "hugo", "user-tint", "hugo-tint", "good", "warn", "red", "good-tint", "warn-tint", "red-tint", "soft", "line", "card", "ink", "both", "p1", "p2", "p3", "p4"].map((name) => [name, colour(name)]),
    );
    return {
      id: "lanes", type: "custom", xAxisIndex: 0, yAxisIndex: 0, clip: true, animation: false,
      data: this.items.map((item) => [item.from, item.to, item.lane]),
      encode: { x: [0, 1], y: 2 },
      renderItem: (params, api) => drawItem(this.items[params.dataIndex], params.coordSys, api, palette),
      tooltip: { formatter: (hit) => hint(...this.items[hit.dataIndex].tip) },
    };
  }

  curveSeries() {
    const series = [];
    for (const [who, sign] of [["user", 1], ["hugo", -1]]) {
      const curves = this.talk.curves[who];
      if (!curves) continue;
      const { loudness, pitch } = curves;
      const line = { type: "line", showSymbol: false, silent: true, animation: false, color: colour(who) };
      series.push({
        ...line, id: `loud-${who}`, xAxisIndex: 1, yAxisIndex: 1, lineStyle: { width: 1, opacity: 0.7 }, areaStyle: { opacity: 0.45 },
        data: loudness.values.map((db, i) => [(i + 0.5) * loudness.step, sign * (db - FLOOR_DB)]),
      });
      series.push({
        ...line, id: `pitch-${who}`, xAxisIndex: 2, yAxisIndex: 2, connectNulls: false, lineStyle: { width: 2 },
        data: pitch.values.map((hz, i) => [(i + 0.5) * pitch.step, hz === null ? null : hz]),
      });
    }
    return series;
  }
}

/** About how wide a label of a lane is drawn. */
const textWidth = (text) => text.length * 6.6;

const CHIP = { ok: ["good-tint", "good"], partial: ["warn-tint", "warn"], missed: ["red-tint", "red"], none: ["line", "soft"] };

/** One thing in a lane as a shape of the chart library. */
function drawItem(item, area, api, palette) {
  const [x1, y] = api.coord([item.from, item.lane]);
  const [x2] = api.coord([item.to, item.lane]);
  const band = api.size([0, 1])[1];
  const rect = (left, right, height, style, r = 3) => {
    const shape = echarts.graphic.clipRectByRect(
      { x: left, y: y - height / 2, width: Math.max(right - left, 2), height },
      { x: area.x, y: area.y, width: area.width, height: area.height },
    );
    return shape && { type: "rect", shape: { ...shape, r }, style };
  };
  const group = (...children) => ({ type: "group", children: children.filter(Boolean) });
  const labelled = (shape, text, fill) => {
    const room = shape ? shape.shape.width - 9 : 0;
    if (room < Math.min(26, textWidth(text))) return null;
    return { type: "text", silent: true, style: { x: shape.shape.x + 5, y, text, fill, fontSize: 11.5, fontWeight: 600, verticalAlign: "middle", overflow: "truncate", ellipsis: "…", width: room + 3 } };
  };
  switch (item.draw) {
    case "phase": {
      const shape = rect(x1, x2 - 1, band * 0.5, { fill: palette[`p${item.number}`] || palette.line, opacity: 0.28 });
      return group(shape, labelled(shape, item.label, palette.ink));
    }
    case "chip": {
      const [fill, ink] = CHIP[item.tone];
      const edge = Math.min(x1 + textWidth(item.label) + 12, api.coord([item.room, item.lane])[0] - 3);
      const shape = rect(x1, Math.max(x2, edge), band * 0.66, { fill: palette[fill], stroke: palette[ink], lineWidth: 1 }, 5);
      return group(shape, labelled(shape, item.label, palette[ink === "soft" ? "ink" : ink]));
    }
    case "turn": {
      const whole = rect(x1, x2, band * 0.74, { fill: palette[`${item.tone}-tint`] }, 4);
      const parts = item.speech.map(([from, to]) => rect(api.coord([from, 0])[0], api.coord([to, 0])[0], band * 0.74, { fill: palette[item.tone] }, 3));
      return group(whole, ...parts);
    }
    case "ack":
      return group(rect(x1, x2, band * 0.3, { fill: palette[item.tone], opacity: 0.75 }, 2));
    case "overlap": {
      const shape = echarts.graphic.clipRectByRect(
        { x: x1, y: y - band * 0.37, width: Math.max(x2 - x1, 3), height: band * 1.74 },
        { x: area.x, y: area.y, width: area.width, height: area.height },
      );
      return shape && { type: "rect", shape, style: { fill: palette.both, opacity: 0.55 } };
    }
    case "cut": {
      // Points from the lane of who interrupts to the lane of who is interrupted.
      const down = item.by === "user" ? 1 : -1;
      const tip = y + down * band * 0.62;
      const base = y + down * band * 0.3;
      if (x1 < area.x || x1 > area.x + area.width) return null;
      return { type: "polygon", z2: 20, shape: { points: [[x1 - 7, base], [x1 + 7, base], [x1, tip]] }, style: { fill: palette.red, stroke: palette.card, lineWidth: 1.5 } };
    }
    default: {
      if (x1 < area.x || x1 > area.x + area.width) return null;
      const fill = item.tone === "challenging" ? palette.warn : item.tone === "supportive" ? palette.good : palette.soft;
      return { type: "circle", shape: { cx: x1, cy: y, r: 6 }, style: { fill, stroke: palette.card, lineWidth: 1.5 } };
    }
  }
}
