// RODEO: leave-one-out, with control variates of a Stein operator. One variable at a time takes its other
// values; a surrogate of f, which knows the other samples only, says what that would change.
const surrogatesOf = (own, { hidden }) => {
  const net = network(own, 2, 2, hidden, 2);
  return {
    // of the baseline and of the own term: a multiple of v = <f'(z_j), z - mean>, and a network of it and f_j
    at: (v, f) => { const x = [Math.asinh(v), Math.asinh(f)], t = net.units(x), r = net.out(t); return { v, x, t, h: [own[0] * v + r[0], own[1] * v + r[1]] }; },
    pull: (slopes, { v, x, t }, g) => { slopes[0] += g[0] * v; slopes[1] += g[1] * v; net.pull(slopes, x, t, g); },
  };
};

LEARNS.rodeo = { start: ({ hidden }) => [1, 0.5, ...startOfNetwork(2, hidden, 2, true)], said: ([a, b]) => `α ${shown(a, 2)} and ${shown(b, 2)}` };
ESTIMATORS.rodeo = ({ law, f, K }, noise, options, state) => {
  const own = ownOf("rodeo", state, options, law), H = surrogatesOf(own, options), width = law.n / law.D, of = d => range(width).map(c => d * width + c);
  const zs = law.draw(noise, K), values = zs.map(f.value), slopes = zs.map(f.slope), mean = law.mean();
  const samples = zs.map((z, k) => {
    const score = law.score(z), known = range(K).filter(j => j !== k);
    const here = known.map(j => H.at(dot(slopes[j], z) - dot(slopes[j], mean), values[j]));
    const moves = range(law.D).flatMap(d => law.otherValues(z, d).map(({ z: other, p }) => {
      const near = known.map((j, i) => H.at(here[i].v + dot(slopes[j], other) - dot(slopes[j], z), values[j]));
      const gain = o => p * average(near.map((n, i) => n.h[o] - here[i].h[o]));
      return { d, p, near, score: law.score(other), gains: [gain(0), gain(1)] };
    }));
    const sums = range(law.D).map(d => sum(moves.filter(m => m.d === d).map(m => m.gains[1]))), total = sum(sums), h = average(here.map(a => a.h[1]));
    const term = zeros(law.P); // the operator of the own surrogate times the score
    range(law.D).forEach(d => of(d).forEach(i => { term[i] = score[i] * (total - sums[d] - h); }));
    moves.forEach(m => of(m.d).forEach(i => { term[i] += m.gains[1] * m.score[i]; }));
    return { score, here, moves, term, baseline: values[k] + sum(moves.map(m => m.gains[0])) };
  });
  const baselines = others(samples.map(s => s.baseline)), gradient = zeros(law.P);
  samples.forEach((s, k) => { add(gradient, s.score, (values[k] - baselines[k]) / K); add(gradient, s.term, 1 / K); });

  // the slope of |gradient|² in what is learned
  const u = gradient.map(v => 2 * v / K), found = zeros(own.length), pulls = samples.map(s => dot(u, s.score)), all = sum(pulls);
  samples.forEach(({ score, here, moves }, k) => {
    const onBaseline = (pulls[k] - all) / (K - 1), atHere = here.map(() => [0, -pulls[k] / (K - 1)]);
    for (const m of moves) {
      let own = 0, next = 0;
      for (const i of of(m.d)) { own += u[i] * score[i]; next += u[i] * m.score[i]; }
      const g = [onBaseline, pulls[k] - own + next].map(v => v * m.p / (K - 1));
      m.near.forEach((n, i) => { H.pull(found, n, g); atHere[i][0] -= g[0]; atHere[i][1] -= g[1]; });
    }
    here.forEach((a, i) => H.pull(found, a, atHere[i]));
  });
  learn(state, found, options.rate);
  return gradient;
};
