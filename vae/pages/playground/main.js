// The page: settings, the run that they describe, and the clock.
function start(data) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches, colours = new Map();
  let settings, run, half, curves, playing = false, before = 0, owed = 0, tabled = 0;

  // a chosen estimator keeps its colour as long as it is chosen
  const slots = [];
  function paint() {
    for (let i = 0; i < MOST_CHOSEN; i++) if (!settings.chosen.includes(slots[i])) slots[i] = undefined;
    for (const name of settings.chosen) if (!slots.includes(name)) slots[[...slots, undefined].findIndex(s => s === undefined)] = name;
    colours.clear();
    slots.forEach((name, i) => name && colours.set(name, colour(`c${i}`)));
  }

  // Takes new settings; what has been seen stays only where the question is the same.
  function take(changed, whileDragging = false) {
    const asked = s => JSON.stringify([s.family, s.D, s.integrand, s.bound, s.K, s.temperature, s.learning, s.theta, s.seed]), old = settings;
    settings = { ...settings, ...changed, wanted: changed.chosen ?? settings.wanted };
    if (changed.family || changed.D) {
      settings.D = Math.min(settings.D, data.families[settings.family].variables);
      if (!changed.theta) Object.assign(settings, { theta: startOf(data, settings), a: 0 });
      settings.b = settings.theta.length > 1 ? 1 : -1;
    }
    settings.K = Math.min(settings.K, mostSamples(data, settings));
    if (old && Object.keys(changed).some(key => ["family", "D", "integrand", "bound", "theta", "chosen"].includes(key))) explain(null);
    const possible = data.estimators.filter(e => !reasonAgainst(data, e, settings)).map(e => e.name), here = () => settings.wanted.filter(name => possible.includes(name));
    if (!changed.chosen && !here().length) settings.wanted = [...settings.wanted, possible[0]]; // a new setting is not left empty
    settings.chosen = here().slice(0, MOST_CHOSEN);
    paint();
    if (!old || asked(old) !== asked(settings)) { run = experiment(data, settings); run.choose(settings.chosen); run.advance(still ? 500 : 1); }
    else { run.choose(settings.chosen); run.advance(0, performance.now() + 30); }
    half = reach(data, settings, run.exact);
    if (whileDragging) showValues(settings); else showControls(data, settings, colours, take);
    curves?.stop();
    element("temperatures-note").textContent = settings.chosen.some(n => data.estimators.find(e => e.name === n).tempered)
      ? `${DRAWS.toLocaleString("en")} estimates at each of ${TEMPERATURES.length} temperatures, ± 1 standard error, none of them learning; the dashed line is the slider's.`
      : `None of the chosen estimators has a temperature: ${data.estimators.filter(e => e.tempered && e.families.includes(settings.family)).map(e => e.name).join(", ")} have.`;
    curves = temperatureCurves(data, settings, run.exact, c => drawTemperatures(c, settings, colours));
    draw();
  }

  // What an example shows, until its setting is left.
  function explain(example) {
    element("note").textContent = example ? example.note : "A setting of your own; an example leads back.";
    [...element("presets").children].forEach((button, i) => button.setAttribute("aria-pressed", String(EXAMPLES[i] === example)));
  }

  function draw(table = true) {
    element("count").textContent = run.least().toLocaleString("en");
    element("f").textContent = `${data.integrands[settings.integrand].formula}. Cross: the exact gradient, ${wayOfExact(run.problem, data.quadrature)}.`;
    drawClouds(data, run, settings, half / settings.zoom, colours);
    drawLines(run, settings, colours);
    const component = data.families[settings.family].parameters[settings.D - 1][settings.a].label;
    element("lines-title").textContent = `Running mean of the gradient in ${component}`;
    if (!table) return;
    drawTable(data, run, settings, colours);
    const said = [...run.tallies].map(([name, t]) => `${name}: standard deviation ${shown(Math.sqrt(totalVariance(t)), 2)}, bias ${shown(distance(t.mean, run.exact), 2)}`).join("; ");
    element("clouds").setAttribute("aria-label", `Clouds of estimates around the exact gradient. ${said}`);
    element("lines").setAttribute("aria-label", `Running means of ${component}, exact ${shown(run.exact[settings.a])}; the table has the numbers`);
    element("temperatures").setAttribute("aria-label", "Bias and standard deviation against the temperature");
  }

  function play(on) {
    playing = on;
    element("play").textContent = on ? "Pause" : "Play";
    element("play").setAttribute("aria-pressed", String(on));
    if (on) { before = performance.now(); requestAnimationFrame(frame); }
  }

  // As many estimates as the speed says, or as a frame has time for.
  function frame(now) {
    if (!playing) return;
    owed += Math.min(now - before, 100) / 1000 * settings.speed;
    before = now;
    const count = Math.floor(owed);
    owed -= count;
    if (count) {
      run.advance(count, performance.now() + 9);
      const table = now - tabled > 250;
      if (table) tabled = now;
      draw(table);
    }
    if (run.least() >= 1e6) play(false); else requestAnimationFrame(frame);
  }

  listen(take, () => settings, { play: () => play(!playing), step: () => { run.advance(1); draw(); }, reset: () => { run = experiment(data, settings); run.choose(settings.chosen); draw(); } });
  element("presets").append(...EXAMPLES.map(example => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: example.label });
    button.addEventListener("click", () => { take(settingsOf(data, example, settings)); explain(example); if (!still && !playing) play(true); });
    return button;
  }));
  showAlways(data);
  take(settingsOf(data, EXAMPLES[0]));
  explain(EXAMPLES[0]);
  document.addEventListener("theme", () => take({}));
  addEventListener("resize", () => { draw(); drawTemperatures(curves.curves, settings, colours); });
  play(!still);
  return { settings: () => settings, run: () => run, take, play, draw };
}

// The controls that are always there.
function listen(take, settings, { play, step, reset }) {
  const on = (id, event, what) => element(id).addEventListener(event, () => what(element(id).value));
  element("play").addEventListener("click", play);
  element("step").addEventListener("click", step);
  element("reset").addEventListener("click", reset);
  on("family", "change", v => take({ family: v }));
  on("D", "change", v => take({ D: +v }));
  on("integrand", "change", v => take({ integrand: v }));
  on("bound", "change", v => take({ bound: v }));
  on("across", "change", v => take({ a: +v }));
  on("up", "change", v => take({ b: +v }));
  on("K", "input", v => take({ K: +v }));
  element("learning").addEventListener("change", () => take({ learning: element("learning").checked }));
  on("seed", "change", v => take({ seed: Math.max(0, Math.round(+v) || 0) }));
  on("temperature", "input", v => take({ temperature: 10 ** v }, true));
  on("zoom", "input", v => take({ zoom: 2 ** v }, true));
  on("speed", "input", v => take({ speed: 10 ** v }, true));
}
