// How a code is moved by hand: each kind of latent keeps to the values that it can have.
//
// `set` gives entries of a continuous code new values, and brings the others to what that leaves them;
// `choose` switches one variable of a discrete code. Both return a new code.

/** The entries [from, to) of the variable that entry i is one of. */
const rowOf = (i, size) => [i - (i % size), i - (i % size) + size];

function changed(z, indices, values) {
  const next = Float64Array.from(z);
  indices.forEach((index, n) => { next[index] = values[n]; });
  return next;
}

/** Changed entries, and the others of the same variables times what makes `measure` of the variable 1. */
function rescaled(z, indices, values, size, measure, back, floor) {
  const next = changed(z, indices, values.map((v) => Math.max(v, floor)));
  for (const start of new Set(indices.map((i) => rowOf(i, size)[0]))) {
    const own = indices.filter((i) => rowOf(i, size)[0] === start);
    const others = Array.from({ length: size }, (_, j) => start + j).filter((i) => !own.includes(i));
    const sum = (which) => which.reduce((total, i) => total + measure(next[i]), 0);
    const given = sum(own);
    if (given >= 1 || others.length === 0) { // no room for the others
      for (const i of own) next[i] *= back(1 / given);
      for (const i of others) next[i] = 0;
      continue;
    }
    let left = sum(others);
    if (left < 1e-12) { for (const i of others) next[i] = back(1 / others.length); left = sum(others); }
    for (const i of others) next[i] *= back((1 - given) / left);
  }
  return next;
}

const SPACES = {
  real: { set: changed },
  angle: { set: changed },
  count: { step: 1, set: (z, indices, values) => changed(z, indices, values.map((v) => Math.max(0, Math.round(v)))) },
  simplex: { set: (z, indices, values, size) => rescaled(z, indices, values, size, (v) => v, (v) => v, 0) },
  sphere: { set: (z, indices, values, size) => rescaled(z, indices, values, size, (v) => v * v, Math.sqrt, -Infinity) },
  "one-hot": {
    discrete: true,
    choose(z, variable, category, size) {
      const next = Float64Array.from(z);
      next.fill(0, variable * size, (variable + 1) * size);
      next[variable * size + category] = 1;
      return next;
    },
  },
  binary: { discrete: true, choose: (z, variable) => changed(z, [variable], [1 - z[variable]]) },
  "k-subset": {
    discrete: true,
    rule: "The number of items is fixed: one that goes in takes the place of the one that was put in first.",
    order: [],
    choose(z, variable) {
      if (z[variable] === 1) return z; // it goes when another comes
      const inside = [...z.keys()].filter((i) => z[i] === 1);
      this.order = [...inside.filter((i) => !this.order.includes(i)), ...this.order.filter((i) => z[i] === 1), variable];
      return changed(z, [variable, this.order.shift()], [1, 0]);
    },
  },
};

/** The latent space of the page's model. */
class Space {
  constructor(described) {
    Object.assign(this, described);
    this.rules = SPACES[described.kind];
    this.discrete = Boolean(this.rules.discrete);
    this.size = described.shape.reduce((a, b) => a * b, 1); // entries of a code
    this.width = described.shape.length > 1 ? described.shape[1] : 1; // entries of a variable
    this.variables = described.shape[0];
    this.k = described.kind === "k-subset" ? described.start.reduce((a, b) => a + b, 0) : null;
    this.drawn = this.discrete ? bytesOf(described.samples) : described.samples;
    this.count = this.drawn.length / this.size;
    this.ends = described.layers.map((_, i) => described.layers.slice(0, i + 1).reduce((a, b) => a + b, 0));
  }

  /** The number of the stochastic layer of a variable, 0 for the lowest. */
  layerOf(variable) { return this.ends.findIndex((end) => variable < end); }

  /** The part of a code that is a layer's. */
  layer(z, number) {
    const end = this.ends[number], first = end - this.layers[number];
    return z.subarray(first * this.width, end * this.width);
  }

  shapeOf(layer) { return [this.layers[layer], ...this.shape.slice(1)]; }

  /** A sample of the prior. */
  sample(number) { return Float64Array.from(this.drawn.slice(number * this.size, (number + 1) * this.size)); }

  set(z, indices, values) { return this.rules.set(z, indices, values, this.width); }

  choose(z, variable, category) { return this.rules.choose(z, variable, category, this.width); }

  /** An entry's name: that of its variable and, of vectors, its number in it. */
  name(index) {
    const variable = Math.floor(index / this.width), layer = this.layerOf(variable);
    const above = this.layers.length > 1 ? `layer ${layer + 1}, ` : "";
    const number = variable - (this.ends[layer] - this.layers[layer]) + 1;
    return `${above}z${subscripts(number)}${this.width > 1 ? `,${subscripts((index % this.width) + 1)}` : ""}`;
  }

  step(index) { return this.rules.step ?? (this.high[index] - this.low[index]) / 200; }
}
