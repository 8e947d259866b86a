// Shapes of a drawing. Texts are set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An empty drawing. */
export function drawing(parent, id) {
  const made = parent.appendChild(document.createElementNS(SVG, "svg"));
  made.id = id;
  return made;
}

export function shape(svg, tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  svg.append(made);
  return made;
}
