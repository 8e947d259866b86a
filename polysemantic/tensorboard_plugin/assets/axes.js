// The axes of the matrix: which feature each row is, and which neuron each column.

import { shape } from "./svg.js";

/** Pixels beside and below the matrix. */
export const LEFT = 58, BOTTOM = 38;
// Pixels from one number to the next.
const DOWN = 14, ALONG = 34;

/** The features down the left side; `top` is where the first row begins. */
export function drawRows(svg, { cells, block, pixels }, top) {
  const height = top + cells * pixels;
  sized(svg, LEFT, height);
  for (const cell of labelled(cells, pixels, DOWN)) {
    const y = top + (cell + 0.5) * pixels;
    shape(svg, "text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, String(cell * block));
    shape(svg, "line", { x1: LEFT - 5, x2: LEFT - 1, y1: y, y2: y });
  }
  const middle = top + (height - top) / 2;
  const name = { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})`, class: "name" };
  shape(svg, "text", name, "feature (index)");
}

/** The neurons below the matrix, in the order of its columns. */
export function drawColumns(svg, { cells, block, pixels }, order) {
  sized(svg, cells * pixels, BOTTOM);
  for (const cell of labelled(cells, pixels, ALONG)) {
    const x = (cell + 0.5) * pixels;
    shape(svg, "text", { x, y: 17, "text-anchor": "middle" }, String(order[cell * block]));
    shape(svg, "line", { x1: x, x2: x, y1: 1, y2: 5 });
  }
  shape(svg, "text", { x: (cells * pixels) / 2, y: 33, "text-anchor": "middle", class: "name" }, "neuron (index)");
}

function sized(svg, width, height) {
  svg.replaceChildren();
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
}

/** Every cell, or every second, fifth, tenth and so on, as far apart as numbers need. */
function labelled(cells, pixels, room) {
  let every = 1;
  for (let at = 0; every * pixels < room; at += 1) every = [1, 2, 5][at % 3] * 10 ** Math.floor(at / 3);
  return Array.from({ length: Math.ceil(cells / every) }, (_, at) => at * every);
}
