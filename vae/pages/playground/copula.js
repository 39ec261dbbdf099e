// Antithetic sets of K samples: bits that are coupled by a Dirichlet copula (ARMS), and sticks of them (CARMS).

// K bits for each logit, and the weights p (1 - p) / P(1, 0) of their scores.
function dirichletCopula(logits, noise, K) {
  const n = logits.length, e = noise.exponential(K * n), m = K - 1, bits = range(K).map(() => zeros(n)), weight = zeros(n);
  for (let i = 0; i < n; i++) {
    const own = range(K).map(k => e[k * n + i]), total = sum(own), pi = sigmoid(-Math.abs(logits[i]));
    const together = Math.max(2 * pi ** (1 / m) - 1, 0) ** m;
    weight[i] = (1 - pi) / (1 - together / pi);
    own.forEach((v, k) => { const rare = ((total - v) / total) ** m < pi; bits[k][i] = rare === logits[i] < 0 ? 1 : 0; });
  }
  return { bits, weight };
}

ESTIMATORS.arms = ({ law, f, K }, noise) => {
  const { bits, weight } = dirichletCopula(law.logits, noise, K), values = bits.map(f.value), mean = average(values);
  const gradient = zeros(law.P);
  bits.forEach((z, k) => add(gradient, law.score(z).map((s, i) => s * weight[i]), (values[k] - mean) / (K - 1)));
  return gradient;
};

// Categories as questions, the rarest first: "is it this one?"
function sticks(law) {
  const questions = range(law.D).map(d => {
    const log = law.logProbs(d), order = range(law.C).sort((a, b) => log[a] - log[b]);
    const logits = order.slice(0, -1).map((c, i) => Math.min(log[c] - logSumExp(order.slice(i + 1).map(j => log[j])), 0));
    return { order, logits };
  });
  return { questions, logits: Float64Array.from(questions.flatMap(q => q.logits)) };
}

// Which question is answered with yes first: of all variables, from their bits.
function firstYes(law, bits) {
  const N = law.C - 1;
  return range(law.D).map(d => { const yes = Array.from(bits.subarray(d * N, d * N + N)).indexOf(1); return yes < 0 ? N : yes; });
}

// pi_z pi_z' / P(z, z') of a pair of variable d that parts at a question; apart is p (1 - p) / P(1, 0).
function pairWeight({ logits }, apart, first) {
  const at = Math.min(first, logits.length - 1);
  let weight = apart[at];
  for (let n = 0; n < at; n++) { const p = sigmoid(logits[n]); weight *= (1 - p) / (1 - p / apart[n]); }
  return weight;
}

ESTIMATORS.carms = ({ law, f, K }, noise) => {
  const { questions, logits } = sticks(law), { bits, weight } = dirichletCopula(logits, noise, K), N = law.C - 1;
  const place = bits.map(b => firstYes(law, b)), zs = place.map(at => law.fromIndex(at.map((n, d) => questions[d].order[n])));
  const values = zs.map(f.value), gradient = zeros(law.P);
  zs.forEach((z, k) => range(law.D).forEach(d => {
    let s = 0;
    zs.forEach((_, j) => {
      const first = Math.min(place[k][d], place[j][d]);
      s += (values[k] - values[j]) * pairWeight(questions[d], weight.subarray(d * N, d * N + N), first);
    });
    gradient[d * law.C + questions[d].order[place[k][d]]] += s / (K * (K - 1));
  }));
  return law.toTheta(gradient);
};

// antithetic pairs of sticks, weighed by how likely such a pair is
ESTIMATORS.disarm_iw = (problem, noise) => {
  const { law, K } = problem, { questions, logits } = sticks(law);
  return ofPairs(problem, antitheticBits(logits, noise, K).map(({ bits, others: o }) => {
    const at = [firstYes(law, bits), firstYes(law, o)], direction = zeros(law.P);
    const [z, other] = at.map(p => law.fromIndex(p.map((n, d) => questions[d].order[n])));
    questions.forEach((q, d) => {
      const weight = pairWeight(q, q.logits.map(l => sigmoid(-l)), Math.min(at[0][d], at[1][d])) / 2;
      for (let i = d * law.C; i < d * law.C + law.C; i++) direction[i] = weight * (z[i] - other[i]);
    });
    return { z, other, direction: law.toTheta(direction) };
  }));
};
