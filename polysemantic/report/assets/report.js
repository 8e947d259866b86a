"use strict";
// Draws every chart of the page from the JSON beside it. All text reaches the page as text, never as markup.
(() => {
  const CONFIG = { displaylogo: false, responsive: true };
  const DIVERGING = [[0, "#0072B2"], [0.5, "#FFFFFF"], [1, "#D55E00"]];
  // Columns of a phase diagram whose cells have room for their numbers.
  const MOST_NUMBERS = 8;
  // Where panels side by side would be too small to read, they stand below one another.
  const NARROW = window.matchMedia("(max-width: 760px)");
  const BASE = {
    margin: { l: 70, r: 20, t: 16, b: 56 },
    hovermode: "closest",
    hoverlabel: { align: "left", namelength: -1 },
    legend: { orientation: "h", y: 0, yref: "container", yanchor: "bottom", groupclick: "togglegroup" },
    font: { family: "system-ui, sans-serif", size: 13 },
  };

  const markup = (value) => String(value)
    .replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("%{", "%&#123;");
  const shorten = (value) => (typeof value === "number" ? Number(value.toPrecision(5)).toString() : String(value));

  const counted = (networks) => `${networks} network${networks === 1 ? "" : "s"}`;

  function element(parent, tag, attributes = {}, text = "") {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.textContent = text;
    parent.append(made);
    return made;
  }

  function choice(controls, name, options, change) {
    const label = element(controls, "label", {}, `${name} `);
    const select = element(label, "select", { "data-choice": name });
    options.forEach((option, at) => element(select, "option", { value: at }, option));
    select.addEventListener("change", change);
    return select;
  }

  // A text that a spreadsheet would take for a formula is kept a text.
  function cell(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function csv(columns, rows) {
    return [columns, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
  }

  function rowsOf(table) {
    return table.values.length ? table.values[0].map((_, at) => table.values.map((column) => column[at])) : [];
  }

  function download(controls, key, content, name = "CSV") {
    const button = element(controls, "button", { type: "button", class: "csv" }, name);
    button.addEventListener("click", () => {
      const address = URL.createObjectURL(new Blob([content()], { type: "text/csv;charset=utf-8" }));
      const link = element(document.body, "a", { href: address, download: `${key}.csv` });
      link.click();
      link.remove();
      setTimeout(() => URL.revokeObjectURL(address), 10000);
    });
  }

  // The layout for the window as it is, with what a chart changes of it.
  function fitted({ layout, narrow }, changes = {}) {
    const made = { ...BASE, ...layout };
    for (const over of NARROW.matches ? [changes, narrow] : [changes]) {
      for (const [name, value] of Object.entries(over)) {
        made[name] = name.includes("axis") ? { ...made[name], ...value } : value;
      }
    }
    return made;
  }

  // In a narrow window, a long name in the legend has several lines.
  const named = (traces) => (NARROW.matches
    ? traces.map((trace) => ({ ...trace, name: trace.name.length > 34 ? trace.name.replaceAll(", ", ",<br>") : trace.name }))
    : traces);

  function drawChart(data, controls, plots) {
    const plot = element(plots, "div");
    const several = data.views.length > 1;
    const select = several ? choice(controls, data.chooser, data.views.map((view) => view.label), () => draw()) : null;
    const draw = () => Plotly.react(plot, named(data.views[select ? select.value : 0].traces), fitted(data), CONFIG);
    download(controls, data.key, () => csv(data.table.columns, rowsOf(data.table)));
    NARROW.addEventListener("change", draw);
    return draw();
  }

  // The points or means of a curve, at which only the measurement was missing.
  function filled(trace, measure, networks) {
    if (trace.of === "theory") return trace;
    const pick = (values) => trace.rows.map((row) => (row < 0 ? null : values[row]));
    const told = (texts) => trace.at.map((x, at) => [x, texts[at]]);
    if (trace.of === "points") return { ...trace, y: pick(measure.networks), customdata: told(pick(networks)) };
    const [mean, low, high, counts] = [measure.mean, measure.low, measure.high, measure.counts].map(pick);
    const beyond = (ends, sign) => ends.map((end, at) => (end === null ? null : sign * (end - mean[at])));
    return {
      ...trace, y: mean, customdata: told(counts.map((count) => `mean of ${counted(count)}`)),
      text: low.map((end, at) => `${shorten(end)} to ${shorten(high[at])}`),
      error_y: { ...trace.error_y, array: beyond(high, 1), arrayminus: beyond(low, -1) },
    };
  }

  function drawAgainst(data, controls, plots) {
    const plot = element(plots, "div");
    const words = element(plots.parentElement, "p", { class: "words" });
    const redraw = () => draw();
    const across = choice(controls, "horizontal", data.across.map(({ label }) => label), redraw);
    const what = choice(controls, "vertical", data.measures.map(({ label }) => label), redraw);
    const settings = data.points.columns.map((label, at) => {
      const values = ["all", ...new Set(data.points.values[at])];
      return { label, values, select: choice(controls, label, values, redraw) };
    });
    const coverage = data.measures.find(({ column }) => column === "coverage");
    download(controls, data.key, () => {
      const measure = data.measures[what.value];
      const numbers = [measure.mean, measure.low, measure.high, measure.counts];
      const rows = rowsOf({ values: [...data.points.values, ...numbers] }).map((row) => [...row, measure.column]);
      return csv([...data.points.columns, "mean", "low", "high", "networks", "measurement"], rows);
    });
    // A setting is to be chosen where curves differ in it.
    function chosen({ label, groups }) {
      const curves = Object.entries(groups);
      const choices = settings.filter((one) => {
        const differs = new Set(curves.map(([, group]) => group[one.label])).size > 1;
        one.select.parentElement.hidden = one.label === label || !differs;
        return one.select.value !== "0" && !one.select.parentElement.hidden;
      });
      const fits = (group) => choices.every((one) => group[one.label] === one.values[one.select.value]);
      return new Set(curves.filter(([, group]) => fits(group)).map(([name]) => name));
    }
    function draw() {
      const view = data.across[across.value], measure = data.measures[what.value];
      const alone = measure === coverage, names = chosen(view);
      words.textContent = measure.words;
      // Theory is about what is shown at first.
      const shown = (trace) => (trace.of === "theory" ? measure === data.measures[0] : names.has(trace.legendgroup));
      const traces = view.traces.filter((trace) => shown(trace) && !(alone && trace.yaxis === "y2"))
        .map((trace) => filled(trace, trace.yaxis === "y" ? measure : coverage, data.networks));
      const known = new Set(traces.filter((trace) => trace.yaxis === "y" && trace.y.some((y) => y !== null))
        .map((trace) => trace.legendgroup));
      const whole = { xaxis: { domain: [0, 1] }, xaxis2: { visible: false }, yaxis2: { visible: false } };
      const layout = fitted(view, { yaxis: measure.axis, ...(alone ? whole : {}) });
      if (NARROW.matches) layout.yaxis.title = { ...measure.axis.title, text: measure.axis.title.text.replace(" (", "<br>(") };
      if (alone) {
        Object.assign(layout, { height: view.layout.height, yaxis: { ...layout.yaxis, domain: [0, 1] } });
        layout.shapes = layout.shapes.filter(({ xref }) => xref === "x");
      }
      return Plotly.react(plot, named(traces.filter((trace) => known.has(trace.legendgroup))), layout, CONFIG);
    }
    NARROW.addEventListener("change", draw);
    return draw();
  }

  const ordered = (values) => [...new Set(values)].sort((a, b) => (
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b))));

  // Averages a measurement over the grid points that share both coordinates, weighted by their networks.
  function pivot(data, x, y, measure) {
    const column = (name) => data.table.values[data.table.columns.indexOf(name)];
    const xs = ordered(column(x)), ys = ordered(column(y));
    const blank = () => ys.map(() => xs.map(() => 0));
    const known = blank(), all = blank(), sum = blank(), covered = blank();
    column(x).forEach((value, at) => {
      const i = ys.indexOf(column(y)[at]), j = xs.indexOf(value), networks = column("networks")[at];
      const number = column(measure)[at];
      all[i][j] += networks;
      covered[i][j] += networks * (data.coverage ? column(data.coverage)[at] : 0);
      if (number !== null) {
        known[i][j] += networks;
        sum[i][j] += networks * number;
      }
    });
    const z = sum.map((row, i) => row.map((value, j) => (known[i][j] ? value / known[i][j] : null)));
    const told = all.map((row, i) => row.map((count, j) => (
      count ? `${counted(count)}, coverage ${shorten(covered[i][j] / count)}` : "no network")));
    return { xs, ys, z, told };
  }

  function drawPhase(data, controls, plots) {
    const plot = element(plots, "div", { class: "measurement" });
    const beside = data.coverage ? element(plots, "div", { class: "coverage" }) : null;
    const called = (name) => data.labels[name];
    const redraw = () => draw();
    const x = choice(controls, "horizontal", data.axes.map(called), redraw);
    const y = choice(controls, "vertical", data.axes.map(called), redraw);
    const measure = choice(controls, "measurement", data.measures.map(called), redraw);
    y.value = 1;
    download(controls, data.key, () => csv(data.table.columns, rowsOf(data.table)));
    function draw() {
      const chosen = data.measures[measure.value];
      if (beside) beside.hidden = chosen === data.coverage;
      return Promise.all([
        heatmap(plot, chosen),
        ...(beside && !beside.hidden ? [heatmap(beside, data.coverage)] : []),
      ]);
    }
    function heatmap(where, what) {
      const [across, up] = [data.axes[x.value], data.axes[y.value]];
      const { xs, ys, z, told } = pivot(data, across, up, what);
      // Nothing but zeros has a scale from 0, as an axis would.
      const unit = data.shares.includes(what) || !z.flat().some((value) => value);
      const trace = {
        type: "heatmap", x: xs.map((v) => markup(shorten(v))), y: ys.map((v) => markup(shorten(v))), z,
        customdata: told, colorscale: "Viridis", colorbar: { thickness: 14, title: { text: markup(called(what)), side: "right" } },
        ...(unit ? { zmin: 0, zmax: 1 } : {}),
        ...(xs.length <= MOST_NUMBERS && ys.length <= 2 * MOST_NUMBERS ? { texttemplate: "%{z:.3~g}" } : {}),
        hovertemplate: `${markup(called(across))}: %{x}<br>${markup(called(up))}: %{y}<br>`
          + `<b>${markup(called(what))}: %{z:.5~g}</b><br>%{customdata}<extra></extra>`,
      };
      const title = (name) => ({ text: markup(called(name)), standoff: 10 });
      const axis = (name) => ({ type: "category", title: title(name), automargin: true });
      return Plotly.react(where, [trace], { ...BASE, height: 480, xaxis: axis(across), yaxis: axis(up) }, CONFIG);
    }
    return draw();
  }

  function unpack(packed, rows, steps) {
    const bytes = Uint8Array.from(atob(packed.data), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const number = (at) => {
      const step = view.getInt16(2 * at, true);
      return step === -32768 ? null : step * packed.largest / 32767;
    };
    return Array.from({ length: steps }, (_, step) => Array.from({ length: rows }, (_, row) => (
      Array.from({ length: packed.columns }, (_, at) => number((step * rows + row) * packed.columns + at)))));
  }

  function drawSlides(data, controls, plots) {
    const left = element(plots, "div", { class: "weights" }), right = element(plots, "div", { class: "products" });
    const select = choice(controls, "network", data.networks.map((network) => network.label), () => show());
    const label = element(controls, "label", {}, "step ");
    const slider = element(label, "input", { type: "range", min: 0, step: 1 });
    const shown = element(label, "output");
    let network, weights, products;
    slider.addEventListener("input", () => draw());
    const long = (matrices, columns) => network.steps.flatMap((step, at) => network.features.flatMap((feature, i) => (
      columns.map((column, k) => [step, feature, column, matrices[at][i][k]]))));
    download(controls, data.key, () => csv(["step", "feature", "neuron", "weight"], long(weights, network.neurons)),
      "CSV of W");
    download(controls, `${data.key}_products`, () => (
      csv(["step", "feature", "other_feature", "product"], long(products, network.features))), "CSV of W Wᵀ");
    function heatmap(plot, z, columns, what, largest, name) {
      const trace = {
        type: "heatmap", z, x: columns.map(String), y: network.features.map(String), zmin: -largest, zmax: largest,
        colorscale: DIVERGING, colorbar: { thickness: 10, title: { text: name, side: "right" } },
        hovertemplate: `feature %{y}<br>${what} %{x}<br><b>${name} %{z:.4~g}</b><extra></extra>`,
      };
      const axis = (of) => ({ type: "category", automargin: true, title: { text: `${of} (index)`, standoff: 10 } });
      const layout = { ...BASE, height: 520, xaxis: axis(what), yaxis: { ...axis("feature"), autorange: "reversed" } };
      return Plotly.react(plot, [trace], layout, CONFIG);
    }
    function draw() {
      const at = Number(slider.value);
      shown.textContent = String(network.steps[at]);
      return Promise.all([
        heatmap(left, weights[at], network.neurons, "neuron", network.weights.largest, "weight W"),
        heatmap(right, products[at], network.features, "feature", network.products.largest, "product W Wᵀ"),
      ]);
    }
    function show() {
      network = data.networks[select.value];
      weights = unpack(network.weights, network.features.length, network.steps.length);
      products = unpack(network.products, network.features.length, network.steps.length);
      slider.max = network.steps.length - 1;
      slider.value = slider.max;
      return draw();
    }
    return show();
  }

  const DRAW = { chart: drawChart, against: drawAgainst, phase: drawPhase, slides: drawSlides };

  async function draw(figure) {
    if (figure.dataset.drawn) return;
    figure.dataset.drawn = "begun";
    const data = JSON.parse(figure.querySelector("script").textContent);
    await DRAW[data.kind](data, figure.querySelector(".controls"), figure.querySelector(".plots"));
    figure.dataset.drawn = "yes";
  }

  // A chart is drawn when it comes near the window, so that a page of many charts opens as fast as one of few; and each
  // is seen before the next is begun, which may be out of sight.
  const figures = document.querySelectorAll("figure.chart");
  const seen = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  let last = Promise.resolve();
  const near = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      last = last.finally(() => draw(target)).finally(seen);
    }
  }, { rootMargin: "300px" });
  figures.forEach((figure) => near.observe(figure));
  window.addEventListener("beforeprint", () => figures.forEach(draw));
  document.body.dataset.ready = "yes";
})();
