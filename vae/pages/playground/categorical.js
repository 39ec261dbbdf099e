// Independent one-hot variables, by their logits: D variables of C categories, n = P = D C, variable by variable.
function categorical(theta, C) {
  const n = theta.length, D = n / C, logits = zeros(n);
  for (let d = 0; d < n; d += C) {
    const total = logSumExp(Array.from(theta.subarray(d, d + C)));
    for (let i = d; i < d + C; i++) logits[i] = theta[i] - total;
  }
  const p = logits.map(Math.exp);
  // x_i for all entries; first: the number of the variable's first entry
  const map = make => { const x = zeros(n); for (let i = 0; i < n; i++) x[i] = make(i, i - i % C); return x; };
  const within = (x, y, first) => { let s = 0; for (let i = first; i < first + C; i++) s += x[i] * y[i]; return s; };
  const softmax = x => {
    const soft = zeros(n);
    for (let d = 0; d < n; d += C) {
      let most = -Infinity, total = 0;
      for (let i = d; i < d + C; i++) most = Math.max(most, x[i]);
      for (let i = d; i < d + C; i++) total += soft[i] = Math.exp(x[i] - most);
      for (let i = d; i < d + C; i++) soft[i] /= total;
    }
    return soft;
  };
  const fromIndex = index => { const z = zeros(n); for (let d = 0; d < D; d++) z[d * C + index[d]] = 1; return z; };
  const indexOf = x => range(D).map(d => argmax(x, d * C, d * C + C));
  const harden = x => fromIndex(indexOf(x));
  const perturb = (noise, K) => blocks(gumbel(noise, K * n).map((g, i) => logits[i % n] + g), K);
  const pullSoft = (soft, g) => { const means = range(D).map(d => within(soft, g, d * C)); return map(i => soft[i] * (g[i] - means[i / C | 0])); };
  const law = {
    family: "categorical", n, P: n, D, C, logits, p, indexOf, fromIndex, harden, perturb, pullSoft,
    draw: (noise, K) => perturb(noise, K).map(harden),
    logProb: z => dot(z, logits),
    score: z => map(i => z[i] - p[i]),
    slope: () => logits,
    mean: () => p,
    pullMean: g => pullSoft(p, g),
    mode: () => harden(logits),
    support: () => range(C ** D).map(s => fromIndex(range(D).map(d => Math.floor(s / C ** (D - 1 - d)) % C))),
    otherValues: (z, d) => {
      const index = indexOf(z);
      return range(C - 1).map(j => {
        const other = index.slice(), c = d * C + (other[d] = (index[d] + j + 1) % C), gradient = zeros(n);
        for (let i = d * C; i < d * C + C; i++) gradient[i] = p[c] * ((i === c) - p[i]);
        return { z: fromIndex(other), gradient, p: p[c] };
      });
    },
    logProbs: d => Array.from(logits.subarray(d * C, d * C + C)),
    soften: (s, temperature) => softmax(s.map(x => x / temperature)),
    // from the normalised logits to those that were given
    toTheta: g => { const totals = range(D).map(d => sum(g.subarray(d * C, d * C + C))); return map(i => g[i] - p[i] * totals[i / C | 0]); },
    fromTheta: g => { const means = range(D).map(d => within(p, g, d * C)); return map(i => g[i] - means[i / C | 0]); }, // the transpose
    curveSoft: (soft, moved, g) => map((i, first) => moved[i] * (g[i] - within(soft, g, first)) - soft[i] * within(moved, g, first)),
    conditioned: s => { const most = range(D).map(d => Math.max(...s.subarray(d * C, d * C + C))); return map(i => -Math.expm1(s[i] - most[i / C | 0])); },
    perturbGiven: (zs, noise, M, laws = zs.map(() => law)) => {
      const K = zs.length, g = blocks(gumbel(noise, M * K * n), M * K);
      return zs.map((z, k) => range(M).map(m => {
        const own = g[m * K + k];
        return map((i, first) => {
          const largest = within(own, z, first);
          return z[i] > 0.5 ? largest : largest - log1pExp(largest - laws[k].logits[i] - own[i]);
        });
      }));
    },
    withLogits: other => categorical(other, C),
    middle: z => map(i => z[i] > 0.5 ? Math.log1p(p[i]) : logits[i]),
    withMargin: (z, gap) => map((i, first) => {
      const top = Math.max(...logits.subarray(first, first + C));
      return z[i] > 0.5 ? top : Math.min(logits[i], top - gap);
    }),
  };
  return law;
}
