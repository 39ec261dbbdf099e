// Bias and standard deviation of the estimators with a temperature, against the temperature; nothing is learned.
const TEMPERATURES = range(11).map(i => 0.05 * 100 ** (i / 10)), DRAWS = 1500;

// Fills in the curves a little at a time; a later call replaces an earlier one.
function temperatureCurves(data, settings, exact, drawn) {
  const names = settings.chosen.filter(name => data.estimators.find(e => e.name === name).tempered), curves = new Map(names.map(n => [n, []]));
  const todo = TEMPERATURES.flatMap(T => names.map(name => [name, T]));
  let stopped = false;
  const some = () => {
    const until = performance.now() + 10;
    while (todo.length && performance.now() < until) {
      const [name, T] = todo.shift(), t = pilot(data, { ...settings, temperature: T, learning: false }, name, DRAWS);
      curves.get(name).push({ T, bias: distance(t.mean, exact), sd: Math.sqrt(totalVariance(t)), error: Math.sqrt(totalVariance(t) / t.n) });
    }
    if (!stopped) { drawn(curves); if (todo.length) setTimeout(some, 15); }
  };
  setTimeout(some, 15);
  return { curves, stop: () => { stopped = true; } };
}

function drawTemperatures(curves, settings, colours) {
  const width = document.getElementById("temperatures").clientWidth, side = width > 560, panel = side ? (width - 24) / 2 : width;
  const names = [...curves.keys()], { c } = canvasOf("temperatures", names.length ? (side ? 230 : 460) : 1);
  if (!names.length) return;
  const one = (left, top, title, value, error) => {
    const box = { left: left + 50, right: left + panel - 6, top: top + 26, bottom: top + 192 };
    const most = Math.max(1e-6, ...names.flatMap(n => curves.get(n).map(p => value(p)))) * 1.1;
    const x = T => box.left + Math.log(T / TEMPERATURES[0]) / Math.log(100) * (box.right - box.left), y = v => box.bottom - Math.min(v / most, 1) * (box.bottom - box.top);
    axes(c, box, [0.05, 0.2, 1, 5], ticks(0, most, 4), x, y, String);
    text(c, title, left, top + 14, { size: 13, weight: "600" });
    text(c, "temperature", box.right, top + 224, { size: 11, style: colour("muted"), align: "right" });
    line(c, [[x(settings.temperature), box.top], [x(settings.temperature), box.bottom]], colour("ink"), 1.5, [3, 3]);
    for (const name of names) {
      const points = curves.get(name);
      line(c, points.map(p => [x(p.T), y(value(p))]), colours.get(name), 2.5);
      for (const p of points) { c.fillStyle = colours.get(name); c.beginPath(); c.arc(x(p.T), y(value(p)), 3, 0, 7); c.fill(); if (error) line(c, [[x(p.T), y(Math.max(0, value(p) - error(p)))], [x(p.T), y(value(p) + error(p))]], colours.get(name), 1); }
    }
  };
  one(0, 0, "Bias (distance from the exact gradient)", p => p.bias, p => p.error);
  one(side ? panel + 24 : 0, side ? 0 : 230, "Standard deviation of one estimate", p => p.sd);
}
