// The page starts; and what tests and measurements ask of it.
const page = start(DATA);

// A setting of the page: the present one with some changes, and a point of its own where the variables change.
function setting(changed) {
  const settings = { ...page.settings(), ...changed };
  if (!changed.theta && settings.theta.length !== startOf(DATA, settings).length) settings.theta = startOf(DATA, settings);
  return { ...settings, K: Math.min(settings.K, mostSamples(DATA, settings)) };
}

const possible = settings => DATA.estimators.filter(e => !reasonAgainst(DATA, e, settings));
const exactOf = settings => exactGradient(problemOf(DATA, settings), DATA.quadrature);
const spread = (t, exact) => ({ sd: Math.sqrt(totalVariance(t)), bias: distance(t.mean, exact) });
const finite = x => x.every(Number.isFinite);

window.playground = {
  ...page, data: DATA, noise: seeded, replay: cases => replay(DATA, cases),
  spread: t => spread(t, page.run().exact),
  at: (changed, name, count) => { const settings = setting(changed); return spread(pilot(DATA, settings, name, count), exactOf(settings)); },

  // where those start that learn
  starts: (family, D) => Object.fromEntries(Object.keys(LEARNS).map(name => {
    const { options } = DATA.estimators.find(e => e.name === name), settings = setting({ family, D, theta: startOf(DATA, { family, D }) });
    return [name, LEARNS[name].start({ temperature: 0.5, ...options }, problemOf(DATA, settings).law)];
  })),

  // what is said of each estimator in a setting, and how many standard errors its mean is off in each component
  claims: (changed, count) => {
    const settings = setting(changed), exact = exactOf(settings);
    return possible(settings).map(e => {
      const t = pilot(DATA, settings, e.name, count);
      return [e.name, claimOf(e, settings), range(exact.length).map(i => Math.abs(t.mean[i] - exact[i]) < 1e-11 ? 0 : (t.mean[i] - exact[i]) / standardError(t, i))];
    });
  },

  // what is not a number somewhere in a setting
  broken: (changed, count) => {
    const settings = setting(changed), wrong = possible(settings).filter(e => {
      const t = pilot(DATA, settings, e.name, count);
      return !(finite(t.mean) && finite(t.squares) && finite(t.state.own ?? []));
    }).map(e => e.name);
    return finite(exactOf(settings)) ? wrong : [...wrong, "exact"];
  },

  // estimates a second
  rate: (changed, name, milliseconds) => {
    const settings = setting(changed), problem = problemOf(DATA, settings), e = DATA.estimators.find(e => e.name === name);
    const noise = seeded(1), options = optionsOf(DATA, e, settings), state = {}, began = performance.now();
    let n = 0, now = began;
    for (; now - began < milliseconds; now = performance.now()) for (let i = 0; i < 50; i++, n++) { state.exact = undefined; ESTIMATORS[name](problem, noise, options, state); }
    return n / (now - began) * 1000;
  },
};
