// The score function: weigh the gradient of log q by how good the sample was. The baseline names the method.
const ESTIMATORS = {}; // name: (problem, noise, options, state) => gradient; problem = { law, f, bound, K }

const others = f => { const total = sum(f); return f.map(v => (total - v) / (f.length - 1)); };

// Of values f at samples zs, with the part of f's gradient that does not go through them.
function scoreGradient({ law, f, bound }, zs, values, signals) {
  const gradient = zeros(law.P);
  zs.forEach((z, k) => add(gradient, law.score(z), signals[k]));
  return add(gradient, directGradient({ law, f, bound }, zs, values));
}

// Under an average the score of -log q in f has mean zero, and is left out.
function directGradient({ law, f, bound }, zs, values) {
  const gradient = zeros(law.P);
  if (!bound.average) bound.weights(values).forEach((w, k) => add(gradient, f.direct(zs[k]), w));
  return gradient;
}

function scoreFunction(baseline) {
  return (problem, noise, options, state) => {
    const zs = problem.law.draw(noise, problem.K), values = zs.map(problem.f.value);
    return scoreGradient(problem, zs, values, signal(problem.bound, values, baseline(values, problem, options, state)));
  };
}

ESTIMATORS.reinforce = scoreFunction(() => null);
ESTIMATORS.rloo = ESTIMATORS.vimco = scoreFunction(others); // under the mean, under the log-mean-exp
// VIMCO's other mean: of the other weights, not of their logarithms
ESTIMATORS.vimco_arithmetic = scoreFunction(f => f.map((_, k) => logSumExp(f.filter((_, j) => j !== k)) - Math.log(f.length - 1)));
ESTIMATORS.self_critical = scoreFunction((values, { law, f }) => { const mode = f.value(law.mode()); return values.map(() => mode); });

// An average of earlier f, corrected for its start at zero; the present f enters it afterwards.
ESTIMATORS.reinforce_moving_average = scoreFunction((values, _, { decay }, state) => {
  const { sum: s = 0, weight = 0 } = state, before = s / Math.max(weight, 1 - decay);
  state.sum = decay * s + (1 - decay) * average(values);
  state.weight = decay * weight + 1 - decay;
  return values.map(() => before);
});

// A linear approximation of f at the mean of q: exact where f is, the score function of what is left.
ESTIMATORS.muprop = ({ law, f, bound, K }, noise) => {
  const zs = law.draw(noise, K), values = zs.map(f.value), mean = law.mean(), atMean = f.value(mean), slope = f.slope(mean);
  const baseline = values.map(() => atMean), weights = bound.slopes(values, baseline);
  const linear = zs.map(z => dot(slope, z) - dot(slope, mean));
  const signals = signal(bound, values, baseline).map((s, k) => s - weights[k] * linear[k]);
  return add(scoreGradient({ law, f, bound }, zs, values, signals), law.pullMean(slope), sum(weights));
};
