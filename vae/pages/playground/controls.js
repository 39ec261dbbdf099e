// The controls: made of the data, filled from the settings, and telling what was changed.
const element = id => document.getElementById(id);
const MOST_CHOSEN = 6; // as many as there are colours that nobody mistakes

function options(select, pairs, value) {
  element(select).replaceChildren(...pairs.map(([key, label]) => new Option(label, key, false, String(key) === String(value))));
}

function slider(label, low, high, step, value, changed) {
  const holder = document.createElement("label"), input = document.createElement("input"), output = document.createElement("b");
  Object.assign(input, { type: "range", min: low, max: high, step, value });
  output.textContent = shown(value, 2);
  holder.append(`${label} = `, output, input);
  input.addEventListener("input", () => { output.textContent = shown(+input.value, 2); changed(+input.value); });
  return holder;
}

// Fills every control; change(part, what) is called with what the reader changes.
function showControls(data, settings, colours, change) {
  const family = data.families[settings.family], parameters = family.parameters[settings.D - 1];
  options("family", Object.entries(data.families).map(([key, f]) => [key, f.label]), settings.family);
  options("D", range(family.variables).map(i => [i + 1, i + 1]), settings.D);
  options("integrand", Object.entries(data.integrands).map(([key, f]) => [key, f.label]), settings.integrand);
  options("bound", [["average", "the mean of f"], ["log_mean_exp", "log-mean-exp of f (IWAE)"]], settings.bound);
  options("across", parameters.map((p, i) => [i, p.label]), settings.a);
  options("up", [...parameters.map((p, i) => [i, p.label]), [-1, "nothing: histograms"]], settings.b);
  const shownK = element("K");
  shownK.max = mostSamples(data, settings); shownK.value = settings.K;
  element("temperature").value = Math.log10(settings.temperature);
  element("zoom").value = Math.log2(settings.zoom);
  element("speed").value = Math.log10(settings.speed);
  element("seed").value = settings.seed;
  element("learning").checked = settings.learning;
  element("learning-shown").hidden = !data.estimators.some(e => e.learns && e.families.includes(settings.family));
  const theta = settings.theta.slice(); // what all sliders say together
  element("theta").replaceChildren(...theta.map((value, i) => slider(parameters[i].label, ...parameters[i].range, 0.05, value, v => {
    theta[i] = v;
    change({ theta: theta.slice() }, true);
  })));
  const tempered = data.estimators.some(e => e.tempered && e.families.includes(settings.family));
  for (const part of document.querySelectorAll(".tempered")) part.hidden = !tempered;
  showValues(settings);
  showEstimators(data, settings, colours, change);
}

// What never changes: numbers in the text, and what of the library the page does not show.
function showAlways(data) {
  element("rate").textContent = data.rate;
  element("kept").textContent = KEPT.toLocaleString("en");
  list("absent", Object.entries(data.absent));
}

// Names, each with what is to be said of it.
function list(id, pairs) {
  element(id).replaceChildren(...pairs.map(([name, why]) => {
    const item = document.createElement("li"), code = document.createElement("code");
    code.textContent = name;
    item.append(code, `: ${why}`);
    return item;
  }));
}

function showValues(settings) {
  element("K-shown").textContent = settings.K;
  element("temperature-shown").textContent = shown(settings.temperature, 2);
  element("zoom-shown").textContent = `× ${shown(settings.zoom, 2)}`;
  element("speed-shown").textContent = `${Math.round(settings.speed).toLocaleString("en")} / s`;
}

// A list of checkboxes, by what the estimators claim.
const groups = [
  ["Unbiased, from values of f", (claim, e) => claim === "unbiased" && !e.slope],
  ["Unbiased, by f's derivative", (claim, e) => claim === "unbiased" && e.slope],
  ["Unbiased for this f", claim => claim === "unbiased for this f"],
  ["Biased", claim => claim === "biased"],
];

function showEstimators(data, settings, colours, change) {
  const own = data.estimators.filter(e => e.families.includes(settings.family)), fitting = own.filter(e => !reasonAgainst(data, e, settings)), full = settings.chosen.length >= MOST_CHOSEN;
  element("left-out").textContent = leftOut(data, settings);
  element("chosen-note").textContent = `${settings.chosen.length} of at most ${MOST_CHOSEN}${full ? ": untick one for another" : ""}`;
  const focused = document.activeElement?.dataset?.estimator;
  element("estimators").replaceChildren(...groups.map(([label, belongs]) => {
    const set = document.createElement("fieldset"), legend = document.createElement("legend");
    legend.textContent = label;
    set.append(legend, ...fitting.filter(e => belongs(claimOf(e, settings), e)).map(e => estimatorBox(e, settings, full, colours, change)));
    return set;
  }).filter(set => set.children.length > 1));
  const rest = own.filter(e => !fitting.includes(e));
  element("unfit").parentElement.hidden = !rest.length;
  list("unfit", rest.map(e => [e.name, reasonAgainst(data, e, settings)]));
  if (focused) document.querySelector(`[data-estimator="${focused}"]`)?.focus();
}

// Those that were chosen and do not fit the setting, by reason.
function leftOut(data, settings) {
  const byReason = new Map();
  for (const name of settings.wanted) if (!settings.chosen.includes(name)) {
    const reason = reasonAgainst(data, data.estimators.find(e => e.name === name), settings) || `${MOST_CHOSEN} at a time`;
    byReason.set(reason, [...byReason.get(reason) ?? [], name]);
  }
  const said = [...byReason].map(([reason, names]) => `${names.join(", ")} (${reason})`);
  return said.length ? `Not in this setting: ${said.join("; ")}.` : "";
}

function estimatorBox(e, settings, full, colours, change) {
  const label = document.createElement("label"), box = document.createElement("input"), name = document.createElement("span"), note = document.createElement("small");
  const checked = settings.chosen.includes(e.name);
  Object.assign(box, { type: "checkbox", checked, disabled: full && !checked });
  box.dataset.estimator = e.name;
  box.setAttribute("aria-label", e.name);
  if (box.disabled) label.dataset.off = "";
  if (checked) label.style.setProperty("--own", colours.get(e.name));
  name.innerHTML = `${checked ? '<span class="swatch"></span>' : ""}<code>${e.name}</code>`;
  note.textContent = e.paper || e.summary;
  label.title = `${e.summary}. ${e.paper}. ${e.bias ? `Biased: ${e.bias}` : "Unbiased"}`;
  label.append(box, name, note);
  box.addEventListener("change", () => change({ chosen: box.checked ? [...settings.wanted, e.name] : settings.wanted.filter(n => n !== e.name) }));
  return label;
}
