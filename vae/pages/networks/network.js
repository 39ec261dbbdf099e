// A network that Python exported (export.py), run on plain numbers.
//
//   const network = new Network(spec);
//   const {image} = network.run({z: new Float32Array(20)});
//
// The batch is as large as what is given: 20 numbers are one z, 400 of them are 20.

const PLANS_KEPT = 4; // one z, a strip, a manifold, ...

class Network {
  constructor(spec) {
    this.inputs = spec.inputs;
    this.outputs = spec.outputs;
    this.operations = spec.operations;
    for (const {op} of spec.operations) {
      if (!(op in OPERATIONS)) throw new Error(`this page knows no operation ${op}`);
    }
    this.tensors = decodeTensors(spec.tensors, spec.weights);
    this.plans = new Map();
  }

  // {name: numbers} to {name: Float32Array}, row by row; the results are the caller's to keep.
  run(given) {
    const plan = this.planFor(this.batchOf(given));
    for (const {name, value} of this.inputs) plan.values.get(value).data.set(given[name]);
    for (const step of plan.steps) step();
    const found = {};
    for (const {name, value} of this.outputs) found[name] = plan.values.get(value).data.slice();
    return found;
  }

  batchOf(given) {
    let batch = 0;
    for (const {name, shape} of this.inputs) {
      const numbers = given[name];
      if (!numbers) throw new Error(`no ${name} was given`);
      const each = sizeOf(shape, 1);
      if (numbers.length === 0 || numbers.length % each) {
        throw new Error(`${name} takes a multiple of ${each} numbers, not ${numbers.length}`);
      }
      if (batch && numbers.length / each !== batch) throw new Error("batches differ in size");
      batch = numbers.length / each;
    }
    return batch;
  }

  // Buffers, and the operations on them, for batches of one size; the last few sizes are kept.
  planFor(batch) {
    let plan = this.plans.get(batch);
    if (plan) this.plans.delete(batch);
    else plan = this.plan(batch);
    this.plans.set(batch, plan);
    if (this.plans.size > PLANS_KEPT) this.plans.delete(this.plans.keys().next().value);
    return plan;
  }

  plan(batch) {
    const values = new Map(this.tensors), steps = [];
    const find = (name) => (typeof name === "number" ? scalar(name) : values.get(name));
    for (const {value, shape} of this.inputs) {
      values.set(value, {shape: sizes(shape, batch), data: new Float32Array(sizeOf(shape, batch))});
    }
    for (const operation of this.operations) {
      const {op, out, shape} = operation;
      const context = {
        ...operation,
        batch,
        inputs: operation.in.map(find),
        table: operation.table && values.get(operation.table).data,
        shape: sizes(shape, batch),
        size: sizeOf(shape, batch),
      };
      const made = OPERATIONS[op](context);
      values.set(out, {shape: context.shape, data: made.data});
      if (made.run) steps.push(made.run);
    }
    return {values, steps};
  }
}

const scalar = (number) => ({shape: [], data: new Float32Array([number]), constant: true});

// A size of -k is k times the batch.
const resolve = (size, batch) => (size < 0 ? -size * batch : size);
const sizes = (shape, batch) => shape.map((size) => resolve(size, batch));
const product = (shape) => shape.reduce((a, b) => a * b, 1);
const sizeOf = (shape, batch) => product(sizes(shape, batch));

// Tensors by name, of one block of bytes in base64 (tensors.py).
function decodeTensors(entries, base64) {
  const text = atob(base64), {buffer} = new Uint8Array(text.length), bytes = new Uint8Array(buffer);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  const tensors = new Map();
  for (const [name, {shape, type, offset, scales}] of Object.entries(entries)) {
    const count = product(shape), decode = {
      float16: () => decodeHalf(new Uint16Array(buffer, offset, count)),
      float32: () => new Float32Array(buffer, offset, count),
      int16: () => decodeRows(new Int16Array(buffer, offset, count), new Float32Array(buffer, scales, shape[0])),
    };
    tensors.set(name, {shape, data: decode[type](), constant: true});
  }
  return tensors;
}

// Whole numbers, each times the scale of its row.
function decodeRows(whole, scales) {
  const found = new Float32Array(whole.length), columns = whole.length / scales.length;
  for (let row = 0, i = 0; row < scales.length; row++) {
    for (let end = i + columns; i < end; i++) found[i] = whole[i] * scales[row];
  }
  return found;
}

// float16 to float32, by a table of all 65 536 of them, made when first needed.
let halves = null;
function decodeHalf(bits) {
  halves ??= Float32Array.from({length: 65536}, (_, i) => halfToNumber(i));
  const found = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) found[i] = halves[bits[i]];
  return found;
}

function halfToNumber(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -24 * fraction;
}
