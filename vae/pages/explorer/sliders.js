// A slider for each entry of a continuous code, the most used ones first.
const FIRST = 12; // shown before one asks for more

class Sliders {
  constructor(model, state, score) {
    Object.assign(this, { model, state });
    this.rows = new Map();
    this.list = byId("sliders");
    const order = state.get("order"), most = Math.max(...score.values, 1e-9);
    order.forEach((index, place) => this.list.append(this.row(index, place, score, most)));
    this.list.style.setProperty("--names", `${0.6 * Math.max(...order.map((index) => model.space.name(index).length)) + 0.8}rem`);
    const more = byId("more");
    more.hidden = order.length <= FIRST;
    more.textContent = `Show all ${order.length}`;
    more.addEventListener("click", () => {
      const open = more.getAttribute("aria-expanded") !== "true";
      more.setAttribute("aria-expanded", open);
      more.textContent = open ? `Show the first ${FIRST}` : `Show all ${order.length}`;
      this.list.classList.toggle("all", open);
      this.update();
    });
    byId("score-of").textContent = `Sorted by: ${score.of}.`;
    state.on("z", () => this.update());
    state.on("posterior", () => this.bands());
    this.update();
  }

  row(index, place, score, most) {
    const { space } = this.model, variable = Math.floor(index / space.width);
    const name = space.name(index), [low, high] = [space.low[index], space.high[index]];
    const input = make("input", {
      type: "range", min: low, max: high, step: space.rules.step ?? "any", "aria-label": name,
      input: () => this.state.set({ z: this.model.moved(this.state.get("z"), [index], [Number(input.value)]) }, "slider"),
      keydown: (event) => this.key(event, index),
    });
    const value = make("output", { class: "value" }), band = make("span", { class: "band", hidden: true });
    const bar = make("span", { class: "amount", style: `--part: ${Math.max(0, score.values[variable]) / most}` });
    const words = make("span", { class: "score", title: score.of }, fixed(score.values[variable]), bar);
    this.rows.set(index, { input, value, band });
    const track = make("span", { class: "track" }, make("span", { class: "bands" }, band), input);
    return make("div", { class: place < FIRST ? "slider" : "slider later" }, make("span", { class: "name" }, name), track, value, words);
  }

  /** The arrow keys move by a two-hundredth of the range; a browser's own step for `any` is larger. */
  key(event, index) {
    const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    if (!way) return;
    event.preventDefault();
    const { space } = this.model, z = this.state.get("z");
    const value = clamp(z[index] + way * space.step(index), space.low[index], space.high[index]);
    this.state.set({ z: this.model.moved(z, [index], [value]) }, "slider");
  }

  /** Those in sight. */
  update() {
    const z = this.state.get("z"), all = this.list.classList.contains("all");
    let place = 0;
    for (const [index, { input, value }] of this.rows) {
      place += 1;
      if (!all && place > FIRST) break;
      if (Number(input.value) !== z[index]) input.value = z[index];
      const text = this.model.space.rules.step ? String(Math.round(z[index])) : fixed(z[index]);
      if (value.textContent !== text) {
        value.textContent = text;
        input.setAttribute("aria-valuetext", text);
      }
    }
  }

  /** Where q(z|x) is: a standard deviation around its mean, under the slider. */
  bands() {
    const moments = this.state.get("moments"), { space } = this.model;
    for (const [index, { band }] of this.rows) {
      band.hidden = !moments;
      if (!moments) continue;
      const part = (v) => clamp((v - space.low[index]) / (space.high[index] - space.low[index]), 0, 1);
      const [from, to] = [-1, 1].map((side) => part(moments.mean[index] + side * moments.sd[index]));
      band.style.left = `${100 * from}%`;
      band.style.width = `${Math.max(1, 100 * (to - from))}%`;
    }
  }
}
