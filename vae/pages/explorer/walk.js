// A walk through latent space that the model takes by itself.
class Walk {
  constructor(model, state, data) {
    Object.assign(this, { model, state, data });
    this.random = new Random(23);
    this.timer = 0;
    byId("walk-title").textContent = data.drawsPixels ? "Approximate Gibbs walk" : "Walk";
    byId("walk-words").textContent = data.drawsPixels
      ? "Each step draws x from p(x|z), then z from q(z|x). If q(z|x) were p(z|x), this would be Gibbs sampling of p(x, z)."
      : "Each step takes the mean of p(x|z) for x, then draws z from q(z|x): approximate.";
    this.play = byId("play");
    this.play.addEventListener("click", () => (this.timer ? this.stop() : this.start()));
    byId("step").addEventListener("click", () => { this.stop(); this.step(); });
    state.on("z", (_, source) => { if (source !== "walk") this.stop(); });
  }

  start() {
    this.timer = setInterval(() => this.step(), reducedMotion.matches ? 1500 : 350);
    this.name("Stop");
  }

  stop() {
    if (!this.timer) return;
    clearInterval(this.timer);
    this.timer = 0;
    this.name("Play");
  }

  name(text) {
    this.play.textContent = text;
    this.play.setAttribute("aria-pressed", String(text === "Stop"));
  }

  step() {
    const mean = this.model.decode(this.state.get("z"));
    const x = this.data.drawsPixels ? binarised(mean, uniforms(mean.length, this.random)) : mean;
    this.state.set({ z: this.model.encode(x).sample(this.random) }, "walk");
  }
}
