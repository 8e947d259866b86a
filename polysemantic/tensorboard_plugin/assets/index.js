// The tab: choose a run, a network and a step; see who carries what. All names reach the page as text alone.

import { analyse, byIndex, byWinner, carriedBy } from "./analysis.js";
import { BOTTOM, LEFT, drawColumns, drawRows } from "./axes.js";
import { drawLives, featuresOf } from "./lives.js";
import { Picture } from "./matrix.js";
import { Store } from "./store.js";
import { build, options } from "./layout.js";

const MOST_LISTED = 300;
// Columns and rows that a key moves by.
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class Tab {
  #store = new Store();
  #on = build(document.body);
  #picture = new Picture(this.#on.matrix);
  #run = null;
  #steps = [];
  #skipped = "";
  #values = null;
  #now = null;
  #last = null;
  #selected = null;
  #cursor = null;
  #asked = 0;

  async start() {
    const on = this.#on;
    on.run.addEventListener("change", () => this.#guarded(this.#chooseRun()));
    on.instance.addEventListener("change", () => this.#guarded(this.#chooseInstance()));
    on.step.addEventListener("input", () => this.#guarded(this.#show()));
    for (const control of [on.order, on.sign, on.carrying]) control.addEventListener("change", () => this.#draw());
    on.reload.addEventListener("click", () => this.#guarded(this.#reload()));
    on.neuron.addEventListener("change", () => this.#select(on.neuron.value === "" ? null : Number(on.neuron.value)));
    on.matrix.addEventListener("pointermove", (event) => this.#hover(this.#picture.at(event.offsetX, event.offsetY)));
    on.matrix.addEventListener("pointerleave", () => this.#hover(null));
    on.matrix.addEventListener("click", (event) => {
      const cell = this.#picture.at(event.offsetX, event.offsetY);
      if (cell) this.#select(cell.neuron);
    });
    on.matrix.addEventListener("keydown", (event) => this.#press(event));
    on.matrix.addEventListener("blur", () => this.#point(null));
    new ResizeObserver(() => this.#draw()).observe(on.room);
    await this.#guarded(this.#reload());
  }

  async #guarded(work) {
    try {
      await work;
    } catch (error) {
      this.#on.note.textContent = error.message;
    }
  }

  async #reload() {
    this.#store.forget();
    const names = await this.#store.runs();
    options(this.#on.run, names.map((name) => [name, name]));
    if (names.length) await this.#chooseRun();
    else this.#on.note.textContent = "There is no run with weights/step_*.npz below the log directory.";
  }

  async #chooseRun() {
    const name = this.#on.run.value;
    const found = await this.#store.run(name);
    if (name !== this.#on.run.value) return;
    this.#run = name;
    this.#steps = found.steps;
    this.#skipped = found.skipped.map((why) => `Skipped ${why}`).join("\n");
    this.#on.note.textContent = this.#skipped;
    const { step } = this.#on;
    step.max = Math.max(0, this.#steps.length - 1);
    step.value = step.max; // only now: a value beyond the end would be cut
    options(this.#on.instance, found.instances);
    await this.#chooseInstance();
  }

  async #chooseInstance() {
    this.#now = this.#last = this.#selected = null;
    this.#asked += 1; // whatever is still being shown belongs to the choice before
    if (!this.#steps.length || this.#on.instance.value === "") {
      this.#clear();
      return;
    }
    const chosen = this.#choice(), last = await this.#matrix(this.#steps.length - 1);
    if (chosen !== this.#choice()) return;
    this.#last = analyse(last.values(), last.nFeatures, last.nHidden);
    await this.#show();
    await this.#fetchOthers();
  }

  #choice() {
    return JSON.stringify([this.#run, this.#on.instance.value]);
  }

  #clear() {
    const { matrix, rows, columns, shape, shared, polysemantic, opposite, same, coverage } = this.#on;
    [matrix.width, matrix.height] = [1, 1];
    for (const emptied of [rows, columns, shared]) emptied.replaceChildren();
    for (const told of [shape, polysemantic, opposite, same, coverage]) told.textContent = "";
    this.#guarded(this.#showLives());
  }

  #matrix(at) {
    return this.#store.matrix(this.#run, this.#on.instance.value, this.#steps[at]);
  }

  // Whoever moves the slider should not wait for the network.
  async #fetchOthers() {
    const chosen = this.#choice();
    if (!this.#store.holds(await this.#matrix(this.#steps.length - 1), this.#steps.length)) return;
    for (let at = this.#steps.length - 1; at >= 0; at -= 1) {
      if (chosen !== this.#choice()) return;
      await this.#matrix(at).catch(() => null);
    }
  }

  async #show() {
    const began = performance.now(), at = Number(this.#on.step.value), asked = (this.#asked += 1);
    const shown = { run: this.#run, instance: this.#on.instance.value, step: this.#steps[at] };
    const label = `step ${shown.step}`;
    this.#on.stepLabel.textContent = label;
    this.#on.step.setAttribute("aria-valuetext", label);
    const matrix = await this.#matrix(at);
    if (asked !== this.#asked) return; // the slider has moved on
    const { nFeatures, nHidden } = matrix;
    this.#values = matrix.values(this.#values);
    this.#now = { ...analyse(this.#values, nFeatures, nHidden), nFeatures, nHidden, step: shown.step };
    this.#on.neuron.max = nHidden - 1;
    this.#draw();
    this.#tell();
    await this.#showLives();
    if (asked !== this.#asked) return;
    Object.assign(this.#on.matrix.dataset, shown, { milliseconds: performance.now() - began });
  }

  #order() {
    const choice = this.#on.order.value;
    const order = choice === "index" ? byIndex(this.#now.nHidden)
      : byWinner(choice === "winner-last" ? this.#last : this.#now);
    const { positive, negative } = this.#now;
    return this.#on.carrying.checked ? order.filter((neuron) => positive[neuron] + negative[neuron] > 0) : order;
  }

  #draw() {
    if (!this.#now) return;
    const { nFeatures, nHidden } = this.#now, order = this.#order();
    const shown = { values: this.#values, nFeatures, nHidden, order, bySign: this.#on.sign.checked };
    const { room, rows, columns, scale } = this.#on;
    const space = { width: Math.max(1, room.clientWidth - LEFT), height: Math.max(1, room.clientHeight - BOTTOM) };
    const marked = { shared: this.#now.shared, selected: this.#selected, cursor: this.#cursor };
    const { x, y, top } = this.#picture.draw({ ...shown, ...marked }, space);
    drawRows(rows, y, top);
    drawColumns(columns, x, order);
    scale.className = shown.bySign ? "small" : "small unsigned";
    this.#on.shape.textContent = `${nFeatures} features (rows), ${order.length} of ${nHidden} neurons (columns)`;
  }

  #tell() {
    const { shared, opposite, same, coverage } = this.#now;
    this.#on.note.textContent = this.#skipped;
    this.#on.polysemantic.textContent = String(shared.length);
    this.#on.opposite.textContent = String(opposite);
    this.#on.same.textContent = String(same);
    this.#on.coverage.textContent = coverage.toFixed(3);
    this.#on.shared.replaceChildren(...shared.slice(0, MOST_LISTED).map(({ neuron }) => this.#listed(neuron)));
  }

  #listed(neuron) {
    const features = carriedBy(this.#values, this.#now.nHidden, neuron);
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `neuron ${neuron}: ${features.map(named).join(", ")}`;
    button.dataset.neuron = neuron;
    button.setAttribute("aria-pressed", String(neuron === this.#selected));
    button.addEventListener("click", () => this.#select(neuron));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }

  // A cell for whoever has no mouse: arrow keys move it, Enter chooses its neuron.
  #press(event) {
    const move = MOVES[event.key], at = this.#cursor;
    if (move) this.#point(at ? { column: at.column + move[0], row: at.row + move[1] } : { column: 0, row: 0 });
    else if (["Enter", " "].includes(event.key) && at) this.#select(this.#picture.cell(at)?.neuron ?? null);
    else return;
    event.preventDefault();
  }

  #point(cursor) {
    if (!this.#now) return;
    this.#cursor = cursor && this.#picture.within(cursor);
    this.#hover(this.#cursor && this.#picture.cell(this.#cursor));
    this.#draw();
  }

  #hover(cell) {
    this.#on.readout.textContent = cell ? `${this.#cell(cell)}${this.#company(cell)}` : "";
  }

  #cell({ feature, neuron, weight }) {
    return `feature ${feature}, neuron ${neuron}: w = ${weight.toFixed(3)}`;
  }

  #company({ neuron }) {
    const carried = carriedBy(this.#values, this.#now.nHidden, neuron);
    return carried.length ? `; the neuron carries ${carried.map(named).join(", ")}` : "; the neuron carries none";
  }

  #select(neuron) {
    if (!this.#now) return;
    this.#selected = neuron !== null && neuron >= 0 && neuron < this.#now.nHidden ? neuron : null;
    this.#on.neuron.value = this.#selected ?? "";
    for (const button of this.#on.shared.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.neuron) === this.#selected));
    }
    this.#draw();
    this.#guarded(this.#showLives());
  }

  async #showLives() {
    const { lives, livesTitle, livesReadout } = this.#on, neuron = this.#selected, asked = this.#asked;
    livesReadout.textContent = "";
    if (neuron === null) {
      lives.replaceChildren();
      livesTitle.textContent = "Click a neuron to see its features over time";
      return;
    }
    const matrices = await Promise.all(this.#steps.map((_, at) => this.#matrix(at)));
    if (asked !== this.#asked || neuron !== this.#selected) return;
    const features = featuresOf(neuron, matrices);
    livesTitle.textContent = `Neuron ${neuron}: weights of its features over time`;
    drawLives(lives, { neuron, features, matrices, steps: this.#steps, step: this.#now.step }, (point) => {
      livesReadout.textContent = point ? `step ${point.step}: ${this.#cell({ ...point, neuron })}` : "";
    });
  }
}

const named = ({ feature, weight }) => `${weight < 0 ? "−" : "+"}${feature}`;

export function render() {
  return new Tab().start();
}
