// Discrete codes: a table of variables and categories, or a field of switches.
//
// One cell is in the order of Tab; arrow keys go from cell to cell. The column of a cell is as high as
// its probability under q(z|x), where there is an image.
const MANY = 20; // categories

class Table {
  constructor(model, state) {
    Object.assign(this, { model, state });
    const { space } = model;
    this.cells = new Array(space.size);
    this.active = 0;
    this.oneHot = space.width > 1;
    this.holder = byId("table");
    space.layers.forEach((_, layer) => {
      if (space.layers.length > 1) this.holder.append(make("h3", {}, this.title(layer)));
      this.holder.append(this.oneHot ? this.grid(layer) : this.field(layer));
    });
    if (space.rules.rule) byId("table-rule").textContent = space.rules.rule;
    state.on("z", () => this.update());
    state.on("posterior", () => this.shade());
    this.update();
    this.cells[0].tabIndex = 0;
  }

  title(layer) {
    const { layers } = this.model.space;
    const words = layer === 0 ? "the decoder reads it" : `what is switched here generates layer ${layer} anew`;
    return `Layer ${layer + 1} of ${layers.length}: ${words}`;
  }

  variablesOf(layer) {
    const { ends, layers } = this.model.space;
    return Array.from({ length: layers[layer] }, (_, n) => ends[layer] - layers[layer] + n);
  }

  /** A row for each variable, a column for each category. */
  grid(layer) {
    const { space } = this.model, head = make("tr", {}, make("td"));
    const few = space.width <= MANY; // of more, narrow columns and every eighth number
    for (let c = 0; c < space.width; c += 1) head.append(make("th", { scope: "col" }, few || c % 8 === 0 ? c : ""));
    head.append(make("th", { scope: "col", class: "number kl-column", hidden: true, title: "KL(q(z|x) || p(z)) of each variable, in nats" }, "KL, nats"));
    const body = this.variablesOf(layer).map((variable) => {
      const row = make("tr", { role: "row" }, make("th", { scope: "row" }, space.name(variable * space.width).split(",")[0]));
      for (let c = 0; c < space.width; c += 1) row.append(make("td", { role: "presentation" }, this.cell(variable * space.width + c, `z${variable + 1}, category ${c}`)));
      row.append(make("td", { class: "number kl-column", hidden: true, "data-kl": variable }));
      return row;
    });
    const table = make("table", { role: "grid", class: few ? "one-hot" : "one-hot many", "aria-label": "Variables and their categories" }, head, ...body);
    return make("div", { class: "scroll" }, table);
  }

  /** A switch for each binary variable. */
  field(layer) {
    const cells = this.variablesOf(layer).map((variable) => this.cell(variable, `z${variable + 1}`));
    return make("div", { role: "group", class: "field", "aria-label": "Binary variables" }, ...cells);
  }

  cell(index, label) {
    const cell = make("button", {
      type: "button", class: "cell", tabindex: -1, "aria-pressed": "false", "aria-label": label, title: label,
      click: () => { this.focus(index); this.press(index); },
      keydown: (event) => this.key(event, index),
    }, make("span", { class: "fill" }));
    this.cells[index] = cell;
    return cell;
  }

  press(index) {
    const { width } = this.model.space, variable = Math.floor(index / width);
    this.state.set({ z: this.model.switched(this.state.get("z"), variable, index % width) }, "table");
  }

  focus(index) {
    this.cells[this.active].tabIndex = -1;
    this.active = index;
    this.cells[index].tabIndex = 0;
    this.cells[index].focus();
  }

  /** Cells side by side, as they are laid out now. */
  columns() {
    if (this.oneHot) return this.model.space.width;
    const top = this.cells[0].offsetTop;
    const next = this.cells.findIndex((cell) => cell.offsetTop !== top);
    return next < 0 ? this.cells.length : next;
  }

  key(event, index) {
    const columns = this.columns();
    const way = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    const end = { Home: 0, End: this.cells.length - 1 }[event.key];
    if (way === undefined && end === undefined) return; // Enter and Space press it
    event.preventDefault();
    const next = end ?? index + way;
    if (next >= 0 && next < this.cells.length) this.focus(next);
  }

  update() {
    const z = this.state.get("z");
    this.cells.forEach((cell, i) => {
      const pressed = String(z[i] === 1);
      if (cell.getAttribute("aria-pressed") !== pressed) cell.setAttribute("aria-pressed", pressed);
    });
  }

  shade() {
    const { posterior, kl } = this.state.values, probs = posterior ? posterior.probs() : null;
    this.cells.forEach((cell, i) => cell.style.setProperty("--p", probs ? probs[i] : 0));
    for (const cell of this.holder.querySelectorAll(".kl-column")) {
      const known = kl !== null && kl.length === this.model.space.variables;
      cell.hidden = !known;
      if (known && cell.dataset.kl) cell.textContent = fixed(kl[cell.dataset.kl]);
    }
  }
}
