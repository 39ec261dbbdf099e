// Independent binary variables, by their logits: n = P = D.
function bernoulli(theta) {
  const D = theta.length, p = Float64Array.from(theta, sigmoid), map = make => Float64Array.from(theta, (l, i) => make(l, i));
  const law = {
    family: "bernoulli", n: D, P: D, D, C: 2, logits: theta,
    draw: (noise, K) => blocks(noise.uniform(K * D).map((u, i) => u < p[i % D] ? 1 : 0), K),
    logProb: z => { let s = 0; for (let i = 0; i < D; i++) s += z[i] * theta[i] - log1pExp(theta[i]); return s; },
    score: z => map((_, i) => z[i] - p[i]),
    slope: () => theta, // of log q in z, in which it is linear
    mean: () => p,
    pullMean: g => map((_, i) => p[i] * (1 - p[i]) * g[i]),
    mode: () => map(l => l > 0 ? 1 : 0),
    support: () => range(2 ** D).map(s => map((_, i) => s >> (D - 1 - i) & 1)),
    // the values that variable d does not have in z, their probabilities p and the gradients of these
    otherValues: (z, d) => {
      const other = z.slice(), gradient = zeros(D);
      other[d] = 1 - z[d]; gradient[d] = (2 * other[d] - 1) * p[d] * (1 - p[d]);
      return [{ z: other, gradient, p: sigmoid((2 * other[d] - 1) * theta[d]) }];
    },
    logProbs: d => [-log1pExp(theta[d]), -log1pExp(-theta[d])],
    fromIndex: index => map((_, d) => index[d]),

    // perturbed logits, of which z is the sign, and their relaxation
    perturb: (noise, K) => blocks(logistic(noise, K * D).map((g, i) => theta[i % D] + g), K),
    harden: s => map((_, i) => s[i] > 0 ? 1 : 0),
    soften: (s, temperature) => map((_, i) => sigmoid(s[i] / temperature)),
    pullSoft: (soft, g) => map((_, i) => soft[i] * (1 - soft[i]) * g[i]),
    curveSoft: (soft, moved, g) => map((_, i) => (1 - 2 * soft[i]) * moved[i] * g[i]), // how pullSoft changes as soft moves
    toTheta: g => g, fromTheta: g => g,
    // of perturbed logits given what they harden to: their slopes in the logits
    conditioned: s => map((l, i) => -Math.expm1(-Math.abs(s[i])) * sigmoid(s[i] > 0 ? l : -l)),
    perturbGiven: (zs, noise, M, laws = zs.map(() => law)) => {
      const K = zs.length, g = logistic(noise, M * K * D);
      return zs.map((z, k) => range(M).map(m => map((_, i) => {
        const sign = 2 * z[i] - 1;
        return sign * log1pExp(g[(m * K + k) * D + i] + log1pExp(sign * laws[k].logits[i]));
      })));
    },
    withLogits: bernoulli,
    // of the middle of z and the mean
    middle: z => map((l, i) => { const sign = 2 * z[i] - 1, other = -sign * l; return sign * (Math.log1p(-sigmoid(other) / 2) + log1pExp(-other) + Math.log(2)); }),
    withMargin: (z, gap) => map((l, i) => z[i] > 0.5 ? Math.max(l, gap) : Math.min(l, -gap)),
  };
  return law;
}
