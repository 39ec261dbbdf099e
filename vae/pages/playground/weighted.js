// Estimators of the importance-weighted bound alone, whose samples have weights v = dR / df.

// OVIS: the bound without a sample is what its signal is compared with; at gamma > 0 a part of its weight too.
ESTIMATORS.ovis = (problem, noise, { gamma }) => {
  const { law, f, bound, K } = problem, zs = law.draw(noise, K), values = zs.map(f.value), v = bound.weights(values);
  const signals = signal(bound, values, values.map(() => -Infinity)).map((s, k) => s + gamma * (v[k] + Math.log1p(-1 / K)));
  return scoreGradient(problem, zs, values, signals);
};

// fresh samples take the place of each in turn
ESTIMATORS.ovis_mc = (problem, noise, { auxiliary_samples: S }) => {
  const { law, f, bound, K } = problem, zs = law.draw(noise, K), values = zs.map(f.value), R = bound.reduce(values), signals = zeros(K);
  for (const fresh of law.draw(noise, S).map(f.value)) {
    const a = values.map(() => fresh), h = bound.share(values, a), v = bound.slopes(values, a);
    for (let k = 0; k < K; k++) signals[k] += (R - h[k] + v[k]) / S;
  }
  return scoreGradient(problem, zs, values, signals);
};

// Wake-sleep: q is drawn to the samples by their weights, towards the posterior; the bound has no part in it.
function towards(law, bound, zs, values) {
  const gradient = zeros(law.P);
  bound.weights(values).forEach((v, k) => add(gradient, law.score(zs[k]), v));
  return gradient;
}
ESTIMATORS.wake_sleep = ({ law, f, bound, K }, noise) => {
  const zs = law.draw(noise, K);
  return towards(law, bound, zs, zs.map(f.value));
};

// some samples are uniform, so that what q has lost is still found
ESTIMATORS.defensive_wake_wake = ({ law, f, bound, K }, noise, { delta }) => {
  const uniform = law.withLogits(zeros(law.n)), own = law.draw(noise, K), others = uniform.draw(noise, K);
  const zs = Array.from(noise.uniform(K), (u, k) => u < delta ? others[k] : own[k]);
  const logMixture = z => logSumExp([law.logProb(z) + Math.log1p(-delta), uniform.logProb(z) + Math.log(delta)]);
  return towards(law, bound, zs, zs.map(z => f.under(z, logMixture)));
};
