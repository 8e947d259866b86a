// The parts of the page. Nothing is parsed as markup: elements are made one by one and told their text.

import { drawing } from "./svg.js";

const TEXTS = {
  title: "Which neuron stands for which feature",
  matrix: "Effective weight of each feature (row) on each neuron (column). Arrow keys move from cell to cell, "
    + "Enter chooses the neuron.",
  legend: "Above the matrix: ▼ a neuron that carries features of opposite sign, ■ of the same sign too; their cells "
    + "are framed where there is room. A neuron carries a feature where |w| ≥ 0.5.",
};
const ORDERS = [
  ["winner-last", "winner at the last step"],
  ["winner", "winner at this step"],
  ["index", "index"],
];

function make(parent, tag, attributes = {}, text = "") {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  parent.append(made);
  return made;
}

/** Fill a choice with [value, text] pairs; what was chosen stays chosen if it is among them. */
export function options(select, pairs) {
  const before = select.value;
  select.replaceChildren();
  for (const [value, text] of pairs) make(select, "option", { value }, text);
  if (pairs.some(([value]) => String(value) === before)) select.value = before;
}

export function build(body) {
  const link = make(document.head, "link", { rel: "stylesheet", href: new URL("style.css", import.meta.url) });
  link.after(make(document.head, "title", {}, TEXTS.title));
  const controls = buildControls(make(body, "div", { class: "controls" }));
  const note = make(body, "div", { id: "note", role: "status" });
  const main = make(body, "main");
  return { ...controls, note, ...buildMatrix(main), ...buildSide(make(main, "aside")) };
}

function labelled(parent, text, tag, attributes) {
  return make(make(parent, "label", {}, text), tag, attributes);
}

function buildControls(parent) {
  const run = labelled(parent, "Run", "select", { id: "run" });
  const instance = labelled(parent, "Network", "select", { id: "instance" });
  const label = make(parent, "label", {}, "Step");
  const step = make(label, "input", { id: "step", type: "range", min: 0, max: 0 });
  const stepLabel = make(label, "output", { id: "step-label", for: "step" });
  const order = labelled(parent, "Neurons by", "select", { id: "order" });
  options(order, ORDERS);
  const carrying = labelled(parent, "only those that carry", "input", { id: "carrying", type: "checkbox" });
  const sign = labelled(parent, "colour by sign", "input", { id: "sign", type: "checkbox", checked: "" });
  const neuron = labelled(parent, "Neuron", "input", { id: "neuron", type: "number", min: 0, size: 6 });
  const reload = make(parent, "button", { id: "reload", type: "button" }, "Look for new runs");
  return { run, instance, step, stepLabel, order, carrying, sign, neuron, reload };
}

function buildMatrix(main) {
  const left = make(main, "div", { id: "left" });
  const shape = make(left, "div", { id: "shape" });
  const readout = make(left, "div", { id: "readout", role: "status" });
  const room = make(left, "div", { id: "room" });
  const rows = drawing(room, "rows");
  const reached = { tabindex: 0, role: "application", "aria-label": TEXTS.matrix, "aria-describedby": "readout" };
  const matrix = make(room, "canvas", { id: "matrix", ...reached, width: 1, height: 1 });
  const columns = drawing(room, "columns");
  const scale = make(left, "div", { id: "scale", class: "small" }, "effective weight w");
  for (const [tag, text] of [["span", "−1 or less"], ["i", ""], ["span", "1 or more"]]) make(scale, tag, {}, text);
  make(left, "div", { class: "small" }, TEXTS.legend);
  return { shape, room, rows, matrix, columns, scale, readout };
}

function buildSide(aside) {
  const numbers = make(aside, "dl");
  const number = (id, text) => {
    make(numbers, "dt", {}, text);
    return make(numbers, "dd", { id });
  };
  const told = {
    polysemantic: number("polysemantic", "Polysemantic neurons"),
    opposite: number("opposite", "Collisions of opposite sign"),
    same: number("same", "Collisions of the same sign"),
    coverage: number("coverage", "Coverage"),
  };
  const livesTitle = make(aside, "h2", { id: "lives-title" });
  const lives = drawing(aside, "lives");
  const livesReadout = make(aside, "p", { id: "lives-readout", role: "status" });
  make(aside, "h2", {}, "Neurons with two features or more");
  const shared = make(aside, "ul", { id: "shared" });
  return { ...told, livesTitle, lives, livesReadout, shared };
}
