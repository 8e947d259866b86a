// The matrix as a picture: a cell each, or, where there are more than pixels, a block by its strongest entry.

import { carriedBy } from "./analysis.js";

const MARKS = 14;
const LARGEST_CELL = 60;
const OUTLINED_CELL = 8;
const SHADES = 256;
const UNKNOWN = 0xffbbbbbb;
const BLUE = [0, 114, 178], VERMILION = [213, 94, 0], BLACK = [0, 0, 0];
const SAME_SIGN = "#cc0066", OPPOSITE_SIGN = "#222222";

const shades = (colour) => Uint32Array.from({ length: SHADES }, (_, at) => {
  const [red, green, blue] = colour.map((part) => Math.round(255 + (at / (SHADES - 1)) * (part - 255)));
  return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
});
const SIGNS = { positive: shades(VERMILION), negative: shades(BLUE) };
const SIZES = { positive: shades(BLACK), negative: shades(BLACK) };

/** How many pixels a cell has along one axis, or how many cells a pixel. */
function axis(count, room) {
  const block = Math.max(1, Math.ceil(count / room));
  const cells = Math.ceil(count / block);
  return { count, block, cells, pixels: Math.max(1, Math.min(LARGEST_CELL, Math.floor(room / cells))) };
}

export class Picture {
  #canvas;
  #small = document.createElement("canvas");
  #shown = null;

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** Draw `values` (features after one another), columns in the order of `order`; gives both axes and their origin. */
  draw({ values, nFeatures, nHidden, order, shared, bySign, selected, cursor }, room) {
    const x = axis(order.length, room.width), y = axis(nFeatures, room.height - MARKS);
    const place = new Int32Array(nHidden).fill(-1);
    order.forEach((neuron, at) => { place[neuron] = at; });
    this.#shown = { values, nHidden, order, place, x, y };
    this.#canvas.width = x.cells * x.pixels;
    this.#canvas.height = y.cells * y.pixels + MARKS;
    this.#paint(bySign ? SIGNS : SIZES);
    const context = this.#canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(this.#small, 0, MARKS, x.cells * x.pixels, y.cells * y.pixels);
    for (const collision of shared) this.#mark(context, collision);
    if (selected !== null && place[selected] >= 0) this.#select(context, selected);
    if (cursor) this.#point(context, this.within(cursor));
    return { x, y, top: MARKS };
  }

  /** The nearest column and row that there are. */
  within({ column, row }) {
    const { x, y } = this.#shown;
    return { column: Math.max(0, Math.min(column, x.cells - 1)), row: Math.max(0, Math.min(row, y.cells - 1)) };
  }

  /** The strongest entry of a column and row of the picture. */
  cell({ column, row }) {
    const { x, y } = this.#shown;
    return this.at((column + 0.5) * x.pixels, MARKS + (row + 0.5) * y.pixels);
  }

  /** The strongest entry below a point of the canvas, or null outside. */
  at(left, top) {
    if (!this.#shown) return null;
    const { values, nHidden, order, x, y } = this.#shown;
    const column = Math.floor(left / x.pixels), row = Math.floor((top - MARKS) / y.pixels);
    if (column < 0 || column >= x.cells || row >= y.cells) return null;
    const features = top < MARKS ? [0, y.count] : [row * y.block, Math.min(y.count, (row + 1) * y.block)];
    let best = null;
    for (let feature = features[0]; feature < features[1]; feature += 1) {
      for (let at = column * x.block; at < Math.min(x.count, (column + 1) * x.block); at += 1) {
        const weight = values[feature * nHidden + order[at]];
        if (!best || Math.abs(weight) > Math.abs(best.weight)) best = { feature, neuron: order[at], weight };
      }
    }
    return best;
  }

  #paint({ positive, negative }) {
    const { values, nHidden, order, x, y } = this.#shown;
    const strongest = new Float32Array(x.cells * y.cells);
    for (let feature = 0; feature < y.count; feature += 1) {
      const row = feature * nHidden, target = Math.floor(feature / y.block) * x.cells;
      for (let at = 0; at < x.count; at += 1) {
        const cell = target + Math.floor(at / x.block), w = values[row + order[at]];
        if (!(Math.abs(w) <= Math.abs(strongest[cell]))) strongest[cell] = w;
      }
    }
    this.#small.width = x.cells;
    this.#small.height = y.cells;
    const image = new ImageData(x.cells, y.cells), pixels = new Uint32Array(image.data.buffer);
    strongest.forEach((w, cell) => {
      const shade = Math.min(SHADES - 1, Math.round(Math.abs(w) * (SHADES - 1)));
      pixels[cell] = Number.isNaN(w) ? UNKNOWN : (w > 0 ? positive : negative)[shade];
    });
    this.#small.getContext("2d").putImageData(image, 0, 0);
  }

  #left(neuron) {
    const { place, x } = this.#shown;
    return Math.floor(place[neuron] / x.block) * x.pixels;
  }

  // A square above neurons with features of the same sign, a triangle above those with opposite ones only.
  #mark(context, { neuron, sameSign }) {
    const { x } = this.#shown;
    const middle = this.#left(neuron) + x.pixels / 2, half = Math.max(1.5, Math.min(5, x.pixels / 2));
    context.fillStyle = context.strokeStyle = sameSign ? SAME_SIGN : OPPOSITE_SIGN;
    this.#outline(context, neuron);
    if (sameSign) {
      context.fillRect(middle - half, MARKS - 3 - 2 * half, 2 * half, 2 * half);
      return;
    }
    context.beginPath();
    context.moveTo(middle - half, MARKS - 3 - 2 * half);
    context.lineTo(middle + half, MARKS - 3 - 2 * half);
    context.lineTo(middle, MARKS - 3);
    context.fill();
  }

  // The cells that collide, where there is room for a frame.
  #outline(context, neuron) {
    const { values, nHidden, x, y } = this.#shown;
    if (Math.min(x.pixels, y.pixels) < OUTLINED_CELL) return;
    context.lineWidth = 2;
    for (const { feature } of carriedBy(values, nHidden, neuron)) {
      context.strokeRect(this.#left(neuron) + 1, MARKS + feature * y.pixels + 1, x.pixels - 2, y.pixels - 2);
    }
  }

  #point(context, { column, row }) {
    const { x, y } = this.#shown;
    context.strokeStyle = "#000";
    context.lineWidth = 2;
    context.setLineDash([3, 2]);
    context.strokeRect(column * x.pixels, MARKS + row * y.pixels, Math.max(3, x.pixels), Math.max(3, y.pixels));
    context.setLineDash([]);
  }

  #select(context, neuron) {
    const { x } = this.#shown;
    context.strokeStyle = "#000";
    context.lineWidth = 1;
    context.strokeRect(this.#left(neuron) + 0.5, 0.5, Math.max(2, x.pixels - 1), this.#canvas.height - 1);
  }
}
