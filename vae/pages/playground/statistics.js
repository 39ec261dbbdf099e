// What has been seen of one estimator: moments of all its estimates, the latest of them, the way of the mean.
const KEPT = 2000;

function tally(P, learns = false) {
  return { n: 0, learns, mean: zeros(P), squares: zeros(P), kept: [], way: [], next: 1, state: {} };
}

// Welford's update.
function take(t, gradient) {
  t.n++;
  for (let i = 0; i < gradient.length; i++) {
    const d = gradient[i] - t.mean[i];
    t.mean[i] += d / t.n;
    t.squares[i] += d * (gradient[i] - t.mean[i]);
  }
  if (t.kept.length < KEPT) t.kept.push(gradient); else t.kept[t.n % KEPT] = gradient;
  if (t.n >= t.next) {
    t.way.push({ n: t.n, mean: t.mean.slice(), error: range(gradient.length).map(i => standardError(t, i)) });
    t.next = Math.max(t.n + 1, Math.ceil(t.n * 1.04));
  }
}

const overall = (t, i) => t.n > 1 ? t.squares[i] / (t.n - 1) : 0;
const standardError = (t, i) => Math.sqrt(overall(t, i) / Math.max(t.n, 1));

// Of one estimate; of an estimator that learns it changes, and is that of the latest ones.
function variance(t, i) {
  if (!t.learns || t.n <= KEPT) return overall(t, i);
  if (t.seen?.n !== t.n) t.seen = { n: t.n, of: [] };
  return t.seen.of[i] ??= (() => {
    const mean = average(t.kept.map(g => g[i]));
    return sum(t.kept.map(g => (g[i] - mean) ** 2)) / (t.kept.length - 1);
  })();
}
const totalVariance = t => sum(range(t.mean.length).map(i => variance(t, i)));
const distance = (x, y) => Math.sqrt(sum(range(x.length).map(i => (x[i] - y[i]) ** 2)));

// The axes of the ellipse of one standard deviation, in two components: what the latest estimates say.
function ellipse(t, a, b) {
  const n = t.kept.length, ma = average(t.kept.map(g => g[a])), mb = average(t.kept.map(g => g[b]));
  let aa = 0, ab = 0, bb = 0;
  for (const g of t.kept) { aa += (g[a] - ma) ** 2; ab += (g[a] - ma) * (g[b] - mb); bb += (g[b] - mb) ** 2; }
  const half = (aa + bb) / 2, root = Math.sqrt(((aa - bb) / 2) ** 2 + ab * ab);
  return {
    centre: [ma, mb], angle: Math.atan2(2 * ab, aa - bb) / 2,
    long: Math.sqrt((half + root) / n), short: Math.sqrt(Math.max(half - root, 0) / n),
  };
}
