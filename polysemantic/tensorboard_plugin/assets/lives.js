// One neuron over training: the weight of each of its features at every snapshot, as lines.

import { CARRIED } from "./analysis.js";
import { shape } from "./svg.js";

const WIDTH = 380, HEIGHT = 250, LEFT = 52, RIGHT = 70, TOP = 12, BOTTOM = 36;
const LINE = 11;
const MOST = 12, FEWEST = 3;
// The Okabe-Ito palette without yellow, which white swallows.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"];
const DASHES = ["", "6 3"];

/** The features to show: all that the neuron ever carried, or its three strongest. */
export function featuresOf(neuron, matrices) {
  const largest = Array.from({ length: matrices[0].nFeatures }, (_, feature) => ({
    feature,
    size: Math.max(...matrices.map((matrix) => Math.abs(matrix.weight(feature, neuron)) || 0)),
  })).sort((a, b) => b.size - a.size);
  const carried = largest.filter(({ size }) => size >= CARRIED).length;
  return largest.slice(0, Math.min(MOST, carried || FEWEST)).map(({ feature }) => feature);
}

/** Draw a neuron's features over the steps into an svg; `hover` is told of the point nearest to the pointer. */
export function drawLives(svg, { neuron, features, matrices, steps, step }, hover) {
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  const weights = features.map((feature) => matrices.map((matrix) => matrix.weight(feature, neuron)));
  const limit = Math.max(1.1, ...weights.flat().filter(Number.isFinite).map(Math.abs));
  const late = Math.log1p(steps.at(-1)) || 1;
  const x = (at) => LEFT + (Math.log1p(at) / late) * (WIDTH - LEFT - RIGHT);
  const y = (w) => TOP + ((limit - w) / (2 * limit)) * (HEIGHT - TOP - BOTTOM);
  axes(svg, x, y, steps);
  shape(svg, "line", { x1: x(step), x2: x(step), y1: TOP, y2: HEIGHT - BOTTOM, class: "now", "data-step": step });
  const points = features.flatMap((feature, at) => curve(svg, feature, at, weights[at], steps, x, y));
  labels(svg, features, weights, y);
  svg.onpointermove = (event) => hover(nearest(points, inside(svg, event)));
  svg.onpointerleave = () => hover(null);
}

function axes(svg, x, y, steps) {
  for (const w of [-1, -CARRIED, 0, CARRIED, 1]) {
    const carried = Math.abs(w) === CARRIED;
    shape(svg, "line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(w), y2: y(w), class: carried ? "carried" : "grid" });
    shape(svg, "text", { x: LEFT - 6, y: y(w) + 4, "text-anchor": "end" }, String(w));
  }
  const [end, middle] = [steps.at(-1), Math.round(Math.sqrt(steps.at(-1)))];
  for (const at of new Set([0, middle, end])) {
    shape(svg, "text", { x: x(at), y: HEIGHT - BOTTOM + 14, "text-anchor": "middle" }, String(at));
  }
  const [across, up] = [(LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2];
  shape(svg, "text", { x: across, y: HEIGHT - 5, "text-anchor": "middle", class: "name" },
    "training (optimiser steps, logarithmic)");
  shape(svg, "text", { x: 11, y: up, "text-anchor": "middle", transform: `rotate(-90 11 ${up})`, class: "name" },
    "effective weight w");
}

function curve(svg, feature, at, weights, steps, x, y) {
  const known = steps.map((step, place) => ({ feature, step, weight: weights[place] }))
    .filter(({ weight }) => Number.isFinite(weight))
    .map((point) => ({ ...point, x: x(point.step), y: y(point.weight) }));
  shape(svg, "polyline", {
    points: known.map((point) => `${point.x.toFixed(1)},${point.y.toFixed(1)}`).join(" "),
    stroke: COLOURS[at % COLOURS.length],
    "stroke-dasharray": DASHES[Math.floor(at / COLOURS.length) % DASHES.length],
    "data-feature": feature,
  });
  return known;
}

// Names at the ends of the lines, moved apart where lines end together, and none below the chart.
function labels(svg, features, weights, y) {
  const ends = features.map((feature, at) => ({ feature, at, y: y(weights[at].findLast(Number.isFinite) ?? 0) }));
  let low = -Infinity;
  for (const end of ends.sort((a, b) => a.y - b.y)) low = end.y = Math.max(end.y, low + LINE);
  let high = HEIGHT - BOTTOM;
  for (const end of ends.reverse()) {
    high = end.y = Math.min(end.y, high);
    high -= LINE;
    const place = { x: WIDTH - RIGHT + 4, y: end.y + 4, fill: COLOURS[end.at % COLOURS.length] };
    shape(svg, "text", place, `feature ${end.feature}`);
  }
}

function inside(svg, event) {
  const box = svg.getBoundingClientRect();
  return { x: ((event.clientX - box.left) / box.width) * WIDTH, y: ((event.clientY - box.top) / box.height) * HEIGHT };
}

function nearest(points, place) {
  const distance = (point) => Math.hypot(point.x - place.x, point.y - place.y);
  return points.reduce((best, point) => (!best || distance(point) < distance(best) ? point : best), null);
}
