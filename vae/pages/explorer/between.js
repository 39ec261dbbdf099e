// The way from one image to another.
const STRIP = 9;

class Between {
  constructor(model, state, data, shelf, inference) {
    Object.assign(this, { model, state, data, shelf, inference });
    const { space } = model;
    this.about = { middle: data.middle, scale: data.scale, width: space.width, layers: space.layers };
    this.known = null;
    this.later = inPieces();
    this.choices = ["from", "to"].map((id, n) => this.fill(byId(id), n));
    this.slider = byId("part");
    this.strip = Array.from({ length: STRIP }, (_, n) => picture(model.image, `Decoded ${n + 1} of ${STRIP}`));
    byId("strip").append(...this.strip);
    this.way = byId("way");
    const ways = data.ways ?? [{ name: space.discrete ? "steps" : "linear", words: space.discrete ? "one variable after the other" : "a straight way" }];
    for (const { name, words } of ways) this.way.append(make("option", { value: name }, words));
    for (const element of [...this.choices, this.way]) element.addEventListener("change", () => this.show());
    this.slider.addEventListener("input", () => this.move());
    state.on("image", () => this.follow());
    this.show();
  }

  /** The images of the page, the drawing, and some samples of the prior. */
  fill(select, number) {
    if (this.model.encoder) {
      this.shelf.images.forEach((image, n) => select.append(make("option", { value: `i${n}` }, image.name)));
      select.append(make("option", { value: "drawing", disabled: true }, "your drawing"));
    }
    for (let n = 0; n < 6; n += 1) select.append(make("option", { value: `p${n}` }, `sample ${n + 1} of the prior`));
    const first = this.shelf && this.shelf.images.length > 1 ? "i" : "p";
    select.value = `${first}${number}`;
    return select;
  }

  /** A drawing can be gone to, once there is one. */
  follow() {
    const image = this.state.get("image");
    if (!image || image.ready) return;
    this.drawn = image;
    for (const select of this.choices) [...select.options].find((option) => option.value === "drawing").disabled = false;
    if (this.choices.some((select) => select.value === "drawing")) this.show();
  }

  code(value) {
    if (value[0] === "p") return this.model.space.sample(Number(value.slice(1)));
    const image = value === "drawing" ? this.drawn : this.shelf.images[Number(value.slice(1))];
    return this.model.encode(this.inference.visible(image)).center();
  }

  /** The two codes, once one asks for them. */
  get ends() { return (this.known ??= this.choices.map((select) => this.code(select.value))); }

  at(t) { return WAYS[this.way.value](...this.ends, t, this.about); }

  show() {
    this.known = null;
    byId("mix-note").hidden = this.way.value !== "mix";
    const here = [byId("on-the-way"), Number(this.slider.value)];
    const strip = this.strip.map((canvas, n) => [canvas, n / (STRIP - 1)]);
    forEachLater(this.later, [here, ...strip], ([canvas, t]) => paint(canvas, this.model.decode(this.at(t)), this.model.image));
  }

  /** The big image goes along. */
  move() {
    const t = Number(this.slider.value);
    this.slider.setAttribute("aria-valuetext", `${Math.round(100 * t)} % of the way`);
    const z = this.at(t);
    paint(byId("on-the-way"), this.model.decode(z), this.model.image);
    if (this.way.value !== "mix") this.state.set({ z }, "between"); // a mixture is no code
  }
}
