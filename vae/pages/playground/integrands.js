// What is averaged: f(z) = target(z), minus log q(z) where the description says so.
const TARGETS = {
  linear: w => ({ value: z => dot(w.slopes, z), slope: () => w.slopes }),
  // the other two are functions of x = <w, z>, the mean of the variables' values
  quadratic: w => ofMean(w, x => (x - w.centre) ** 2, x => 2 * (x - w.centre)),
  step: w => ofMean(w, x => sigmoid(w.steepness * (x - w.centre)), x => {
    const y = sigmoid(w.steepness * (x - w.centre));
    return w.steepness * y * (1 - y);
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
  }),
};

function ofMean(w, value, slope) {
  return { value: z => value(dot(w.mean, z)), slope: z => { const s = slope(dot(w.mean, z)); return Float64Array.from(w.mean, m => s * m); } };
}

// f of a law q: its value, its slope in z, and (direct) its gradient in q's parameters at fixed z.
function integrand(name, weights, law) {
  const target = TARGETS[name](weights);
  if (!weights.minus_log_q) return { value: target.value, slope: target.slope, direct: () => zeros(law.P) };
  return {
    value: z => target.value(z) - law.logProb(z),
    slope: z => add(Float64Array.from(target.slope(z)), law.slope(z), -1),
    direct: z => law.score(z).map(g => -g),
  };
}
