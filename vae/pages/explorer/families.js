// Samples of q(z|x), by the names that posteriors.py has for families.
//
// Parameters are arrays by name, as the encoder gives them; `shape` is that of the layer's code, [L] or
// [L, C], and k the number of ones of a k-subset. Mean, standard deviation and KL are the encoder's own
// outputs: they are Python's formulae. Where a family has no mean that is a code, `center` stands for it.
const FAMILIES = {
  normal: { sample: (p, shape, random) => mapped(p.loc, (loc, i) => loc + p.scale[i] * random.normal()) },

  multivariate_normal: {
    sample(p, shape, random) {
      const noise = mapped(p.loc, () => random.normal());
      return Float64Array.from(rows(p.scale_tril, noise.length), (row, i) => row.reduce((sum, v, j) => sum + v * noise[j], p.loc[i]));
    },
  },

  gaussian_mixture: {
    sample(p, [size], random) {
      const logits = p.logits ?? new Float64Array(p.loc.length / size); // none of a mixture of equal weights
      const a = argmax(mapped(logits, (l) => l + random.gumbel()));
      return Float64Array.from({ length: size }, (_, d) => p.loc[a * size + d] + p.scale[a * size + d] * random.normal());
    },
  },

  laplace: { sample: (p, shape, random) => mapped(p.loc, (loc, i) => loc + p.scale[i] * random.laplace()) },

  kumaraswamy: {
    sample: (p, shape, random) => mapped(p.concentration1, (a, i) => (-Math.expm1(-random.exponential() / p.concentration0[i])) ** (1 / a)),
  },

  beta: {
    sample: (p, shape, random) => mapped(p.concentration1, (a, i) => sigmoid(random.logGamma(a) - random.logGamma(p.concentration0[i]))),
  },

  gamma: { sample: (p, shape, random) => mapped(p.concentration, (a, i) => random.gamma(a) / p.rate[i]) },

  poisson: {
    center: (p) => mapped(p.rate, Math.floor),
    sample: (p, shape, random) => mapped(p.rate, (rate) => random.poisson(rate)),
  },

  von_mises: {
    center: (p) => p.loc,
    sample: (p, shape, random) => mapped(p.loc, (loc, i) => {
      const angle = loc + random.vonMises(p.concentration[i]);
      return angle - 2 * Math.PI * Math.round(angle / (2 * Math.PI));
    }),
  },

  dirichlet: {
    sample: (p, [, size], random) => joined(rows(p.concentration, size).map((row) => softmax(mapped(row, (a) => random.logGamma(a))))),
  },

  logistic_normal: {
    center: (p, [, size]) => joined(rows(p.loc, size - 1).map((row) => softmax(centredLogits(row)))),
    sample(p, shape, random) { return this.center({ loc: mapped(p.loc, (loc, i) => loc + p.scale[i] * random.normal()) }, shape); },
  },

  power_spherical: {
    center: (p) => p.loc,
    sample: (p, [, size], random) => joined(rows(p.loc, size).map((loc, i) => direction(loc, p.concentration[i], random))),
  },

  one_hot: {
    probs: (p, [, size]) => joined(rows(p.logits, size).map(softmax)),
    center: (p, [, size]) => joined(rows(p.logits, size).map((row) => ones(size, [argmax(row)]))),
    sample: (p, [, size], random) => joined(rows(p.logits, size).map((row) => ones(size, [argmax(mapped(row, (l) => l + random.gumbel()))]))),
  },

  point_mass: { // the nearest code, for certain
    probs(p, shape) { return this.center(p, shape); },
    center: (p, [, size]) => joined(rows(p.nearness, size).map((row) => ones(size, [argmax(row)]))),
    sample(p, shape) { return this.center(p, shape); },
  },

  bernoulli: {
    probs: (p) => mapped(p.logits, sigmoid),
    center: (p) => mapped(p.logits, (l) => (l >= 0 ? 1 : 0)),
    sample: (p, shape, random) => mapped(p.logits, (l) => (l + random.logistic() > 0 ? 1 : 0)),
  },

  conditional_bernoulli: {
    center: (p, [size], k) => ones(size, largest(p.logits, k)),
    probs(p, [size], k) {
      const left = elementary(p.logits, k), right = elementary([...p.logits].reverse(), k), total = left[size][k];
      return mapped(p.logits, (l, i) => {
        const others = Array.from({ length: k }, (_, j) => left[i][j] + right[size - 1 - i][k - 1 - j]);
        return Math.exp(Math.min(0, l + logSumExp(others) - total));
      });
    },
    sample(p, [size], random, k) { // the last item first, by how many sets have it
      const sums = elementary(p.logits, k), inside = [];
      for (let i = size - 1, left = k; left > 0; i -= 1) {
        if (Math.log(random.uniform()) >= p.logits[i] + sums[i][left - 1] - sums[i + 1][left]) continue;
        inside.push(i);
        left -= 1;
      }
      return ones(size, inside);
    },
  },

  plackett_luce: { // the first k of a ranking: the sum over rankings is estimated
    center: (p, [size], k) => ones(size, largest(p.logits, k)),
    sample: (p, [size], random, k) => ones(size, largest(mapped(p.logits, (l) => l + random.gumbel()), k)),
    probs(p, shape, k) {
      const random = new Random(7), sum = new Float64Array(shape[0]), draws = 500;
      for (let n = 0; n < draws; n += 1) this.sample(p, shape, random, k).forEach((v, i) => { sum[i] += v / draws; });
      return sum;
    },
  },
};

/** The C - 1 coordinates of a logistic-normal variable to C logits that sum to zero. */
function centredLogits(u) {
  const logits = new Float64Array(u.length + 1);
  let after = 0;
  for (let i = u.length; i >= 0; i -= 1) {
    if (i < u.length) after += u[i] / Math.sqrt((i + 1) * (i + 2));
    logits[i] = after - (i > 0 ? (i * u[i - 1]) / Math.sqrt(i * (i + 1)) : 0);
  }
  return logits;
}

/** A unit vector of a power spherical distribution: one around the first axis, reflected to loc. */
function direction(loc, concentration, random) {
  const g = random.gamma(concentration + (loc.length - 1) / 2);
  const w = Array.from({ length: loc.length - 1 }, () => random.normal()), h = w.reduce((sum, v) => sum + v * v, 0) / 2;
  const y = [(g - h) / (g + h), ...w.map((v) => (Math.sqrt(2 * g) * v) / (g + h))];
  const axis = mapped(loc, (v, j) => (j === 0 ? 1 - v : -v)), length = axis.reduce((sum, v) => sum + v * v, 0);
  if (length < 1e-12) return y;
  const along = (2 * axis.reduce((sum, v, j) => sum + v * y[j], 0)) / length;
  return y.map((v, j) => v - along * axis[j]);
}

/** Logarithms of the elementary symmetric polynomials of degrees 0 to k of the first items: [items][degree]. */
function elementary(logits, k) {
  const sums = [[0, ...Array(k).fill(-Infinity)]];
  for (const l of logits) {
    const before = sums[sums.length - 1];
    sums.push(before.map((v, j) => (j === 0 ? 0 : logSumExp([v, before[j - 1] + l]))));
  }
  return sums;
}
