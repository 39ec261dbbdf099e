// Numbers at random, from a seed: a page that is opened again draws the same.
class Random {
  constructor(seed = 1) { this.state = seed >>> 0; this.spare = null; }

  /** Uniform on (0, 1): Mulberry32. */
  uniform() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  }

  integer(below) { return Math.floor(this.uniform() * below); }

  exponential() { return -Math.log(this.uniform()); }

  gumbel() { return -Math.log(this.exponential()); }

  logistic() { const u = this.uniform(); return Math.log(u) - Math.log1p(-u); }

  /** Standard normal: Marsaglia's polar method, two at a time. */
  normal() {
    if (this.spare !== null) { const kept = this.spare; this.spare = null; return kept; }
    let a, b, s;
    do { a = 2 * this.uniform() - 1; b = 2 * this.uniform() - 1; s = a * a + b * b; } while (s >= 1 || s === 0);
    const scale = Math.sqrt((-2 * Math.log(s)) / s);
    this.spare = b * scale;
    return a * scale;
  }

  laplace() { const e = this.exponential(); return this.uniform() < 0.5 ? e : -e; }

  /** Of shape a and rate 1: Marsaglia and Tsang (2000). */
  gamma(a) {
    if (a < 1) return Math.exp(this.logGamma(a));
    const d = a - 1 / 3, c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = this.normal(), v = (1 + c * x) ** 3;
      if (v > 0 && Math.log(this.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
    }
  }

  /** The logarithm of one: of small shapes most are too small for a number. */
  logGamma(a) { return a < 1 ? this.logGamma(a + 1) + Math.log(this.uniform()) / a : Math.log(this.gamma(a)); }

  poisson(rate) {
    let count = 0;
    for (let time = this.exponential(); time < rate; time += this.exponential()) count += 1;
    return count;
  }

  /** An angle around 0: Best and Fisher (1979). */
  vonMises(concentration) {
    if (concentration < 1e-4) return Math.PI * (2 * this.uniform() - 1);
    const tau = 1 + Math.sqrt(1 + 4 * concentration ** 2);
    const rho = (tau - Math.sqrt(2 * tau)) / (2 * concentration), r = (1 + rho * rho) / (2 * rho);
    for (;;) {
      const z = Math.cos(Math.PI * this.uniform()), f = (1 + r * z) / (r + z), c = concentration * (r - f);
      const u = this.uniform();
      if (c * (2 - c) > u || Math.log(c / u) + 1 >= c) return this.uniform() < 0.5 ? Math.acos(f) : -Math.acos(f);
    }
  }
}
