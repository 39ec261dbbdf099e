// Relaxed models: the same noise made soft by a temperature, and hard.
const PAIRS = 6;

class Relaxed {
  constructor(model, state, data) {
    Object.assign(this, { model, state, data });
    byId("relaxed-words").textContent = data.relaxation.words;
    this.slider = byId("temperature");
    this.slider.value = clamp(Math.log10(data.relaxation.temperature), this.slider.min, this.slider.max);
    [this.soft, this.hard] = ["soft", "hard"].map((id) => {
      const kind = Array.from({ length: PAIRS }, (_, n) => picture(model.image, `${id} sample ${n + 1}, decoded`));
      byId(id).append(...kind);
      return kind;
    });
    this.seed = 19;
    this.later = inPieces();
    byId("noise").addEventListener("click", () => { this.seed += 1; this.show(); });
    this.slider.addEventListener("input", () => this.show());
    state.on("posterior", () => this.show());
    this.show();
  }

  /** The logits of q(z|x), or of p(z) while there is no image. */
  logits() {
    const { posterior } = this.state.values;
    byId("relaxed-of").textContent = posterior ? "Samples of q(z|x) of the image above" : "Samples of the prior";
    return Float64Array.from(posterior ? posterior.first.logits : this.data.priorLogits);
  }

  show() {
    const { model } = this, { width } = model.space, logits = this.logits(), random = new Random(this.seed);
    const temperature = 10 ** Number(this.slider.value), pairs = [];
    let share = 0;
    for (let n = 0; n < PAIRS; n += 1) {
      const noisy = mapped(logits, (l) => l + (width > 1 ? random.gumbel() : random.logistic()));
      const soft = width > 1
        ? joined(rows(noisy, width).map((row) => softmax(mapped(row, (l) => l / temperature))))
        : mapped(noisy, (l) => sigmoid(l / temperature));
      const hard = width > 1
        ? joined(rows(noisy, width).map((row) => ones(width, [argmax(row)])))
        : mapped(noisy, (l) => (l > 0 ? 1 : 0));
      pairs.push([this.soft[n], soft], [this.hard[n], hard]);
      const most = width > 1 ? rows(soft, width).map((row) => Math.max(...row)) : [...soft].map((v) => Math.max(v, 1 - v));
      share += most.reduce((sum, v) => sum + v, 0) / most.length / PAIRS;
    }
    forEachLater(this.later, pairs, ([canvas, z]) => paint(canvas, model.decode(z), model.image));
    byId("temperature-value").textContent = fixed(temperature);
    this.slider.setAttribute("aria-valuetext", fixed(temperature));
    byId("share").textContent = `Largest share of a soft variable, on average: ${fixed(share)} (of a hard one: 1).`;
  }
}
