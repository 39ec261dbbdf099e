// KL(q(z|x) || p(z)) where it has no closed form: the mean of log q(z|x) - log p(z) over samples.
const MOST = 1000; // samples in all
const AT_ONCE = 8; // of a prior of many components, each takes much room

class Estimate {
  constructor(posterior) {
    Object.assign(this, { posterior, random: new Random(29), n: 0, mean: 0, squares: 0 });
  }

  get done() { return this.n >= MOST; }

  /** Some more samples: mean and squared deviations are brought up to date one by one (Welford). */
  more() {
    const { model, first } = this.posterior;
    const drawn = Array.from({ length: AT_ONCE }, () => this.posterior.draw(this.random).drawn), given = { drawn: Float32Array.from(joined(drawn)) };
    for (const { name } of model.ratio.inputs) {
      if (name !== "drawn") given[name] = Float32Array.from(joined(drawn.map(() => first[name])));
    }
    for (const value of model.ratio.run(given).log_ratio) {
      this.n += 1;
      const off = value - this.mean;
      this.mean += off / this.n;
      this.squares += off * (value - this.mean);
    }
  }

  /** The standard error of the mean. */
  get error() { return Math.sqrt(this.squares / (this.n - 1) / this.n); }
}
