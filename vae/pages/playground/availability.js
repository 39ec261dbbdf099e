// Whether an estimator is for a setting, by what the library says of it; if not, why.
const MOST_TUPLES = 4e5; // of the exact gradient's sum

function reasonAgainst(data, e, { family, D, bound, K, integrand }) {
  const { categories } = data.families[family], configurations = (categories || 2) ** D;
  if (!e.families.includes(family)) return "not for these variables";
  if (!e.bounds.includes(bound)) return bound === "average" ? "for the log-mean-exp of f" : "for the mean of f";
  if (e.weights && !data.integrands[integrand].holds_log_q) return "for an f that holds − log q(z), as the small VAE's";
  if (K < e.min_samples) return `needs K of ${e.min_samples} or more`;
  if (e.distinct && K > configurations) return `has only ${configurations} different samples`;
  return "";
}

// The largest K of which the exact gradient is still a short sum.
function mostSamples(data, { family, D, bound }) {
  if (bound === "average") return data.most_samples;
  const { categories } = data.families[family];
  if (family === "gaussian") return data.quadrature[D - 1].length;
  const S = (categories || 2) ** D;
  let K = 1, tuples = S;
  while (K < data.most_samples && tuples * (S + K) / (K + 1) <= MOST_TUPLES) tuples *= (S + K) / ++K;
  return K;
}

// What the library claims of an estimator, in this setting. That it is exact for some f, it claims for averages.
function claimOf(e, { bound, integrand }) {
  if (!e.bias) return "unbiased";
  return bound === "average" && e.exact.includes(integrand) ? "unbiased for this f" : "biased";
}
