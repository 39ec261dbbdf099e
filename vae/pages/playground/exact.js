// The exact gradient: a sum over the support or, of a Gaussian, over the nodes of a trapezoidal rule.
// Of K samples the sum is over multisets of places: R does not care about the order.
function exactGradient({ law, f, bound, K }, quadrature) {
  const samples = bound.average ? 1 : K, places = nodes(law, samples, quadrature);
  const values = places.map(s => f.value(s.z)), { score, path } = aboutPlaces(places, values, bound, samples);
  const gradient = zeros(law.P);
  places.forEach((s, i) => {
    const own = law.pullPath ? law.pullPath(s.z, f.slope(s.z)) : null;
    add(gradient, f.direct(s.z), path[i]);
    if (own) add(gradient, own, path[i]); else add(gradient, law.score(s.z), score[i]);
  });
  return gradient;
}

// How it was got, in words.
function wayOfExact({ law, bound, K }, quadrature) {
  const samples = bound.average ? 1 : K, count = law.support ? law.C ** law.D : quadrature[law.D - 1][samples - 1].nodes.length;
  if (!law.support) return `by a trapezoidal rule of ${count} nodes${samples * law.D === 1 ? "" : ` in each of ${samples * law.D} Gaussian numbers`}`;
  return samples === 1 ? `the sum over all ${count} values of z` : `the sum over all ${count}${superscript(samples)} = ${(count ** samples).toLocaleString("en")} draws of ${samples} values of z`;
}
const superscript = n => [...String(n)].map(d => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]).join("");

function nodes(law, samples, quadrature) {
  if (law.support) return law.support().map(z => ({ z, p: Math.exp(law.logProb(z)) }));
  const { nodes: x, weights: w } = quadrature[law.D - 1][samples - 1];
  return range(x.length ** law.D).map(s => {
    const index = range(law.D).map(d => Math.floor(s / x.length ** d) % x.length);
    return { z: law.at(index.map(i => x[i])), p: index.reduce((p, i) => p * w[i], 1) };
  }).filter(s => s.p > 1e-15);
}

// For each place: the expectation of R times how often it is among the K, and of its weight dR / df.
function aboutPlaces(places, values, bound, K) {
  const score = zeros(places.length), path = zeros(places.length), chosen = [];
  if (K === 1) { // R is f itself
    places.forEach((s, i) => { score[i] = s.p * values[i]; path[i] = s.p; });
    return { score, path };
  }
  const visit = (from, p, equal) => { // p: of the ordered tuples together
    if (chosen.length === K) {
      let most = -Infinity, total = 0;
      for (const i of chosen) most = Math.max(most, values[i]);
      for (const i of chosen) total += Math.exp(values[i] - most);
      const R = Math.log(total / K) + most;
      for (const i of chosen) { score[i] += p * R; path[i] += p * Math.exp(values[i] - most) / total; }
      return;
    }
    for (let i = from; i < places.length; i++) {
      const same = i === from ? equal + 1 : 1; // the orders are K! over the factorials of how often
      chosen.push(i);
      visit(i, p * places[i].p * chosen.length / same, same);
      chosen.pop();
    }
  };
  visit(0, 1, 0);
  return { score, path };
}
