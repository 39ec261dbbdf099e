// Small vectors. All are Float64Arrays: samples z of n entries, gradients of P.
const zeros = n => new Float64Array(n);
const range = n => Array.from({ length: n }, (_, i) => i);
const sum = x => { let s = 0; for (const v of x) s += v; return s; };
const dot = (x, y) => { let s = 0; for (let i = 0; i < x.length; i++) s += x[i] * y[i]; return s; };
const add = (into, x, weight = 1) => { for (let i = 0; i < into.length; i++) into[i] += weight * x[i]; return into; };
const blocks = (flat, count) => { const n = flat.length / count; return range(count).map(k => flat.subarray(k * n, k * n + n)); };
const sigmoid = x => x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x));
const log1pExp = x => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const logSumExp = x => { const m = Math.max(...x); return m === -Infinity ? m : m + Math.log(sum(x.map(v => Math.exp(v - m)))); };
const argmax = (x, from = 0, to = x.length) => { let best = from; for (let i = from; i < to; i++) if (x[i] > x[best]) best = i; return best - from; };
const average = x => sum(x) / x.length;
