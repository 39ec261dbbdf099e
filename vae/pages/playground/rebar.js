// REBAR and RELAX: the score function, with a stand-in c for f at a relaxed sample as its control variate.
// The relaxed sample is taken along two paths: as drawn, and as drawn given the vertex that it hardens to.

// The first two numbers that are learned are eta and the logarithm of the temperature.
function relaxedControl(name, standIn) {
  return (problem, noise, options, state) => {
    const { law, f, bound, K } = problem, own = ownOf(name, state, options, law), eta = own[0], temperature = Math.exp(own[1]);
    const perturbed = law.perturb(noise, K), hard = perturbed.map(law.harden), soft = perturbed.map(s => law.soften(s, temperature));
    const c = standIn(problem, own, options), values = hard.map(f.value), at = soft.map(c.value);
    const h = bound.share(values, at), s = bound.slopes(values, at), slopes = soft.map(c.slope);
    const gradient = scoreGradient(problem, hard, values, signal(bound, values).map((v, k) => v - eta * h[k]));
    const loose = perturbed.map(x => law.conditioned(x).map(v => 1 - v)); // how much further one path moves than the other
    slopes.forEach((slope, k) => add(gradient, law.toTheta(law.pullSoft(soft[k], slope).map((v, i) => v * loose[k][i])), eta * s[k] / temperature));

    // the slope of |gradient|² in what is learned
    const found = zeros(own.length), u = gradient.map(v => 2 * v), back = law.fromTheta(u), bends = bound.curvatures(values, at);
    perturbed.forEach((x, k) => {
      const score = dot(u, law.score(hard[k])), m = back.map((v, i) => v * loose[k][i]), slope = slopes[k];
      const b = law.pullSoft(soft[k], m).map(v => v / temperature), path = dot(b, slope);
      const moved = law.pullSoft(soft[k], x).map(v => -v / temperature), change = dot(slope, moved); // of the relaxed sample, as log temperature rises
      const turned = dot(m, law.curveSoft(soft[k], moved, slope)) / temperature + dot(b, c.curve(soft[k], moved)) - path;
      found[0] += s[k] * path - h[k] * score;
      found[1] += eta * (bends[k] * change * path + s[k] * turned - s[k] * change * score);
      c.pull?.(found, soft[k], eta * (bends[k] * path - s[k] * score), b, eta * s[k]);
    });
    learn(state, found, options.rate);
    return gradient;
  };
}

const saidOfControl = ([eta, log]) => `η ${shown(eta, 2)}, temperature ${shown(Math.exp(log), 2)}`;

LEARNS.rebar = { start: ({ eta, temperature }) => [eta, Math.log(temperature)], said: saidOfControl };
ESTIMATORS.rebar = relaxedControl("rebar", ({ f }) => f);

// f and a small network, the critic, which learns what f leaves; it sees the sample and, as NVIL's, a one
LEARNS.relax = {
  start: ({ eta, temperature, hidden }, law) => [eta, Math.log(temperature), ...startOfNetwork(law.n + 1, hidden, 1)],
  said: saidOfControl,
};
ESTIMATORS.relax = relaxedControl("relax", ({ law, f }, own, { hidden }) => {
  const net = network(own, 2, law.n + 1, hidden, 1), [V] = net.V, seen = z => [...z, 1], units = z => net.units(seen(z)), bent = t => t.map((v, j) => V[j] * (1 - v * v));
  const along = y => Float64Array.from(net.W, row => dot(y, row)); // what the units get of a direction y
  const down = g => { const x = zeros(law.n); net.W.forEach((row, j) => add(x, row, g[j])); return x; };
  return {
    value: z => f.value(z) + net.out(units(z))[0],
    slope: z => add(down(bent(units(z))), f.slope(z)),
    curve: (z, y) => { const t = units(z), w = along(y), g = bent(t); return add(down(g.map((v, j) => -2 * t[j] * v * w[j])), f.curve(z, y)); },
    // the slopes of weight * r(z) + straight * <b, r'(z)>
    pull: (found, z, weight, b, straight) => {
      const t = units(z), w = along(b), g = bent(t);
      net.pull(found, seen(z), t, [weight]);
      w.forEach((v, j) => {
        found[net.atOut + j] += straight * (1 - t[j] ** 2) * v;
        for (let i = 0; i < law.n; i++) found[2 + j * (law.n + 1) + i] += straight * g[j] * b[i];
      });
      net.pullUnits(found, seen(z), w.map((v, j) => -2 * straight * t[j] * g[j] * v));
    },
  };
});
