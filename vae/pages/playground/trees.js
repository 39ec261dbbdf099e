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

// The noise of two categories changes places, in all variables at once.
// columns: of each sample the categories j whose noise the score is taken of, which every other changes places with.
function swapping({ law, f, bound, K }, drawn, columns) {
  const { C, D, n } = law, zs = drawn.map(g => law.harden(add(g.slice(), law.logits)));
  const values = zs.map(f.value), gradient = zeros(n);
  drawn.forEach((g, k) => {
    const known = new Map(), swap = zeros(n);
    const gained = (a, b) => {
      const key = Math.min(a, b) * C + Math.max(a, b);
      if (a === b) return 0;
      if (!known.has(key)) {
        for (let i = 0; i < n; i++) { const c = i % C; swap[i] = law.logits[i] + g[c === a ? i - a + b : c === b ? i - b + a : i]; }
        known.set(key, gain(bound, values, k, f.value(law.harden(swap))));
      }
      return known.get(key);
    };
    const totals = range(D).map(d => logSumExp(Array.from(g.subarray(d * C, d * C + C), v => -v)));
    for (const j of columns[k]) {
      const column = range(C).map(c => gained(c, j)), mean = average(column);
      for (let d = 0; d < D; d++) for (let c = 0; c < C; c++)
        gradient[d * C + c] += (1 - C * Math.exp(-g[d * C + j] - totals[d])) * (column[c] - mean) / columns[k].length;
    }
  });
  return add(law.toTheta(gradient), directGradient({ law, f, bound }, zs, values));
}

const gumbels = ({ law, K }, noise) => blocks(gumbel(noise, K * law.n), K);
ESTIMATORS.ars = (problem, noise) => swapping(problem, gumbels(problem, noise), Array.from(noise.integer(problem.K, problem.law.C), j => [j]));
ESTIMATORS.arsm = (problem, noise) => swapping(problem, gumbels(problem, noise), range(problem.K).map(() => range(problem.law.C)));
