// Where randomness comes from: an estimator is given its noise, and is a plain function of it.

// Numbers of a seed (sfc32): the page's own.
function seeded(seed) {
  let a = 0x9e3779b9, b = 0x243f6a88, c = 0xb7e15162, d = seed | 0;
  const next = () => {
    const t = (a + b | 0) + d | 0;
    d = d + 1 | 0; a = b ^ b >>> 9; b = c + (c << 3) | 0; c = (c << 21 | c >>> 11) + t | 0;
    return ((t >>> 0) + 0.5) / 4294967296;
  };
  for (let i = 0; i < 15; i++) next();
  const filled = (n, draw) => { const x = new Float64Array(n); for (let i = 0; i < n; i++) x[i] = draw(); return x; };
  return {
    uniform: n => filled(n, next),
    integer: (n, below) => filled(n, () => Math.floor(below * next())),
    exponential: n => filled(n, () => -Math.log(next())),
    normal: n => filled(n, () => Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next())),
  };
}

// Numbers that another program drew, in its order: [["uniform", [...]], ...]. By them the tests compare.
function replayed(record) {
  let at = 0;
  const take = kind => n => {
    const [drawn, numbers] = record[at++] || ["nothing", []];
    if (drawn !== kind || numbers.length !== n) throw Error(`asked for ${n} ${kind}, recorded: ${numbers.length} ${drawn}`);
    return Float64Array.from(numbers);
  };
  return { integer: take("integer"), uniform: take("uniform"), exponential: take("exponential"), normal: take("normal"), left: () => record.length - at };
}

// Gumbel noise, −log(−log U).
function gumbel(noise, n) {
  const x = noise.uniform(n);
  for (let i = 0; i < n; i++) x[i] = -Math.log(-Math.log(Math.max(x[i], 5.551115123125783e-17)));
  return x;
}

// Logistic noise, the difference of two Gumbel variables.
function logistic(noise, n) {
  const x = gumbel(noise, n), y = gumbel(noise, n);
  for (let i = 0; i < n; i++) x[i] -= y[i];
  return x;
}
