// Ways from one code to another, as vae/pictures/codes.py goes them; t is between 0 and 1.
const straight = (a, b, t) => mapped(a, (v, i) => (1 - t) * v + t * b[i]);

const dot = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);

/** An arc around the prior's mean, of what is left of codes once the prior is made standard. */
function spherical(a, b, t, { middle, scale }) {
  const at = middle ?? new Float64Array(a.length), size = scale ?? new Float64Array(a.length).fill(1);
  const [start, end] = [a, b].map((code) => mapped(code, (v, i) => (v - at[i]) / size[i]));
  const lengths = Math.sqrt(dot(start, start) * dot(end, end)), cosine = dot(start, end) / Math.max(lengths, 1e-12);
  if (lengths === 0 || Math.abs(cosine) > 0.9999) return straight(a, b, t); // in one line: there is no one arc
  const angle = Math.acos(cosine), [near, far] = [Math.sin((1 - t) * angle), Math.sin(t * angle)];
  return mapped(start, (v, i) => at[i] + (size[i] * (near * v + far * end[i])) / Math.sin(angle));
}

/** The shorter arc: of angles, and of unit vectors. */
const turned = (a, b, t) => mapped(a, (v, i) => {
  const whole = 2 * Math.PI, modulo = (x) => x - whole * Math.floor(x / whole);
  return modulo(v + t * (modulo(b[i] - v + Math.PI) - Math.PI) + Math.PI) - Math.PI;
});

function greatCircle(a, b, t, { width }) {
  return joined(rows(a, width).map((start, n) => {
    const end = b.subarray(n * width, (n + 1) * width);
    const apart = Math.hypot(...start.map((v, i) => v - end[i])), together = Math.hypot(...start.map((v, i) => v + end[i]));
    const angle = 2 * Math.atan2(apart, together), [near, far] = [Math.sin((1 - t) * angle), Math.sin(t * angle)];
    const z = Math.abs(Math.sin(angle)) < 1e-4
      ? mapped(start, (v, i) => (1 - t) * v + t * end[i] + 1e-6)
      : mapped(start, (v, i) => near * v + far * end[i]);
    const length = Math.sqrt(dot(z, z));
    return z.map((v) => v / length);
  }));
}

/** To the nearest even number where two are as near, as torch rounds. */
function rounded(x) {
  const down = Math.floor(x), part = x - down;
  if (part === 0.5) return down % 2 === 0 ? down : down + 1;
  return part < 0.5 ? down : down + 1;
}

/** Variables change one after the other; those of each stochastic layer at once. */
function oneByOne(a, b, t, { width, layers }) {
  const next = Float64Array.from(a);
  let first = 0;
  for (const size of layers) {
    const variables = Array.from({ length: size }, (_, n) => first + n);
    const differ = variables.filter((v) => a.subarray(v * width, (v + 1) * width).some((x, i) => x !== b[v * width + i]));
    for (const v of differ.slice(0, rounded(Math.fround(t) * differ.length))) {
      next.set(b.subarray(v * width, (v + 1) * width), v * width);
    }
    first += size;
  }
  return next;
}

/** Items of a subset leave one after the other, and others take their places. */
function swaps(a, b, t) {
  const places = [...a.keys()], go = places.filter((i) => a[i] === 1 && b[i] === 0), come = places.filter((i) => b[i] === 1 && a[i] === 0);
  const done = rounded(Math.fround(t) * go.length);
  return changed(changed(a, go.slice(0, done), new Float64Array(done)), come.slice(0, done), new Float64Array(done).fill(1));
}

const WAYS = {
  spherical,
  linear: straight,
  arc: (a, b, t, about) => (about.width > 1 ? greatCircle(a, b, t, about) : turned(a, b, t)),
  steps: oneByOne,
  swaps,
  rounded: (a, b, t) => straight(a, b, t).map(rounded),
  mix: straight,
};
