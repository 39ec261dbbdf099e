// Operations number by number, by the names that ATen gives them.

const UNARY = {
  abs: Math.abs, acos: Math.acos, asin: Math.asin, atan: Math.atan, atanh: Math.atanh,
  ceil: Math.ceil, cos: Math.cos, cosh: Math.cosh, digamma, erf, exp: Math.exp, expm1: Math.expm1,
  floor: Math.floor, lgamma, log: Math.log, log10: Math.log10, log1p: Math.log1p, log2: Math.log2,
  logical_not: (x) => (x === 0 ? 1 : 0), neg: (x) => -x, reciprocal: (x) => 1 / x,
  round: halfToEven,
  rsqrt: (x) => 1 / Math.sqrt(x), sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  sign: Math.sign, sin: Math.sin, sinh: Math.sinh, sqrt: Math.sqrt, tan: Math.tan, tanh: Math.tanh,
  trunc: Math.trunc,
};

const BINARY = {
  add: (a, b) => a + b, atan2: Math.atan2, div: (a, b) => a / b, eq: (a, b) => +(a === b),
  floor_div: (a, b) => Math.floor(a / b), ge: (a, b) => +(a >= b), gt: (a, b) => +(a > b),
  le: (a, b) => +(a <= b), logical_and: (a, b) => +(a !== 0 && b !== 0),
  logical_or: (a, b) => +(a !== 0 || b !== 0), lt: (a, b) => +(a < b), maximum: Math.max,
  minimum: Math.min, mul: (a, b) => a * b, ne: (a, b) => +(a !== b),
  pow: (a, b) => (b === 2 ? a * a : a ** b), remainder: (a, b) => a - b * Math.floor(a / b),
  sub: (a, b) => a - b,
};

function halfToEven(x) {
  const down = Math.floor(x), above = x - down;
  if (above !== 0.5) return Math.round(x);
  return down % 2 === 0 ? down : down + 1;
}

// Numerical Recipes' Chebyshev fit of erfc, to 1.2e-7.
const ERFC = [0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418,
  0.37409196, 1.00002368, -1.26551223];
function erf(x) {
  const t = 1 / (1 + 0.5 * Math.abs(x));
  let series = 0;
  for (const c of ERFC) series = series * t + c;
  const tail = t * Math.exp(-x * x + series);
  return x >= 0 ? 1 - tail : tail - 1;
}

// Stirling's series, after a few steps up; both are right to single precision for x > 0.
function lgamma(x) {
  let shift = 1;
  while (x < 7) shift *= x++;
  const r = 1 / (x * x), series = (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r / 1680))) / x;
  return (x - 0.5) * Math.log(x) - x + 0.9189385332046727 + series - Math.log(shift);
}

function digamma(x) {
  let below = 0;
  while (x < 7) below -= 1 / x++;
  const r = 1 / (x * x);
  return Math.log(x) - 0.5 / x - r * (1 / 12 - r * (1 / 120 - r / 252)) + below;
}


function unary(f) {
  return ({inputs: [a], size}) => {
    const data = new Float32Array(size), from = a.data;
    return {data, run: () => {
      for (let i = 0; i < size; i++) data[i] = f(from[i]);
    }};
  };
}

// The activation of most layers, without a call for each number.
function relu({inputs: [a], size}) {
  const data = new Float32Array(size), from = a.data;
  return {data, run: () => {
    for (let i = 0; i < size; i++) data[i] = from[i] < 0 ? 0 : from[i];
  }};
}

function binary(f) {
  return ({inputs: [a, b], shape, size}) => {
    const data = new Float32Array(size), left = a.data, right = b.data;
    const atLeft = broadcast(a, shape), atRight = broadcast(b, shape);
    return {data, run: () => {
      if (!atLeft && right.length === 1) {
        const one = right[0];
        for (let i = 0; i < size; i++) data[i] = f(left[i], one);
      } else if (!atLeft && !atRight) {
        for (let i = 0; i < size; i++) data[i] = f(left[i], right[i]);
      } else {
        for (let i = 0; i < size; i++) {
          data[i] = f(left[atLeft ? atLeft[i] : i], right[atRight ? atRight[i] : i]);
        }
      }
    }};
  };
}

function where({inputs: [condition, yes, no], shape, size}) {
  const data = new Float32Array(size), places = [condition, yes, no].map((t) => broadcast(t, shape));
  const [at, atYes, atNo] = places;
  return {data, run: () => {
    for (let i = 0; i < size; i++) {
      data[i] = condition.data[at ? at[i] : i]
        ? yes.data[atYes ? atYes[i] : i]
        : no.data[atNo ? atNo[i] : i];
    }
  }};
}
