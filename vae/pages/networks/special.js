// Special functions, to single precision.

// a[0] + a[1] x + a[2] x^2 + ...
function polynomial(x, coefficients) {
  let sum = 0;
  for (let i = coefficients.length - 1; i >= 0; i--) sum = sum * x + coefficients[i];
  return sum;
}

// Numerical Recipes' Chebyshev fit of erfc, to 1.2e-7.
const ERFC = [-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398,
  1.48851587, -0.82215223, 0.17087277];
function erf(x) {
  const t = 1 / (1 + 0.5 * Math.abs(x));
  const tail = t * Math.exp(-x * x + polynomial(t, ERFC));
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

// Modified Bessel functions times exp(-|x|): Abramowitz & Stegun, 9.8.1 to 9.8.4, to 2e-7.
const I0_SMALL = [1, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813];
const I0_LARGE = [0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281, -0.02057706, 0.02635537,
  -0.01647633, 0.00392377];
const I1_SMALL = [0.5, 0.87890594, 0.51498869, 0.15084934, 0.02658733, 0.00301532, 0.00032411];
const I1_LARGE = [0.39894228, -0.03988024, -0.00362018, 0.00163801, -0.01031555, 0.02282967, -0.02895312,
  0.01787654, -0.00420059];

function special_i0e(x) {
  const size = Math.abs(x), ratio = size / 3.75;
  return ratio < 1
    ? Math.exp(-size) * polynomial(ratio * ratio, I0_SMALL)
    : polynomial(1 / ratio, I0_LARGE) / Math.sqrt(size);
}

function special_i1e(x) {
  const size = Math.abs(x), ratio = size / 3.75;
  return ratio < 1
    ? Math.exp(-size) * x * polynomial(ratio * ratio, I1_SMALL)
    : Math.sign(x) * polynomial(1 / ratio, I1_LARGE) / Math.sqrt(size);
}
