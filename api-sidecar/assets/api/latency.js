// Shows the stages' percentiles as a table and as curves: value over percentile, both logarithmic.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"];
const COLUMNS = ["count", "p50", "p90", "p99", "p99_9", "max"];
const WIDTH = 900, HEIGHT = 420, LEFT = 70, BOTTOM = 40, TOP = 10, RIGHT = 10;

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function drawn(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function micros(nanos) {
  return `${(nanos / 1000).toLocaleString("en", { maximumFractionDigits: 1 })} µs`;
}

function stageTable(stages) {
  const head = element("tr", "", ...["stage", ...COLUMNS].map((name) => element("th", name.replace("_", "."))));
  const rows = stages.map((stage) => element("tr", "", element("td", stage.stage),
    ...COLUMNS.map((name) => element("td", name === "count" ? String(stage.count) : micros(stage[name])))));
  return element("table", "", head, ...rows);
}

/** Points [1/(1-percentile), microseconds] out of an .hgrm text. */
function points(text) {
  return text.split("\n").filter((line) => /^\s*\d/.test(line)).map((line) => {
    const [value, , , inverse] = line.trim().split(/\s+/).map(Number);
    return [inverse, value];
  }).filter(([inverse, value]) => inverse >= 1 && value > 0);
}

function plot(curves) {
  const all = curves.flatMap((curve) => curve.points);
  const svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "Latency by percentile" });
  if (!all.length) return svg;
  const decades = Math.max(2, Math.ceil(Math.log10(Math.max(...all.map(([inverse]) => inverse)))));
  const low = Math.floor(Math.log10(Math.min(...all.map(([, value]) => value))));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...all.map(([, value]) => value)))));
  const x = (inverse) => LEFT + (WIDTH - LEFT - RIGHT) * Math.log10(inverse) / decades;
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (high - Math.log10(value)) / (high - low);
  for (let decade = 0; decade <= decades; decade += 1) {
    const name = decade === 0 ? "0 %" : `${100 - 100 / 10 ** decade} %`;
    svg.append(drawn("line", { x1: x(10 ** decade), x2: x(10 ** decade), y1: TOP, y2: HEIGHT - BOTTOM, stroke: "#8884" }));
    svg.append(drawn("text", { x: x(10 ** decade), y: HEIGHT - 15, "text-anchor": "middle", fill: "currentColor", "font-size": 12 }, name));
  }
  for (let power = low; power <= high; power += 1) {
    svg.append(drawn("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(10 ** power), y2: y(10 ** power), stroke: "#8884" }));
    svg.append(drawn("text", { x: LEFT - 8, y: y(10 ** power) + 4, "text-anchor": "end", fill: "currentColor", "font-size": 12 }, micros(1000 * 10 ** power)));
  }
  for (const curve of curves) {
    const path = curve.points.map(([inverse, value]) => `${x(inverse).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    svg.append(drawn("polyline", { points: path, fill: "none", stroke: curve.colour, "stroke-width": 2 }));
  }
  return svg;
}

async function read(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return answer;
}

async function show() {
  const { stages } = await (await read("/api/oms/latency")).json();
  document.getElementById("stages").replaceChildren(stageTable(stages));
  const recorded = stages.filter((stage) => stage.count > 0);
  const curves = await Promise.all(recorded.map(async ({ stage }, at) => ({
    name: stage,
    colour: COLOURS[at % COLOURS.length],
    points: points(await (await read(`/api/oms/latency.hgrm?stage=${stage}`)).text()),
  })));
  document.getElementById("plot").replaceChildren(plot(curves));
  document.getElementById("legend").replaceChildren(...curves.flatMap((curve) => {
    const mark = drawn("svg", { width: 14, height: 10 });
    mark.append(drawn("rect", { width: 12, height: 10, fill: curve.colour }));
    return [mark, ` ${curve.name}   `];
  }));
  document.getElementById("state").textContent = recorded.length ? "" : "No order has been answered yet.";
  document.body.dataset.ready = "true";
}

function refresh() {
  show().catch((error) => { document.getElementById("state").textContent = `Not available: ${error.message}`; });
}

document.getElementById("again").addEventListener("click", refresh);
refresh();
