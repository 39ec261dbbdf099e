// Functions that Math has not.
const sigmoid = (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));

function logSumExp(values) {
  let most = -Infinity, sum = 0;
  for (const v of values) most = Math.max(most, v);
  if (most === -Infinity) return most;
  for (const v of values) sum += Math.exp(v - most);
  return most + Math.log(sum);
}

/** The probabilities that logits stand for. */
function softmax(logits) {
  const total = logSumExp(logits);
  return Float64Array.from(logits, (l) => Math.exp(l - total));
}

function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i += 1) if (values[i] > values[best]) best = i;
  return best;
}

/** The positions of the k largest. */
const largest = (values, k) => [...values.keys()].sort((a, b) => values[b] - values[a]).slice(0, k);

/** Numbers by rows of a width, and rows side by side again. */
const rows = (values, width) => Array.from({ length: values.length / width }, (_, i) => values.subarray(i * width, (i + 1) * width));
const joined = (parts) => Float64Array.from(parts.flatMap((part) => [...part]));
const mapped = (values, f) => Float64Array.from(values, (v, i) => f(v, i));

/** Zeros, and ones at some places. */
const ones = (size, places) => { const z = new Float64Array(size); for (const i of places) z[i] = 1; return z; };
