// From what the controls say to what an estimator is given.
const LAWS = { bernoulli, categorical, gaussian };

function problemOf(data, { family, D, integrand: name, bound, K, theta }) {
  const law = LAWS[family](Float64Array.from(theta), data.families[family].categories);
  return { law, f: integrand(name, data.integrands[name].weights[family][D - 1], law), bound: BOUNDS[bound], K };
}

// Many gradients at once, on recorded noise: what the tests call. In a sequence each remembers those before it.
function replay(data, cases) {
  return cases.map(one => {
    let state;
    return one.replicates.map(({ integrand, theta, noise }, i) => {
      const problem = problemOf(data, { ...one, integrand, theta });
      if (!one.estimator) return Array.from(exactGradient(problem, data.quadrature));
      if (i % one.sequence === 0) state = one.own ? { own: Float64Array.from(one.own) } : {};
      const record = replayed(noise), gradient = Array.from(ESTIMATORS[one.estimator](problem, record, one.options, state));
      if (record.left()) throw Error(`${one.estimator} left ${record.left()} of its noise`);
      return gradient;
    });
  });
}
