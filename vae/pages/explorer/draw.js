// Where an image comes from: a brush on a small canvas, or one of those that the page holds.
class Drawing {
  constructor(model, state, data) {
    Object.assign(this, { model, state, centre: data.centre });
    const [, height, width] = model.image;
    byId("centred").hidden = !data.centre;
    this.height = height;
    this.width = width;
    this.ink = new Float32Array(height * width);
    this.canvas = byId("draw");
    this.canvas.width = width;
    this.canvas.height = height;
    this.canvas.parentElement.style.aspectRatio = `${width} / ${height}`;
    this.radius = (0.045 * (width + height)) / 2; // 1.3 pixels of MNIST's 28
    this.last = null;
    this.listen();
    byId("clear").addEventListener("click", () => { this.ink.fill(0); this.show(); state.set({ image: null }, "draw"); });
    this.changed = eachFrame(() => state.set({ image: { pixels: this.pixels(), name: "your drawing" } }, "draw"));
    this.show();
  }

  listen() {
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * this.width, ((event.clientY - box.top) / box.height) * this.height];
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.last = at(event);
      this.stroke(this.last, this.last);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!event.buttons || !this.last) return;
      for (const each of event.getCoalescedEvents?.() ?? [event]) {
        const next = at(each);
        this.stroke(this.last, next);
        this.last = next;
      }
    });
    this.canvas.addEventListener("pointerup", () => { this.last = null; });
  }

  /** A line of a soft brush: full ink within its radius, none a pixel further. */
  stroke([x0, y0], [x1, y1]) {
    const length = Math.max(1e-6, (x1 - x0) ** 2 + (y1 - y0) ** 2);
    for (let row = 0; row < this.height; row += 1) {
      for (let column = 0; column < this.width; column += 1) {
        const x = column + 0.5, y = row + 0.5;
        const t = clamp(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length, 0, 1);
        const away = Math.hypot(x - x0 - t * (x1 - x0), y - y0 - t * (y1 - y0));
        const i = row * this.width + column;
        this.ink[i] = Math.max(this.ink[i], clamp(this.radius + 0.5 - away, 0, 1));
      }
    }
    this.show();
    this.changed();
  }

  /** The ink in every channel, where the model's images have theirs. */
  pixels() {
    const channels = this.model.image[0], found = new Float32Array(this.model.pixels), ink = this.centred();
    for (let c = 0; c < channels; c += 1) found.set(ink, c * ink.length);
    return found;
  }

  /** The ink, moved by whole pixels to where all images have their centre of mass; none of it over an edge. */
  centred() {
    const { ink, height, width, centre } = this, places = [...ink.keys()].filter((i) => ink[i] > 0);
    if (!centre || places.length === 0) return ink;
    const mass = places.reduce((sum, i) => sum + ink[i], 0);
    const [down, right] = [[(i) => Math.floor(i / width), height, centre[0]], [(i) => i % width, width, centre[1]]].map(([place, size, to]) => {
      const middle = places.reduce((sum, i) => sum + ink[i] * (place(i) + 0.5), 0) / mass, all = places.map(place);
      return clamp(Math.round(to * size - middle), -Math.min(...all), size - 1 - Math.max(...all));
    });
    const moved = new Float32Array(ink.length);
    for (const i of places) moved[i + down * width + right] = ink[i];
    return moved;
  }

  show() {
    paint(this.canvas, this.ink, [1, this.height, this.width]);
    byId("draw-hint").hidden = this.ink.some((v) => v > 0);
  }
}

/** The images that the page holds, as buttons. */
class Shelf {
  constructor(model, state, { images, whyNoImages }) {
    this.images = [];
    const shelf = byId("shelf");
    if (images === null) {
      byId("or").remove();
      shelf.replaceWith(make("small", {}, `No images to choose from: ${whyNoImages}. Drawing works.`));
      return;
    }
    const bytes = bytesOf(images.pixels), one = images.words.replace(/s$/, "");
    for (let n = 0; n * model.pixels < bytes.length; n += 1) {
      const pixels = Float32Array.from(bytes.subarray(n * model.pixels, (n + 1) * model.pixels), (v) => v / 255);
      const name = `${one} ${n}${images.labels ? `, class ${images.labels[n]}` : ""}`, image = { pixels, name, ready: true };
      const shown = picture(model.image, "");
      shown.removeAttribute("role");
      shown.setAttribute("aria-hidden", "true");
      paint(shown, pixels, model.image);
      const button = make("button", {
        type: "button", class: "thumb", "aria-label": name, title: name, "aria-pressed": "false",
        click: () => state.set({ image }, "shelf"),
      }, shown);
      this.images.push(image);
      shelf.append(button);
      state.on("image", () => button.setAttribute("aria-pressed", String(state.get("image") === image)));
    }
  }
}
