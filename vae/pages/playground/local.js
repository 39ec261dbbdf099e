// One variable at a time: its other values are tried, the other variables stay as they were sampled.

// what the objective gains if sample k has the value a of f
const gain = (bound, values, k, a) => { const swapped = values.slice(); swapped[k] = a; return -signal(bound, values, swapped)[k]; };

ESTIMATORS.local_expectation = ({ law, f, bound, K }, noise) => {
  const zs = law.draw(noise, K), values = zs.map(f.value), gradient = directGradient({ law, f, bound }, zs, values);
  zs.forEach((z, k) => range(law.D).forEach(d => law.otherValues(z, d).forEach(other =>
    add(gradient, other.gradient, gain(bound, values, k, f.value(other.z))))));
  return gradient;
};

// The derivative of a density is a difference of two densities: f at the one, minus f at the other.
ESTIMATORS.measure_valued = (problem, noise, options) =>
  problem.law.family === "gaussian" ? weakNormal(problem, noise) : ESTIMATORS.local_expectation(problem, noise, options);

function weakNormal({ law, f, bound, K }, noise) {
  const { D, loc, scale } = law, n = blocks(noise.normal(3 * K * D), 3).map(x => blocks(x, K));
  const zs = n[0].map(law.at), values = zs.map(f.value), gradient = directGradient({ law, f, bound }, zs, values);
  zs.forEach((z, k) => {
    const at = (d, x) => { const point = z.slice(); point[d] = loc[d] + scale[d] * x; return gain(bound, values, k, f.value(point)); };
    for (let d = 0; d < D; d++) {
      const [a, b, c] = n.map(x => x[k][d]), weibull = Math.hypot(b, c), maxwell = Math.sign(a) * Math.hypot(a, b, c);
      gradient[d] += (at(d, weibull) - at(d, -weibull)) / (scale[d] * Math.sqrt(2 * Math.PI));
      gradient[D + d] += at(d, maxwell); // the sample is the lower point; of the log-scale the constant is 1
    }
  });
  return gradient;
}

// One bit of each sample is flipped, drawn among some of them, and counts as often as there are such bits.
function flipped({ law, f, bound, K }, zs, values, noise, among = range(law.D)) {
  const gradient = zeros(law.P);
  blocks(noise.uniform(K * law.D), K).forEach((u, k) => {
    if (!among.length) return;
    const [other] = law.otherValues(zs[k], among[argmax(among.map(d => u[d]))]);
    add(gradient, other.gradient, among.length * gain(bound, values, k, f.value(other.z)));
  });
  return gradient;
}
ESTIMATORS.bitflip_1 = (problem, noise) => {
  const zs = problem.law.draw(noise, problem.K), values = zs.map(problem.f.value);
  return add(directGradient(problem, zs, values), flipped(problem, zs, values, noise));
};

// UGC: DisARM, and a flip of those bits whose probability is within 1 / (2 D) of 0 or 1
ESTIMATORS.ugc = (problem, noise) => {
  const { law, K, f } = problem, rare = law.logits.map(l => sigmoid(-Math.abs(l)) < 1 / (2 * law.D) ? 1 : 0);
  const pairs = disarmPairs(law, noise, K), zs = pairs.map(p => p.z);
  for (const p of pairs) p.direction = p.direction.map((v, i) => rare[i] ? 0 : v);
  return add(ofPairs(problem, pairs), flipped(problem, zs, zs.map(f.value), noise, range(law.D).filter(d => rare[d])));
};
