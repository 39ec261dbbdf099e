// What an estimator trains of its own while it draws: one step of Adam an estimate, down its auxiliary loss.
const LEARNS = {}; // name: { start(options, law) => numbers, said(numbers, law, options) => words }

// The numbers of an estimator, in torch's order; the first time, where they start.
const ownOf = (name, state, options, law) => state.own ??= Float64Array.from(LEARNS[name].start(options, law));

function learn(state, slopes, rate) {
  if (!rate) return; // they stand still
  const { own } = state, adam = state.adam ??= { t: 0, first: zeros(own.length), second: zeros(own.length) };
  adam.t++;
  slopes.forEach((g, i) => {
    adam.first[i] += 0.1 * (g - adam.first[i]);
    adam.second[i] += 0.001 * (g * g - adam.second[i]);
    own[i] -= rate * adam.first[i] / (1 - 0.9 ** adam.t) / (Math.sqrt(adam.second[i] / (1 - 0.999 ** adam.t)) + 1e-8);
  });
}

// A network with one hidden layer, whose numbers are own[at], own[at + 1], ...
function network(own, at, inputs, hidden, outputs) {
  const part = (from, size) => own.subarray(at + from, at + from + size), atOut = hidden * (inputs + 1);
  const rows = (x, size) => range(x.length / size).map(j => x.subarray(j * size, j * size + size));
  const W = rows(part(0, hidden * inputs), inputs), b = part(hidden * inputs, hidden);
  const V = rows(part(atOut, outputs * hidden), hidden), c = part(atOut + outputs * hidden, outputs);
  const units = x => b.map((v, j) => Math.tanh(v + dot(W[j], x)));
  // the slopes of all numbers: of units that are pulled by g, and of outputs that are
  const pullUnits = (slopes, x, g) => g.forEach((v, j) => {
    for (let i = 0; i < inputs; i++) slopes[at + j * inputs + i] += v * x[i];
    slopes[at + hidden * inputs + j] += v;
  });
  return {
    W, V, units, pullUnits, atOut: at + atOut,
    out: t => c.map((v, o) => v + dot(V[o], t)),
    pull: (slopes, x, t, g) => {
      const back = zeros(hidden);
      g.forEach((v, o) => {
        add(back, V[o], v);
        for (let j = 0; j < hidden; j++) slopes[at + atOut + o * hidden + j] += v * t[j];
        slopes[at + atOut + outputs * hidden + o] += v;
      });
      pullUnits(slopes, x, back.map((v, j) => v * (1 - t[j] ** 2)));
    },
  };
}

// Where a network starts, by torch's rule: uniform within 1 / sqrt(inputs) of zero.
function startOfNetwork(inputs, hidden, outputs, silent = false) {
  const noise = seeded(hidden), layer = (size, from) => Array.from(noise.uniform(size), u => (2 * u - 1) / Math.sqrt(from));
  const first = layer(hidden * (inputs + 1), inputs), last = layer(outputs * (hidden + 1), hidden);
  return [...first, ...(silent ? last.map(() => 0) : last)];
}

// NVIL: a network of what is known before the sample is drawn. Here nothing changes, so it sees a one.
const baselineOf = (own, { hidden }) => network(own, 0, 1, hidden, 1);
LEARNS.nvil = {
  start: ({ hidden }) => startOfNetwork(1, hidden, 1),
  said: (own, law, options) => { const net = baselineOf(own, options); return `baseline ${shown(net.out(net.units([1]))[0], 3)}`; },
};
ESTIMATORS.nvil = scoreFunction((values, { law }, options, state) => {
  const own = ownOf("nvil", state, options, law), net = baselineOf(own, options), t = net.units([1]), [b] = net.out(t), slopes = zeros(own.length);
  net.pull(slopes, [1], t, [2 * (b - average(values))]); // of the mean of (f - b)²
  learn(state, slopes, options.rate);
  return values.map(() => b);
});

// Leave-one-out, with a second control variate: a Taylor term with the slope of the other samples.
LEARNS.double_cv = { start: ({ alpha }) => [alpha], said: ([alpha]) => `α ${shown(alpha, 2)}` };
ESTIMATORS.double_cv = (problem, noise, options, state) => {
  const { law, f, bound, K } = problem, [alpha] = ownOf("double_cv", state, options, law);
  const zs = law.draw(noise, K), values = zs.map(f.value), mean = law.mean(), baseline = others(values);
  const weights = bound.slopes(values, baseline), slopes = zs.map(f.slope), all = zeros(law.n);
  slopes.forEach(s => add(all, s));
  const taylor = slopes.map((s, k) => all.map((v, i) => weights[k] * (v - s[i]) / (K - 1)));
  const c = taylor.map((t, k) => dot(t, zs[k]) - dot(t, mean)), left = others(c), path = zeros(law.n);
  taylor.forEach(t => add(path, t));
  const control = law.pullMean(path).map(v => -v);
  zs.forEach((z, k) => add(control, law.score(z), c[k] - left[k]));
  const gradient = add(scoreGradient(problem, zs, values, signal(bound, values, baseline)), control, -alpha);
  learn(state, [-2 * dot(gradient, control)], options.rate);
  return gradient;
};
