// The plane of two entries of a code: what it decodes to everywhere, and where the code is.
class Plane {
  constructor(model, state) {
    Object.assign(this, { model, state });
    this.ground = byId("ground");
    this.top = byId("plane");
    this.said = byId("plane-said");
    const [, height, width] = model.image;
    this.later = inPieces();
    this.each = this.timeOfOne();
    this.tiles = this.each < 12 ? 13 : this.each < 40 ? 9 : 7; // fewer for a decoder that is slow
    this.ground.width = this.tiles * width;
    this.ground.height = this.tiles * height;
    this.ground.classList.toggle("pixels", width < 20);
    this.top.parentElement.style.aspectRatio = `${width} / ${height}`;
    this.order = this.scattered(this.tiles ** 2);
    this.left = 0;
    this.at = 0;
    this.choices("across", 0);
    this.choices("up", 1);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.top);
    document.addEventListener("theme", () => this.draw());
    state.on("z", (_, source) => { if (source !== "plane") this.renew(); this.draw(); });
    state.on("dims", () => { this.renew(); this.draw(); this.name(); });
    state.on("posterior", () => this.draw());
    this.name();
    this.renew();
  }

  /** Milliseconds of one image, at best: the first runs, which compile the decoder, take longer. */
  timeOfOne() {
    const begun = performance.now();
    let each = Infinity;
    for (let n = 0; n < 5 && performance.now() - begun < 30; n += 1) {
      const start = performance.now();
      this.model.decode(this.state.get("z"));
      each = Math.min(each, performance.now() - start);
    }
    return each;
  }

  /** Tiles in an order in which all of the plane changes at once. */
  scattered(count) {
    const random = new Random(5), order = Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i -= 1) {
      const j = random.integer(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  choices(id, number) {
    const { space } = this.model, select = byId(id);
    for (const index of this.state.get("order")) select.append(make("option", { value: index }, space.name(index)));
    select.value = this.state.get("dims")[number];
    select.addEventListener("change", () => {
      const dims = [...this.state.get("dims")], other = dims[1 - number];
      if (Number(select.value) === other) dims[1 - number] = dims[number]; // they change places
      dims[number] = Number(select.value);
      this.state.set({ dims });
    });
    this.state.on("dims", () => { select.value = this.state.get("dims")[number]; });
  }

  name() {
    const { space } = this.model, [a, b] = this.state.get("dims");
    const name = `Plane of ${space.name(a)} (across) and ${space.name(b)} (up). Arrow keys move the code, with Shift further.`;
    this.top.setAttribute("aria-label", name);
    byId("plane-range").textContent = `${space.name(a)} from ${fixed(space.low[a])} to ${fixed(space.high[a])}, `
      + `${space.name(b)} from ${fixed(space.low[b])} to ${fixed(space.high[b])}: ${space.range}`;
  }

  listen() {
    const follow = (event) => {
      const box = this.top.getBoundingClientRect();
      this.move((event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height);
    };
    this.top.addEventListener("pointerdown", (event) => {
      this.top.setPointerCapture(event.pointerId);
      this.top.focus({ preventScroll: true });
      follow(event);
    });
    this.top.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
    this.top.addEventListener("keydown", (event) => {
      const way = ways[event.key];
      if (!way) return;
      event.preventDefault();
      const far = event.shiftKey ? 0.1 : 0.02, [x, y] = this.place();
      this.move(x + far * way[0], y + far * way[1]);
      this.announce();
    });
    this.announce = afterwards(() => {
      const { space } = this.model, z = this.state.get("z");
      this.said.textContent = this.state.get("dims").map((i) => `${space.name(i)} = ${fixed(z[i])}`).join(", ");
    }, 400);
  }

  /** Where the code is, from 0 to 1 across and up. */
  place() {
    const { space } = this.model, z = this.state.get("z");
    return this.state.get("dims").map((i) => (z[i] - space.low[i]) / (space.high[i] - space.low[i]));
  }

  at2(x, y) {
    const { space } = this.model, dims = this.state.get("dims");
    const values = [x, y].map((part, n) => space.low[dims[n]] + clamp(part, 0, 1) * (space.high[dims[n]] - space.low[dims[n]]));
    return this.model.moved(this.state.get("z"), dims, values);
  }

  move(x, y) { this.state.set({ z: this.at2(x, y) }, "plane"); }

  /** The background, a few tiles a frame: what is there stays until it is replaced. */
  renew() {
    this.left = this.order.length;
    this.later(() => this.work());
  }

  /** Some tiles at once, where they are quickly decoded; whether there are more. */
  work() {
    const { model, tiles } = this, [, height, width] = model.image;
    const count = Math.min(this.each < 2 ? 4 : 1, this.left), size = model.space.size;
    const chosen = [], codes = new Float32Array(count * size);
    for (let n = 0; n < count; n += 1) {
      const tile = this.order[this.at];
      this.at = (this.at + 1) % this.order.length;
      chosen.push(tile);
      codes.set(this.at2(((tile % tiles) + 0.5) / tiles, 1 - (Math.floor(tile / tiles) + 0.5) / tiles), n * size);
    }
    const images = model.decode(codes);
    chosen.forEach((tile, n) => {
      const pixels = images.subarray(n * model.pixels, (n + 1) * model.pixels);
      paint(this.ground, pixels, model.image, (tile % tiles) * width, Math.floor(tile / tiles) * height);
    });
    this.left -= count;
    if (this.left === 0) this.top.dataset.whole = "true";
    return this.left > 0;
  }

  /** The code, q(z|x) and the axes, above the background. */
  draw() {
    const box = this.top.getBoundingClientRect(), dense = window.devicePixelRatio || 1;
    if (!box.width) return;
    this.top.width = Math.round(box.width * dense);
    this.top.height = Math.round(box.height * dense);
    const context = this.top.getContext("2d");
    context.setTransform(dense, 0, 0, dense, 0, 0);
    const { space } = this.model, dims = this.state.get("dims");
    const at = (value, n) => {
      const part = (value - space.low[dims[n]]) / (space.high[dims[n]] - space.low[dims[n]]);
      return n === 0 ? part * box.width : (1 - part) * box.height;
    };
    const lines = (draw) => { // light on dark: seen on any image
      for (const [width, paint] of [[4, "#000000b0"], [2, "#ffffff"]]) {
        context.lineWidth = width;
        context.strokeStyle = paint;
        context.beginPath();
        draw();
        context.stroke();
      }
    };
    const moments = this.state.get("moments");
    if (moments) {
      const [mean, sd] = [moments.mean, moments.sd].map((values) => dims.map((i) => values[i]));
      const [x, y] = [at(mean[0], 0), at(mean[1], 1)];
      context.setLineDash([5, 4]);
      lines(() => context.ellipse(x, y, Math.abs(at(mean[0] + sd[0], 0) - x), Math.abs(at(mean[1] + sd[1], 1) - y), 0, 0, 7));
      context.setLineDash([]);
    }
    const z = this.state.get("z"), [x, y] = dims.map((i, n) => at(z[i], n));
    const [px, py] = [clamp(x, 0, box.width), clamp(y, 0, box.height)];
    context.fillStyle = colour("accent");
    context.beginPath();
    context.arc(px, py, 7, 0, 7);
    context.fill();
    lines(() => context.arc(px, py, 7, 0, 7));
  }
}
