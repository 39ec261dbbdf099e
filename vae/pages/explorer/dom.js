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

/** Two digits after the point, with a true minus; of large numbers an exponent, and what float32 cannot hold in words. */
const fixed = (value, digits = 2) => {
  if (Number.isNaN(value)) return "undefined";
  if (!Number.isFinite(value)) return value > 0 ? "more than 3.4e38" : "less than \u22123.4e38"; // float32's largest
  const text = Math.abs(value) < 1e5 ? value.toFixed(digits) : value.toExponential(digits).replace("e+", "e");
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

/** Once it has been quiet for a while. */
function afterwards(f, milliseconds) {
  let timer = 0;
  return (...values) => { clearTimeout(timer); timer = setTimeout(() => f(...values), milliseconds); };
}

/** Bytes of base64. */
const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
