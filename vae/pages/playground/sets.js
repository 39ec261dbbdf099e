// Sums over configurations: all of them, the most probable one, or a set drawn without replacement.

ESTIMATORS.enumerate = (problem, noise, options, state) => state.exact ??= exactGradient(problem, null);

// The most probable configuration is summed over, the rest is sampled.
ESTIMATORS.sum_and_sample = ({ law, f, K }, noise) => {
  const { D } = law, logs = range(D).map(law.logProbs), top = logs.map(log => argmax(log));
  let before = 0; // a draw outside follows the top configuration, leaves it at one variable, and is free afterwards
  const place = logs.map((log, d) => {
    const leave = logSumExp(log.filter((_, c) => c !== top[d])) + before;
    before += log[top[d]];
    return leave;
  });
  const C = logs[0].length, race = blocks(gumbel(noise, K * D), K), free = blocks(gumbel(noise, K * D * C), K);
  const zs = [law.fromIndex(top)], rest = Math.exp(logSumExp(place)), weight = Math.exp(law.logProb(zs[0]));
  for (let k = 0; k < K; k++) {
    const leaves = argmax(place.map((v, d) => v + race[k][d]));
    zs.push(law.fromIndex(logs.map((log, d) => d < leaves ? top[d] : argmax(log.map((v, c) =>
      d === leaves && c === top[d] ? -Infinity : v + free[k][d * C + c])))));
  }
  const [known, ...sampled] = zs.map(f.value), total = sum(sampled);
  const baseline = sampled.map(v => K > 1 ? weight * known + rest * (total - v) / (K - 1) : known);
  const gradient = add(zeros(law.P), law.score(zs[0]), weight * (known - average(baseline)));
  sampled.forEach((v, k) => add(gradient, law.score(zs[k + 1]), rest * (v - baseline[k]) / K));
  return gradient;
};

// K different configurations, whose order is forgotten; a baseline is built in.
ESTIMATORS.unordered_set = ({ law, f, K }, noise) => {
  const all = law.support(), logs = all.map(law.logProb), g = gumbel(noise, all.length);
  const order = range(all.length).sort((a, b) => logs[b] + g[b] - logs[a] - g[a]), zs = order.slice(0, K).map(i => all[i]);
  const p = order.map(i => Math.exp(logs[i])), rest = sum(p.slice(K)), values = zs.map(f.value), whole = 2 ** K - 1;
  // W(T): the sum over orders in which the subset T (bits of a number) came after the others
  const mass = range(2 ** K).map(T => rest + sum(range(K).map(s => T >> s & 1 ? p[s] : 0))), W = [1];
  for (let T = 1; T <= whole; T++) W[T] = sum(range(K).map(s => T >> s & 1 ? p[s] * W[T & ~(1 << s)] : 0)) / mass[T];
  const first = range(K).map(s => p[s] * W[whole & ~(1 << s)]), total = sum(first), gradient = zeros(law.P);
  zs.forEach((z, s) => {
    const without = whole & ~(1 << s), later = range(K).map(j => j === s ? 0 : p[j] * W[without & ~(1 << j)]), sumLater = sum(later);
    const baseline = p[s] * values[s] + sum(later.map((v, j) => v / sumLater * mass[without] * values[j]));
    add(gradient, law.score(z), first[s] / total * (values[s] - baseline));
  });
  return gradient;
};
