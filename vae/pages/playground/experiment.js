// One setting, and the estimates that have been drawn in it.
function experiment(data, settings) {
  const problem = problemOf(data, settings), exact = exactGradient(problem, data.quadrature);
  const known = new Map(data.estimators.map(e => [e.name, e]));
  const options = name => optionsOf(data, known.get(name), settings);
  const noises = new Map(), tallies = new Map();
  const self = {
    problem, exact, tallies, options,
    choose(names) { // those that stay keep what they have
      for (const name of [...tallies.keys()]) if (!names.includes(name)) tallies.delete(name);
      for (const name of names) if (!tallies.has(name)) {
        tallies.set(name, tally(problem.law.P, known.get(name).learns && settings.learning));
        noises.set(name, seeded(settings.seed * 1000 + data.estimators.findIndex(e => e.name === name)));
      }
    },
    least: () => tallies.size ? Math.min(...[...tallies.values()].map(t => t.n)) : 0,
    // more estimates of each, side by side and those behind first, until a time is over
    advance(count, until = Infinity) {
      const all = [...tallies], goal = Math.max(...all.map(([, t]) => t.n), 0) + count;
      for (let least = self.least(); least < goal && all.length; least = self.least()) {
        const next = Math.min(least + 4, goal);
        for (const [name, t] of all) {
          const noise = noises.get(name), own = options(name);
          while (t.n < next) take(t, ESTIMATORS[name](problem, noise, own, t.state));
        }
        if (performance.now() > until) break;
      }
    },
  };
  return self;
}

// What the library calls an estimator's options, with the slider's temperature; rate: at which it learns.
const optionsOf = (data, e, { temperature, learning }) => ({ ...e.options, ...(e.tempered ? { temperature } : {}), rate: learning ? data.rate : 0 });

// Moments in a setting, by a noise that is the same in each.
function pilot(data, settings, name, count) {
  const problem = problemOf(data, settings), e = data.estimators.find(e => e.name === name), t = tally(problem.law.P);
  const noise = seeded(1), options = optionsOf(data, e, settings);
  for (let i = 0; i < count; i++) take(t, ESTIMATORS[name](problem, noise, options, t.state));
  return t;
}
