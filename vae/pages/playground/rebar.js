// REBAR: the score function, with f at a relaxed sample as its control variate.
// The relaxed sample is taken along two paths: as drawn, and as drawn given the vertex that it hardens to.
ESTIMATORS.rebar = ({ law, f, bound, K }, noise, { temperature, eta }) => {
  const perturbed = law.perturb(noise, K), hard = perturbed.map(law.harden), soft = perturbed.map(s => law.soften(s, temperature));
  const values = hard.map(f.value), standIn = soft.map(f.value);
  const h = bound.share(values, standIn), slopes = bound.slopes(values, standIn);
  const gradient = scoreGradient({ law, f, bound }, hard, values, signal(bound, values).map((s, k) => s - eta * h[k]));
  perturbed.forEach((s, k) => {
    const given = law.conditioned(s), path = law.pullSoft(soft[k], f.slope(soft[k]));
    add(gradient, law.toTheta(path.map((v, i) => v * (1 - given[i]))), eta * slopes[k] / temperature);
  });
  return gradient;
};
