// What q(z|x) says of the chosen image: its KL, its code, and samples of its reconstruction.
const SAMPLES = 8;

class Inference {
  constructor(model, state, data) {
    Object.assign(this, { model, state, data });
    this.draws = uniforms(model.pixels, new Random(11));
    this.random = new Random(13);
    [this.estimating, this.sampling] = [inPieces(), inPieces()];
    this.seen = picture(model.image, "The image as the model sees it");
    byId("seen").append(this.seen);
    this.samples = Array.from({ length: SAMPLES }, (_, n) => picture(model.image, `Reconstruction ${n + 1}, of one sample of q(z|x)`));
    byId("samples").append(...this.samples);
    byId("binarised").textContent = data.binary ? this.words() : "Pixels are taken as they are: the model was not trained on binary ones.";
    byId("again").addEventListener("click", () => {
      this.draws = uniforms(model.pixels, this.random);
      state.set({ image: state.get("image") }, "again");
    });
    state.on("image", () => this.infer());
    state.on("posterior", () => this.show());
    document.addEventListener("theme", () => this.chart());
    new ResizeObserver(() => this.chart()).observe(byId("kl"));
    this.show();
  }

  words() {
    const trained = this.data.binarization ? `with ${this.data.binarization} binarisation` : "on binary pixels";
    return `The model was trained ${trained}: it sees zeros and ones. Each pixel of a drawing is drawn once, with its grey level as probability; ${this.data.images?.words ?? "images"} are drawn already.`;
  }

  /** The pixels that the encoder reads. */
  visible(image) { return this.data.binary && !image.ready ? binarised(image.pixels, this.draws) : image.pixels; }

  infer() {
    const image = this.state.get("image");
    if (!image) { this.state.set({ posterior: null, moments: null, kl: null }); return; }
    const x = this.visible(image), posterior = this.model.encode(x);
    paint(this.seen, x, this.model.image);
    byId("again").textContent = this.data.binary && !image.ready ? "Draw its pixels again" : "Draw samples again";
    const moments = this.model.space.discrete ? null : posterior.moments();
    this.state.set({ z: Float64Array.from(posterior.center()) }, "image");
    this.state.set({ posterior, moments, kl: posterior.kl() });
  }

  show() {
    const { posterior, kl, image } = this.state.values;
    for (const element of document.querySelectorAll(".of-image")) element.hidden = !posterior;
    byId("no-image").hidden = Boolean(posterior);
    if (!posterior) return;
    byId("image-name").textContent = image.name;
    const random = new Random(17 + this.random.state);
    forEachLater(this.sampling, this.samples, (canvas) => paint(canvas, this.model.decode(posterior.sample(random)), this.model.image));
    this.rate(posterior, kl);
    this.chart();
  }

  /** The KL in closed form, or estimated from samples that come frame by frame, or why there is neither. */
  rate(posterior, kl) {
    const said = byId("kl-sum"), { ratio, space } = this.model, { whyNoKL } = this.data.posterior;
    byId("kl-why").textContent = kl === null && ratio ? `${whyNoKL}.` : "";
    said.setAttribute("aria-busy", String(kl === null && ratio !== null));
    if (kl !== null) {
      const sum = kl.reduce((total, v) => total + v, 0);
      const words = kl.length > 1 ? ` (sum over ${kl.length} variables)` : space.variables > 1 ? " (of all variables together)" : "";
      said.textContent = `KL(q(z|x) || p(z)) = ${fixed(sum)} nats${words}`;
      this.estimating(() => false);
    } else if (ratio === null) {
      said.textContent = `Not shown: ${whyNoKL}.`;
    } else {
      const estimate = new Estimate(posterior);
      this.estimating(() => {
        estimate.more();
        const found = Number.isFinite(estimate.error)
          ? `${fixed(estimate.mean)} \u00b1 ${fixed(estimate.error)} nats`
          : "no number: densities are beyond what float32 holds";
        said.textContent = `KL(q(z|x) || p(z)) \u2248 ${found} (Monte Carlo: mean \u00b1 standard error of n = ${estimate.n.toLocaleString("en")} samples)`;
        if (estimate.done) said.setAttribute("aria-busy", "false");
        return !estimate.done;
      });
    }
  }

  /** Bars of the KL of each variable, from the highest to the lowest. */
  chart() {
    const canvas = byId("kl"), kl = this.state.get("kl");
    canvas.parentElement.hidden = !kl || kl.length < 2;
    if (canvas.parentElement.hidden) return;
    const { space } = this.model, order = largest(kl, kl.length), most = Math.max(...kl.filter(Number.isFinite), 1e-9);
    const name = (i) => space.name(i * space.width).split(",₁")[0];
    canvas.setAttribute("aria-label", `KL of each variable in nats, highest first: ${order.slice(0, 5).map((i) => `${name(i)} ${fixed(kl[i])}`).join(", ")}`);
    const box = canvas.getBoundingClientRect(), dense = window.devicePixelRatio || 1;
    canvas.width = box.width * dense;
    canvas.height = box.height * dense;
    const context = canvas.getContext("2d"), [left, bottom, top] = [34, 20, 8];
    context.scale(dense, dense);
    context.font = "12px system-ui, sans-serif";
    const width = Math.min(64, (box.width - left) / kl.length), height = box.height - bottom - top;
    context.fillStyle = colour("muted");
    context.textAlign = "right";
    context.fillText(most < 0.095 ? most.toPrecision(1) : fixed(most, 1), left - 4, top + 9);
    context.fillText("0", left - 4, top + height);
    context.textAlign = "center";
    order.forEach((i, place) => {
      const tall = clamp(kl[i] / most, 0, 1) * height, x = left + place * width;
      context.fillStyle = colour("c0");
      context.fillRect(x + 0.1 * width, top + height - tall, Math.max(1, 0.8 * width), Math.max(tall, 1));
      context.fillStyle = colour("muted");
      if (place % Math.ceil(30 / width) === 0) context.fillText(name(i), x + width / 2, box.height - 6);
    });
  }
}
