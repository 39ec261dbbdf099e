// What all parts of the page share, and who is told when it changes.
class State {
  constructor(values) { this.values = values; this.listeners = []; }

  get(name) { return this.values[name]; }

  /** `f(state, source)` whenever one of these changes. */
  on(names, f) { this.listeners.push([names.split(" "), f]); }

  /** New values; `source` is who sets them, so that it need not answer itself. */
  set(values, source = "") {
    Object.assign(this.values, values);
    const names = Object.keys(values);
    for (const [wanted, f] of this.listeners) if (wanted.some((name) => names.includes(name))) f(this, source);
  }
}
