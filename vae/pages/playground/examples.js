// Settings that show one thing each; the first is what the page opens with.
const EXAMPLES = [
  {
    label: "Overview", chosen: ["reinforce", "rloo", "disarm", "rebar", "straight_through", "gumbel_softmax"],
    note: "The score function (reinforce) is right on average, and wide. RLOO, DisARM and REBAR are narrow and centred. Straight-through and the Gumbel-softmax are off: more estimates do not help.",
  },
  {
    label: "Right, but wide", chosen: ["reinforce", "reinforce_moving_average", "rloo"],
    note: "A baseline does not move the mean, it narrows the cloud: a moving average of earlier f, or the mean of the other samples (rloo).",
  },
  {
    label: "Displaced", integrand: "quadratic", theta: [2, -1], chosen: ["straight_through", "st_gumbel", "gst", "reinmax", "enumerate"],
    note: "Straight-through takes the derivative of f at a vertex for a difference of f between vertices. ReinMax is exact for this f, since it is quadratic; enumerate sums over all values.",
  },
  {
    label: "Narrow", chosen: ["reinforce", "disarm", "arms", "local_expectation", "rebar", "muprop"],
    note: "All are right on average, and all but the first are narrow. Most pay for it with more evaluations of f: compare variance × cost in the table, which is smallest for arms.",
  },
  {
    label: "Temperature", chosen: ["gumbel_softmax", "st_gumbel", "gumbel_rao", "rebar"],
    note: "Move the temperature: as it rises, the Gumbel-softmax's variance falls and its bias grows. REBAR corrects for its relaxation, and stays centred at every temperature.",
  },
  {
    label: "Learning", temperature: 0.5, chosen: ["rloo", "nvil", "double_cv", "rodeo", "rebar", "relax"],
    note: "All but rloo learn while they draw: a baseline (nvil), the size of a control variate (double_cv, rebar), a network in it (rodeo, relax). The clouds narrow; the means stay where they are.",
  },
  {
    label: "Weighted bound", family: "categorical", bound: "log_mean_exp", K: 3, chosen: ["reinforce", "vimco", "disarm_tree", "rebar", "gumbel_softmax"],
    note: "The importance-weighted bound of K samples, categorical variables. Each estimator sees the bound as a function of one sample at a time; the leave-one-out baseline is then VIMCO.",
  },
  {
    label: "Gaussian", family: "gaussian", chosen: ["reinforce", "rloo", "measure_valued", "muprop", "pathwise", "stl"],
    note: "The pathwise derivative (the reparameterization trick) needs f's derivative. Measure-valued derivatives need values of f only, and more of them.",
  },
];
const START = { family: "bernoulli", D: 2, integrand: "likelihood", bound: "average", K: 4, temperature: 1, learning: true, seed: 0, speed: 300, zoom: 1, a: 0, b: 1 };

// All settings of an example; its point is the family's own.
function settingsOf(data, example, before = {}) {
  const settings = { ...START, speed: before.speed ?? START.speed, seed: before.seed ?? START.seed, ...example };
  return { ...settings, theta: example.theta || startOf(data, settings), chosen: [...example.chosen] };
}

const startOf = (data, { family, D }) => data.families[family].parameters[D - 1].map(p => p.start);
