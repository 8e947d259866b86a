// Who carries what in a matrix of effective weights. The definitions are those of polysemantic.functional.

export const CARRIED = 0.5;

/** Winners, carried features and collisions. `values` holds one feature after the other. */
export function analyse(values, nFeatures, nHidden) {
  const positive = new Int32Array(nHidden), negative = new Int32Array(nHidden), winner = new Int32Array(nFeatures);
  let covered = 0;
  for (let feature = 0; feature < nFeatures; feature += 1) {
    const row = feature * nHidden;
    let best = -1;
    for (let neuron = 0; neuron < nHidden; neuron += 1) {
      const w = values[row + neuron];
      if (w >= CARRIED) positive[neuron] += 1;
      else if (w <= -CARRIED) negative[neuron] += 1;
      if (Math.abs(w) > best) [best, winner[feature]] = [Math.abs(w), neuron];
    }
    covered += best >= CARRIED;
  }
  return { positive, negative, winner, coverage: covered / nFeatures, ...collisions(positive, negative) };
}

function collisions(positive, negative) {
  const shared = [];
  let opposite = 0, same = 0;
  const pairs = (count) => count * (count - 1) / 2;
  for (let neuron = 0; neuron < positive.length; neuron += 1) {
    const [up, down] = [positive[neuron], negative[neuron]];
    if (up + down < 2) continue;
    shared.push({ neuron, sameSign: up > 1 || down > 1 });
    opposite += up * down;
    same += pairs(up) + pairs(down);
  }
  return { shared, opposite, same };
}

/** Neurons in the order of the first feature that each is strongest for, the others behind them. */
export function byWinner({ winner, positive }) {
  const first = new Int32Array(positive.length).fill(winner.length);
  for (let feature = winner.length - 1; feature >= 0; feature -= 1) first[winner[feature]] = feature;
  return byIndex(positive.length).sort((a, b) => first[a] - first[b] || a - b);
}

export function byIndex(nHidden) {
  return Int32Array.from({ length: nHidden }, (_, neuron) => neuron);
}

/** The features that a neuron carries, strongest first. */
export function carriedBy(values, nHidden, neuron) {
  const found = [];
  for (let feature = 0; feature * nHidden < values.length; feature += 1) {
    const weight = values[feature * nHidden + neuron];
    if (Math.abs(weight) >= CARRIED) found.push({ feature, weight });
  }
  return found.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
}
