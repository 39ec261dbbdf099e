// Operations number by number, by the names that ATen gives them.

const UNARY = {
  abs: Math.abs, acos: Math.acos, asin: Math.asin, atan: Math.atan, atanh: Math.atanh,
  ceil: Math.ceil, cos: Math.cos, cosh: Math.cosh, digamma, erf, exp: Math.exp, expm1: Math.expm1,
  floor: Math.floor, isnan: (x) => +Number.isNaN(x), lgamma, log: Math.log, log10: Math.log10, log1p: Math.log1p, log2: Math.log2,
  logical_not: (x) => (x === 0 ? 1 : 0), neg: (x) => -x, reciprocal: (x) => 1 / x,
  round: halfToEven,
  rsqrt: (x) => 1 / Math.sqrt(x), sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  sign: Math.sign, sin: Math.sin, sinh: Math.sinh,
  special_i0e, special_i1e, sqrt: Math.sqrt, tan: Math.tan, tanh: Math.tanh,
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
