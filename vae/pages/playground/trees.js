// DisARM of categories: each is reached by a walk down a binary tree, whose decisions are antithetic bits.

// span: of the node between the categories n - 1 and n, the first category of its left side and the end of its right.
function categoricalDisarm(span) {
  return (problem, noise) => {
    const { law, K } = problem, { C, D } = law, N = C - 1, tree = range(N).map(i => [span(i + 1, C)[0], i + 1, span(i + 1, C)[1]]);
    const mass = (log, from, to) => logSumExp(log.slice(from, to));
    const logs = range(D).map(law.logProbs);
    const alpha = Float64Array.from(logs.flatMap(log => tree.map(([start, n, end]) => mass(log, start, n) - mass(log, n, end))));
    const category = (bits, d) => range(C).find(c => tree.every(([start, n, end], i) =>
      c < start || c >= end || (c < n) === (bits[d * N + i] === 1)));
    return ofPairs(problem, antitheticBits(alpha, noise, K).map(({ bits, others: o }) => {
      const at = range(D).map(d => category(bits, d)), to = range(D).map(d => category(o, d)), direction = zeros(law.P);
      range(D).forEach(d => tree.forEach(([start, n, end], i) => {
        const j = d * N + i, p = sigmoid(alpha[j]), seen = c => c >= start && c < end;
        const here = seen(at[d]), there = seen(to[d]);
        const weight = here && there ? (bits[j] - o[j]) * sigmoid(Math.abs(alpha[j])) : here ? bits[j] - p : there ? p - o[j] : 0;
        for (let c = start; c < end; c++) { // the slope of alpha in the logits
          const side = c < n ? mass(logs[d], start, n) : mass(logs[d], n, end);
          direction[d * C + c] += weight / 2 * (c < n ? 1 : -1) * Math.exp(logs[d][c] - side);
        }
      }));
      return { z: law.fromIndex(at), other: law.fromIndex(to), direction };
    }));
  };
}

ESTIMATORS.disarm_sb = categoricalDisarm((n, C) => [n - 1, C]); // "is it this one?"
ESTIMATORS.disarm_tree = categoricalDisarm((n, C) => { const half = n & -n; return [n - half, Math.min(n + half, C)]; }); // halved

// ARSM: the noise of two categories changes places, in all variables at once; the mean over all pairs.
ESTIMATORS.arsm = ({ law, f, bound, K }, noise) => {
  const { C, D, n } = law, drawn = blocks(gumbel(noise, K * n), K), zs = drawn.map(g => law.harden(add(g.slice(), law.logits)));
  const values = zs.map(f.value), gradient = zeros(n);
  drawn.forEach((g, k) => {
    const table = range(C).map(() => zeros(C)), swapped = zeros(n);
    for (let a = 0; a < C; a++) for (let b = a + 1; b < C; b++) {
      for (let i = 0; i < n; i++) { const c = i % C; swapped[i] = law.logits[i] + g[c === a ? i - a + b : c === b ? i - b + a : i]; }
      const alternative = values.slice();
      alternative[k] = f.value(law.harden(swapped));
      table[a][b] = table[b][a] = -signal(bound, values, alternative)[k];
    }
    const means = range(C).map(j => average(table.map(row => row[j])));
    for (let d = 0; d < D; d++) {
      const own = g.subarray(d * C, d * C + C), total = logSumExp(Array.from(own, v => -v));
      for (let c = 0; c < C; c++) for (let j = 0; j < C; j++)
        gradient[d * C + c] += (1 - C * Math.exp(-own[j] - total)) * (table[c][j] - means[j]) / C;
    }
  });
  return add(law.toTheta(gradient), directGradient({ law, f, bound }, zs, values));
};
