// What is averaged: f(z) = target(z), minus log q(z) where the description says so.
const TARGETS = {
  linear: w => ({ value: z => dot(w.slopes, z), slope: () => w.slopes, curve: z => zeros(z.length) }),
  // the other two are functions of x = <w, z>, the mean of the variables' values
  quadratic: w => ofMean(w, x => (x - w.centre) ** 2, x => 2 * (x - w.centre), () => 2),
  step: w => ofMean(w, x => sigmoid(w.steepness * (x - w.centre)), x => {
    const y = sigmoid(w.steepness * (x - w.centre));
    return w.steepness * y * (1 - y);
  }, x => {
    const y = sigmoid(w.steepness * (x - w.centre));
    return w.steepness ** 2 * y * (1 - y) * (1 - 2 * y);
  }),
  // log p(x|z) + log p(z) of a decoder with one layer; pixels x are binary
  likelihood: w => ({
    value: z => {
      let s = 0;
      w.pixels.forEach((x, j) => { const a = w.offsets[j] + dot(w.decoder[j], z); s += x * a - log1pExp(a); });
      return s + w.prior.constant - (w.prior.normal ? dot(z, z) / 2 : 0);
    },
    slope: z => {
      const g = zeros(z.length);
      w.pixels.forEach((x, j) => add(g, w.decoder[j], x - sigmoid(w.offsets[j] + dot(w.decoder[j], z))));
      return w.prior.normal ? add(g, z, -1) : g;
    },
    curve: (z, y) => {
      const g = zeros(z.length);
      w.pixels.forEach((_, j) => { const p = sigmoid(w.offsets[j] + dot(w.decoder[j], z)); add(g, w.decoder[j], -p * (1 - p) * dot(w.decoder[j], y)); });
      return w.prior.normal ? add(g, y, -1) : g;
    },
  }),
};

function ofMean(w, value, slope, curvature) {
  const along = s => Float64Array.from(w.mean, m => s * m);
  return { value: z => value(dot(w.mean, z)), slope: z => along(slope(dot(w.mean, z))), curve: (z, y) => along(curvature(dot(w.mean, z)) * dot(w.mean, y)) };
}

// f of a law q: its value, its slope in z, and (direct) its gradient in q's parameters at fixed z;
// curve: how the slope changes along y, where log q is linear in z; under: its value with another law in the place of q.
function integrand(name, weights, law) {
  const target = TARGETS[name](weights);
  if (!weights.minus_log_q) return { value: target.value, slope: target.slope, curve: target.curve, under: target.value, direct: () => zeros(law.P) };
  return {
    value: z => target.value(z) - law.logProb(z),
    slope: z => add(Float64Array.from(target.slope(z)), law.slope(z), -1),
    curve: target.curve,
    under: (z, logProb) => target.value(z) - logProb(z),
    direct: z => law.score(z).map(g => -g),
  };
}
