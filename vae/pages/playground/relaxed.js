// Relaxed and straight-through samples: a gradient passes where the sample itself lets none through.
// All are pathwise; a sampler says where f is evaluated, and by which softmax its slope is pulled back.
function relaxation(sample) {
  return (problem, noise, options) => throughSamples(problem, sample(problem.law, noise, problem.K, options));
}

// inside the simplex: the relaxed model's own gradient
ESTIMATORS.gumbel_softmax = relaxation((law, noise, K, { temperature }) => law.perturb(noise, K).map(s => {
  const soft = law.soften(s, temperature);
  return { z: soft, pull: g => law.pullSoft(soft, g).map(v => v / temperature) };
}));

// at a vertex, with the derivative of the mean
ESTIMATORS.straight_through = relaxation((law, noise, K) =>
  law.draw(noise, K).map(z => ({ z, pull: law.pullMean })));

// at a vertex, with the derivative of the relaxed sample of the same noise
ESTIMATORS.st_gumbel = relaxation((law, noise, K, { temperature }) => law.perturb(noise, K).map(s => {
  const soft = law.soften(s, temperature);
  return { z: law.harden(s), pull: g => law.pullSoft(soft, g).map(v => v / temperature) };
}));

// the same, averaged over noise that hardens to the same vertex
ESTIMATORS.gumbel_rao = relaxation((law, noise, K, { temperature, num_inner }) => {
  const zs = law.draw(noise, K), perturbed = law.perturbGiven(zs, noise, num_inner);
  return zs.map((z, k) => {
    const softs = perturbed[k].map(s => law.soften(s, temperature));
    return { z, pull: g => { const mean = zeros(law.P); softs.forEach(s => add(mean, law.pullSoft(s, g), 1 / (temperature * num_inner))); return mean; } };
  });
});

// at a vertex, with the softmax of logits that agree with it by a margin
ESTIMATORS.gst = relaxation((law, noise, K, { temperature, gap }) => law.draw(noise, K).map(z => {
  const soft = law.soften(law.withMargin(z, gap), temperature);
  return { z, pull: g => law.pullSoft(soft, g).map(v => v / temperature) };
}));

// Heun's method in the place of Euler's: exact for quadratic f at temperature 1
ESTIMATORS.reinmax = relaxation((law, noise, K, { temperature }) => {
  const soft = law.soften(law.logits, temperature);
  return law.draw(noise, K).map(z => {
    const middle = z.map((v, i) => (v + soft[i]) / 2);
    return { z, pull: g => add(law.pullSoft(middle, g).map(v => 2 * v), law.pullMean(g), -0.5) };
  });
});

// of each z, M perturbed logits about the middle of z and the mean, given that they harden to z: each z has a middle of its own
const middlesGiven = (law, zs, noise, M) => law.perturbGiven(zs, noise, M, zs.map(z => law.withLogits(law.middle(z))));

// the same, with the relaxation's derivative in the middle of vertex and mean, over noise given the vertex
function inTheMiddle(law, z, perturbed, temperature) {
  const softs = perturbed.map(s => law.soften(s, temperature));
  return g => { const mean = zeros(law.P); softs.forEach(s => add(mean, law.pullSoft(s, g), 1 / (temperature * softs.length))); return mean; };
}
ESTIMATORS.reinmax_rao = relaxation((law, noise, K, { temperature, num_inner }) => {
  const zs = law.draw(noise, K), drawn = middlesGiven(law, zs, noise, num_inner);
  return zs.map((z, k) => ({ z, pull: g => add(inTheMiddle(law, z, drawn[k], temperature)(g).map(v => 2 * v), law.pullMean(g), -0.5) }));
});

// ReinMax, and a multiple of what one such derivative differs from the mean of others
ESTIMATORS.reinmax_cv = relaxation((law, noise, K, { temperature, num_inner, eta }) => {
  const zs = law.draw(noise, K), one = middlesGiven(law, zs, noise, 1), drawn = middlesGiven(law, zs, noise, num_inner);
  return zs.map((z, k) => {
    const middle = law.soften(law.middle(z), 1);
    return { z, pull: g => {
      const pulled = add(law.pullSoft(middle, g).map(v => 2 * v), law.pullMean(g), -0.5);
      add(pulled, inTheMiddle(law, z, drawn[k], temperature)(g), eta);
      return add(pulled, inTheMiddle(law, z, one[k], temperature)(g), -eta);
    } };
  });
});

// vertices of one temperature, the derivative of another's relaxation
ESTIMATORS.decoupled_st_gumbel = relaxation((law, noise, K, { temperature, forward_temperature }) => law.perturb(noise, K).map(s => {
  const soft = law.soften(s, temperature), drawn = s.map((v, i) => v + law.logits[i] * (1 / forward_temperature - 1));
  return { z: law.harden(drawn), pull: g => law.pullSoft(soft, g).map(v => v / temperature) };
}));

// FouST, of bits: at a random point of the line to the vertex, and where both ends count alike
ESTIMATORS.foust = relaxation((law, noise, K, { low }) => {
  const zs = law.draw(noise, K);
  return blocks(noise.uniform(K * law.n), K).map((u, k) => {
    const sign = zs[k].map(v => 2 * v - 1), slope = sign.map((s, i) => sigmoid(-s * law.logits[i]) / 2);
    return { z: u.map((v, i) => (1 + (low + (1 - low) * v) * sign[i]) / 2), pull: g => slope.map((v, i) => v * g[i]) };
  });
});
