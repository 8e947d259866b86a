// What the server has: runs, their snapshots, and one matrix for each step and instance, kept once it is here.

const MOST_BYTES = 256 * 2 ** 20;
const HEADER = 8;
const HALF = halves();

// Every float16 there is, by its bits.
function halves() {
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits += 1) {
    const sign = bits >> 15 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 31) table[bits] = fraction ? NaN : sign * Infinity;
    else table[bits] = sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
  }
  return table;
}

/** Effective weights of one network at one step: rows are features, columns neurons. */
export class Matrix {
  constructor(buffer) {
    const sizes = new DataView(buffer);
    this.nFeatures = sizes.getUint32(0, true);
    this.nHidden = sizes.getUint32(4, true);
    this.bits = new Uint16Array(buffer, HEADER);
  }

  weight(feature, neuron) {
    return HALF[this.bits[feature * this.nHidden + neuron]];
  }

  /** All weights, into an array of the right length if there is one already. */
  values(into) {
    const values = into?.length === this.bits.length ? into : new Float32Array(this.bits.length);
    for (let at = 0; at < values.length; at += 1) values[at] = HALF[this.bits[at]];
    return values;
  }
}

export class Store {
  #kept = new Map();
  #bytes = 0;

  runs() {
    return this.#json("runs", {});
  }

  run(name) {
    return this.#json("run", { run: name });
  }

  /** A promise of a matrix; what was not asked for longest makes room. */
  matrix(run, instance, step) {
    const key = JSON.stringify([run, instance, step]);
    const kept = this.#kept.get(key) ?? this.#fetched(key, { run, instance, step });
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept;
  }

  forget() {
    this.#kept.clear();
    this.#bytes = 0;
  }

  /** Whether so many more matrices of this size find room. */
  holds(matrix, count) {
    return matrix.bits.byteLength * count <= MOST_BYTES;
  }

  #fetched(key, query) {
    const promise = this.#answer("weights", query).then((answer) => answer.arrayBuffer()).then((buffer) => {
      this.#bytes += buffer.byteLength;
      promise.bytes = buffer.byteLength;
      this.#makeRoom();
      return new Matrix(buffer);
    });
    promise.catch(() => this.#kept.delete(key));
    return promise;
  }

  #makeRoom() {
    for (const [key, promise] of this.#kept) {
      if (this.#bytes <= MOST_BYTES) return;
      if (promise.bytes) {
        this.#kept.delete(key);
        this.#bytes -= promise.bytes;
      }
    }
  }

  async #json(route, query) {
    return (await this.#answer(route, query)).json();
  }

  async #answer(route, query) {
    const answer = await fetch(new URL(`${route}?${new URLSearchParams(query)}`, import.meta.url));
    if (!answer.ok) throw new Error(await answer.text());
    return answer;
  }
}
