// What all pictures share: sharp canvases, the page's colours, axes.
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const font = (size, weight = "") => `${weight} ${size}px system-ui, "DejaVu Sans", sans-serif`;
const shown = (x, digits = 3) => x === 0 ? "0" : Math.abs(x) < 1e-3 || Math.abs(x) >= 1e4 ? x.toExponential(1).replace("-", "−").replace("+", "") : x.toPrecision(digits).replace("-", "−");

// A context in CSS pixels, of the width that the page gives and a height.
function canvasOf(id, height) {
  const canvas = document.getElementById(id), scale = Math.min(devicePixelRatio || 1, 2), width = canvas.clientWidth;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale); canvas.style.height = `${height}px`;
  }
  const c = canvas.getContext("2d");
  c.setTransform(scale, 0, 0, scale, 0, 0);
  c.clearRect(0, 0, width, height);
  return { c, width, height, canvas };
}

function line(c, points, style, width = 1, dash = []) {
  c.strokeStyle = style; c.lineWidth = width; c.setLineDash(dash); c.beginPath();
  points.forEach(([x, y], i) => i ? c.lineTo(x, y) : c.moveTo(x, y));
  c.stroke(); c.setLineDash([]);
}

function text(c, words, x, y, { size = 12, weight = "", style = colour("ink"), align = "left" } = {}) {
  c.font = font(size, weight); c.fillStyle = style; c.textAlign = align; c.fillText(words, x, y);
}

// Round numbers in an interval, about so many.
function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].find(m => m * power >= rough) * power;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(+(i * step).toPrecision(12));
  return found;
}

// A frame with ticks; x and y take numbers to pixels.
function axes(c, box, xs, ys, x, y, nameX = v => shown(v, 2)) {
  const muted = colour("muted"), rule = colour("line");
  for (const v of ys) { line(c, [[box.left, y(v)], [box.right, y(v)]], rule); text(c, String(v).replace("-", "−"), box.left - 5, y(v) + 4, { size: 11, style: muted, align: "right" }); }
  for (const v of xs) {
    line(c, [[x(v), box.top], [x(v), box.bottom]], rule);
    c.font = font(11);
    const room = c.canvas.clientWidth - c.measureText(nameX(v)).width / 2; // the last number stays inside
    text(c, nameX(v), Math.min(x(v), room), box.bottom + 15, { size: 11, style: muted, align: "center" });
  }
}
