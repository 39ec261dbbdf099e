// Pairs of samples that tend to differ: the difference of f between the ends multiplies a direction.

// pairs: [{ z, other, direction }]. In h_k the other first ends are fixed, or the other second ends.
function ofPairs(problem, pairs) {
  const { law, f, bound } = problem, zs = pairs.map(p => p.z), ends = pairs.map(p => p.other);
  const fz = zs.map(f.value), ft = ends.map(f.value), first = signal(bound, fz, ft), second = signal(bound, ft, fz);
  const gradient = zeros(law.P);
  pairs.forEach(({ direction }, k) => add(gradient, direction, (first[k] - second[k]) / 2));
  add(gradient, directGradient(problem, zs, fz), 0.5);
  return add(gradient, directGradient(problem, ends, ft), 0.5);
}

// K pairs of bits by logits: noise and its opposite.
function antitheticBits(logits, noise, K) {
  return blocks(logistic(noise, K * logits.length), K).map(s => ({
    noise: s,
    bits: Float64Array.from(logits, (l, i) => l + s[i] > 0 ? 1 : 0),
    others: Float64Array.from(logits, (l, i) => l - s[i] > 0 ? 1 : 0),
  }));
}

ESTIMATORS.arm = (problem, noise) => ofPairs(problem, antitheticBits(problem.law.logits, noise, problem.K).map(
  ({ noise: s, bits, others: o }) => ({ z: bits, other: o, direction: s.map(v => 0.5 - sigmoid(-v)) })));

// the mean of ARM's direction given the pair: zero where the two agree
const disarmPairs = (law, noise, K) => antitheticBits(law.logits, noise, K).map(
  ({ bits, others: o }) => ({ z: bits, other: o, direction: bits.map((b, i) => (b - o[i]) * sigmoid(Math.abs(law.logits[i])) / 2) }));
ESTIMATORS.disarm = (problem, noise) => ofPairs(problem, disarmPairs(problem.law, noise, problem.K));
