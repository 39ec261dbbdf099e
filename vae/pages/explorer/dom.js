// Elements by name, and numbers as words.
const byId = (id) => document.getElementById(id);

/** An element with attributes (functions listen) and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Two digits after the point, with a true minus. */
const fixed = (value, digits = 2) => {
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "\u2212");
};

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

const subscripts = (number) => String(number).replace(/\d/g, (d) => "₀₁₂₃₄₅₆₇₈₉"[d]);

/** A colour of the style sheet, by its name. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

/** At most once a frame, with the latest arguments. */
function eachFrame(f) {
  let waiting = null;
  return (...values) => {
    if (waiting === null) requestAnimationFrame(() => { const latest = waiting; waiting = null; f(...latest); });
    waiting = values;
  };
}

/** Work in pieces, as many a frame as there is time for. `piece()` says whether there is more; new work takes its place. */
function inPieces(milliseconds = 8) {
  let latest = null;
  return (piece) => {
    const frame = () => {
      if (latest !== piece) return;
      const begun = performance.now();
      let more = piece();
      while (more && performance.now() - begun < milliseconds) more = piece();
      if (more) requestAnimationFrame(frame);
      else latest = null;
    };
    latest = piece;
    requestAnimationFrame(frame);
  };
}

/** Once it has been quiet for a while. */
function afterwards(f, milliseconds) {
  let timer = 0;
  return (...values) => { clearTimeout(timer); timer = setTimeout(() => f(...values), milliseconds); };
}

/** Bytes of base64. */
const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
