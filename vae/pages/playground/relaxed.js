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
