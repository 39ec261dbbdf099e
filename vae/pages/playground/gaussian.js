// A diagonal Gaussian, by location and log-scale: n = D, P = 2 D.
function gaussian(theta) {
  const D = theta.length / 2, loc = theta.slice(0, D), scale = theta.slice(D).map(Math.exp);
  const both = (inLoc, inLogScale) => Float64Array.from(theta, (_, i) => i < D ? inLoc(i) : inLogScale(i - D));
  const at = noise => loc.map((m, i) => m + scale[i] * noise[i]);
  const standard = z => loc.map((m, i) => (z[i] - m) / scale[i]);
  return {
    family: "gaussian", n: D, P: 2 * D, D, C: 0, loc, scale, at,
    draw: (noise, K) => blocks(noise.normal(K * D), K).map(at),
    logProb: z => { const e = standard(z); return -dot(e, e) / 2 - sum(theta.subarray(D)) - D * Math.log(2 * Math.PI) / 2; },
    score: z => { const e = standard(z); return both(i => e[i] / scale[i], i => e[i] * e[i] - 1); },
    slope: z => standard(z).map((e, i) => -e / scale[i]),
    mean: () => loc,
    pullMean: g => both(i => g[i], () => 0),
    // of z = loc + scale noise, at fixed noise
    pullPath: (z, g) => both(i => g[i], i => g[i] * (z[i] - loc[i])),
  };
}
