// Settings that show one thing each; the first is what the page opens with.
const EXAMPLES = [
  { label: "The whole picture", chosen: ["reinforce", "rloo", "disarm", "rebar", "straight_through", "gumbel_softmax"] },
  { label: "Right, but wide", chosen: ["reinforce", "reinforce_moving_average", "rloo"] },
  { label: "Displaced", integrand: "quadratic", theta: [2, -1], chosen: ["straight_through", "st_gumbel", "gst", "reinmax", "enumerate"] },
  { label: "Narrow and centred", chosen: ["reinforce", "disarm", "arms", "local_expectation", "rebar", "muprop"] },
  { label: "Temperature", chosen: ["gumbel_softmax", "st_gumbel", "gumbel_rao", "rebar"] },
  { label: "A weighted bound", family: "categorical", bound: "log_mean_exp", K: 3, chosen: ["reinforce", "vimco", "disarm_tree", "rebar", "gumbel_softmax"] },
  { label: "Gaussian", family: "gaussian", chosen: ["reinforce", "rloo", "measure_valued", "muprop", "pathwise", "stl"] },
];
const START = { family: "bernoulli", D: 2, integrand: "likelihood", bound: "average", K: 4, temperature: 1, seed: 0, speed: 300, zoom: 1, a: 0, b: 1 };

// All settings of an example; its point is the family's own.
function settingsOf(data, example, before = {}) {
  const settings = { ...START, speed: before.speed ?? START.speed, seed: before.seed ?? START.seed, ...example };
  return { ...settings, theta: example.theta || startOf(data, settings), chosen: [...example.chosen] };
}

const startOf = (data, { family, D }) => data.families[family].parameters[D - 1].map(p => p.start);
