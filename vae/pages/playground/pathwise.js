// The pathwise derivative: f's slope, pulled back along how the sample depends on the parameters.

// points: [{ z, pull }], pull taking a slope in z to a gradient.
function throughSamples({ law, f, bound }, points, withDirect = true, weigh = bound.weights) {
  const weights = weigh(points.map(({ z }) => f.value(z))), gradient = zeros(law.P);
  points.forEach(({ z, pull }, k) => {
    add(gradient, pull(f.slope(z)), weights[k]);
    if (withDirect) add(gradient, f.direct(z), weights[k]);
  });
  return gradient;
}

const reparameterized = (law, noise, K) => law.draw(noise, K).map(z => ({ z, pull: g => law.pullPath(z, g) }));

ESTIMATORS.pathwise = (problem, noise) => throughSamples(problem, reparameterized(problem.law, noise, problem.K));
// without the score of log q, which has mean zero
ESTIMATORS.stl = (problem, noise) => throughSamples(problem, reparameterized(problem.law, noise, problem.K), false);
// of importance weights w: each path is weighed by its w squared
ESTIMATORS.dreg = (problem, noise) =>
  throughSamples(problem, reparameterized(problem.law, noise, problem.K), false, problem.bound.pathWeights);
