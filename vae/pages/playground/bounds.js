// R of K values of f, and what estimators of one sample ask of it: h_k(a) is R with f_k replaced by a.
const logMeanOfSwapped = (f, k, a) => logSumExp(f.map((v, j) => j === k ? a : v)) - Math.log(f.length);
const BOUNDS = {
  average: {
    average: true,
    reduce: average,
    own: f => f.map(v => v / f.length), // the part of R that depends on sample k
    share: (f, a) => a.map(v => v / f.length), // that part of h_k(a_k)
    slopes: (f, a) => a.map(() => 1 / f.length), // h_k'(a_k)
    curvatures: (f, a) => a.map(() => 0), // h_k''(a_k)
    weights: f => f.map(() => 1 / f.length), // dR / df_k
    pathWeights: f => f.map(() => 1 / f.length),
  },
  log_mean_exp: {
    average: false,
    reduce: f => logSumExp(f) - Math.log(f.length),
    own: f => { const R = logSumExp(f) - Math.log(f.length); return f.map(() => R); },
    share: (f, a) => a.map((v, k) => logMeanOfSwapped(f, k, v)),
    slopes: (f, a) => a.map((v, k) => Math.exp(v - logMeanOfSwapped(f, k, v)) / f.length),
    curvatures: (f, a) => BOUNDS.log_mean_exp.slopes(f, a).map(s => s * (1 - s)),
    weights: f => { const total = logSumExp(f); return f.map(v => Math.exp(v - total)); },
    pathWeights: f => { const total = logSumExp(f); return f.map(v => Math.exp(2 * (v - total))); },
  },
};

// What multiplies the score of sample k: R - h_k(baseline_k).
function signal(bound, f, baseline = null) {
  const own = bound.own(f), share = baseline && bound.share(f, baseline);
  return share ? own.map((v, k) => v - share[k]) : own;
}
