// The mean of one component as estimates accumulate, with a band of one standard error; n on a log scale.
function drawLines(run, { a }, colours) {
  const { c, width, height } = canvasOf("lines", 260), entries = [...run.tallies].filter(([, t]) => t.way.length);
  const box = { left: 58, right: width - 8, top: 10, bottom: height - 38 };
  const most = Math.max(10, ...entries.map(([, t]) => t.n)), exact = run.exact[a];
  // as wide as what is seen of the latter half of the way needs
  let half = 1e-9;
  for (const [, t] of entries) for (const s of t.way) if (s.n >= Math.sqrt(most)) half = Math.max(half, Math.abs(s.mean[a] - exact) + s.error[a]);
  half *= 1.08;
  const x = n => box.left + Math.log(n) / Math.log(most) * (box.right - box.left), y = v => box.top + (exact + half - v) / (2 * half) * (box.bottom - box.top);
  const powers = range(Math.floor(Math.log10(most)) + 1).map(i => 10 ** i);
  axes(c, box, powers, ticks(exact - half, exact + half, 5), x, y, n => n.toLocaleString("en"));
  text(c, "estimates", box.right, height - 6, { size: 11, style: colour("muted"), align: "right" });
  c.save(); c.beginPath(); c.rect(box.left, box.top, box.right - box.left, box.bottom - box.top); c.clip();
  for (const [name, t] of entries) {
    c.fillStyle = colours.get(name); c.globalAlpha = 0.18; c.beginPath();
    const there = t.way.map(s => [x(s.n), y(s.mean[a] + s.error[a])]), back = t.way.map(s => [x(s.n), y(s.mean[a] - s.error[a])]).reverse();
    [...there, ...back].forEach(([px, py], i) => i ? c.lineTo(px, py) : c.moveTo(px, py));
    c.fill(); c.globalAlpha = 1;
    line(c, t.way.map(s => [x(s.n), y(s.mean[a])]), colours.get(name), 2);
  }
  line(c, [[box.left, y(exact)], [box.right, y(exact)]], colour("ink"), 1.5, [6, 4]);
  c.restore();
  text(c, "exact", box.left + 6, y(exact) - 5, { size: 11 });
}
