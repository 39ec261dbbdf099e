// One small picture for each estimator, all of the same scale: its cloud beside the exact gradient.

// Half the width of all pictures: what the widest cloud takes, by a few estimates of each.
function reach(data, settings, exact) {
  let most = 1e-6;
  for (const name of settings.chosen) {
    const t = pilot(data, settings, name, 300);
    for (const i of [settings.a, settings.b]) if (i >= 0) most = Math.max(most, Math.abs(t.mean[i] - exact[i]) + 2.5 * Math.sqrt(variance(t, i)));
  }
  return most;
}

const HEAD = 36; // of a picture: two lines of text

function drawClouds(data, run, settings, half, colours) {
  const entries = [...run.tallies], names = entries.map(([name]) => name);
  if (!entries.length) return drawNothing();
  if (settings.b < 0) return drawStrips(run, settings, half, colours);
  const width = document.getElementById("clouds").clientWidth, most = Math.max(2, Math.floor(width / 185)), columns = Math.max(2, Math.ceil(names.length / Math.ceil(names.length / most)));
  const gap = 12, size = Math.max(20, Math.min((width - gap * (columns - 1)) / columns, Math.max(160, innerHeight * 0.23))), row = size + HEAD + (names.some(name => saidOf(data, run, settings, name)) ? 44 : 28);
  const { c } = canvasOf("clouds", Math.max(1, Math.ceil(names.length / columns)) * row);
  entries.forEach(([name, t], i) => {
    const left = i % columns * (size + gap), top = Math.floor(i / columns) * row + HEAD;
    cloud(c, run, settings, t, { left, top, size, half, own: colours.get(name), name, claim: claimOf(data.estimators.find(e => e.name === name), settings), said: saidOf(data, run, settings, name) });
  });
}

function cloud(c, run, { a, b }, t, { left, top, size, half, own, name, claim, said }) {
  const middle = size / 2, scale = middle / half, at = g => [left + middle + (g[a] - run.exact[a]) * scale, top + middle - (g[b] - run.exact[b]) * scale];
  c.font = font(13, "600");
  text(c, name, left, top - 21, { size: 13 * Math.min(1, size / c.measureText(name).width), weight: "600", style: own });
  text(c, claim, left, top - 6, { size: 11.5, style: colour("muted") });
  c.fillStyle = colour("panel"); c.fillRect(left, top, size, size);
  c.save(); c.beginPath(); c.rect(left, top, size, size); c.clip();
  line(c, [[left + middle, top], [left + middle, top + size]], colour("muted"), 1);
  line(c, [[left, top + middle], [left + size, top + middle]], colour("muted"), 1);
  // equal estimates are one circle, whose area says how many
  const cells = new Map(), cell = 3;
  let outside = 0;
  for (const g of t.kept) {
    const [x, y] = at(g);
    if (x < left || x > left + size || y < top || y > top + size) { outside++; continue; }
    const key = Math.round((x - left) / cell) * 1000 + Math.round((y - top) / cell), held = cells.get(key);
    if (held) held[2]++; else cells.set(key, [x, y, 1]);
  }
  c.fillStyle = own; c.globalAlpha = 0.55;
  for (const [x, y, count] of cells.values()) { c.beginPath(); c.arc(x, y, Math.max(1.3, size / 9 * Math.sqrt(count / t.kept.length)), 0, 7); c.fill(); }
  c.globalAlpha = 1;
  if (t.n > 2) {
    const e = ellipse(t, a, b), [x, y] = [left + middle + (e.centre[0] - run.exact[a]) * scale, top + middle - (e.centre[1] - run.exact[b]) * scale];
    c.strokeStyle = own; c.lineWidth = 1.5; c.beginPath(); c.ellipse(x, y, e.long * scale, e.short * scale, -e.angle, 0, 7); c.stroke();
  }
  if (t.n) {
    const [x, y] = at(t.mean);
    if (distance(t.mean, run.exact) > 4 * Math.sqrt(totalVariance(t) / t.n)) line(c, [[left + middle, top + middle], [x, y]], colour("bad"), 2.5);
    c.beginPath(); c.arc(x, y, 6, 0, 7); c.fillStyle = colour("paper"); c.fill(); c.strokeStyle = colour("ink"); c.lineWidth = 2.5; c.stroke();
    line(c, [[left + middle - 5, top + middle], [left + middle + 5, top + middle]], colour("bad"), 2);
    line(c, [[left + middle, top + middle - 5], [left + middle, top + middle + 5]], colour("bad"), 2);
  }
  c.restore();
  c.strokeStyle = colour("line"); c.lineWidth = 1; c.strokeRect(left + 0.5, top + 0.5, size - 1, size - 1);
  const beyond = outside && size > 200 ? `, ${(100 * outside / t.kept.length).toPrecision(2)} % outside` : "";
  text(c, t.n > 1 ? `sd ${shown(Math.sqrt(totalVariance(t)), 2)}, bias ${shown(distance(t.mean, run.exact), 2)}${beyond}` : "", left, top + size + 15, { size: 11.5, style: colour("muted") });
  text(c, said, left, top + size + 30, { size: 11.5, style: colour("muted") });
}

// What an estimator has learned so far; nothing of those that do not learn.
function saidOf(data, run, settings, name) {
  const e = data.estimators.find(e => e.name === name), { own } = run.tallies.get(name).state;
  return e.learns && own ? LEARNS[name].said(own, run.problem.law, e.options) : "";
}

function drawNothing() {
  const { c } = canvasOf("clouds", 64);
  text(c, "No estimator is chosen: tick one in the list.", 0, 36, { size: 14, style: colour("muted") });
}

// Of one component: a histogram for each estimator, one below the other.
function drawStrips(run, { a }, half, colours) {
  const entries = [...run.tallies], row = 64, axis = 24, { c, width } = canvasOf("clouds", Math.max(1, entries.length) * row + axis);
  const name = Math.min(200, width * 0.34), x = v => name + (v - run.exact[a] + half) / (2 * half) * (width - name), bottom = entries.length * row;
  const xs = ticks(run.exact[a] - half, run.exact[a] + half, width / 140);
  axes(c, { left: name, right: width, top: 0, bottom }, xs, [], x, null);
  const bins = Math.max(20, Math.floor((width - name) / 5)), step = 2 * half / bins;
  entries.forEach(([key, t], i) => {
    const base = (i + 1) * row - 6, own = colours.get(key), counts = zeros(bins);
    for (const g of t.kept) { const bin = Math.floor((g[a] - run.exact[a] + half) / step); if (bin >= 0 && bin < bins) counts[bin]++; }
    const most = Math.max(...counts, 1);
    c.fillStyle = own; c.globalAlpha = 0.7;
    counts.forEach((n, j) => n && c.fillRect(x(run.exact[a] - half + j * step), base - n / most * (row - 16), (width - name) / bins - 0.5, n / most * (row - 16)));
    c.globalAlpha = 1;
    line(c, [[name, base], [width, base]], colour("line"));
    text(c, key, 0, base - 26, { size: 13, weight: "600", style: own });
    if (t.n > 1) text(c, `sd ${shown(Math.sqrt(variance(t, a)), 2)}, bias ${shown(t.mean[a] - run.exact[a], 2)}`, 0, base - 10, { size: 11, style: colour("muted") });
    if (t.n) { c.beginPath(); c.arc(x(t.mean[a]), base, 5, 0, 7); c.fillStyle = colour("paper"); c.fill(); c.strokeStyle = colour("ink"); c.lineWidth = 2; c.stroke(); }
  });
  line(c, [[x(run.exact[a]), 0], [x(run.exact[a]), bottom]], colour("bad"), 2);
}
