// Where numbers are: strides, broadcasting, and what only moves numbers.

// The strides of a tensor whose last dimension is contiguous.
function stridesOf(shape) {
  const strides = new Array(shape.length);
  let step = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    strides[d] = step;
    step *= shape[d];
  }
  return strides;
}

// The place of each entry of a shape, for given strides: what is copied from where.
function placesOf(shape, strides, offset = 0) {
  const places = new Int32Array(product(shape)), index = new Array(shape.length).fill(0);
  let place = offset;
  for (let i = 0; i < places.length; i++) {
    places[i] = place;
    for (let d = shape.length - 1; d >= 0; d--) {
      place += strides[d];
      if (++index[d] < shape[d]) break;
      place -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
  return places;
}

// Where each entry of a shape is in a tensor that is broadcast to it; null if all are in order.
function broadcast({shape: own}, shape) {
  const missing = shape.length - own.length, strides = stridesOf(own);
  if (!missing && own.every((size, d) => size === shape[d])) return null;
  const spread = shape.map((_, d) => (d < missing || own[d - missing] === 1 ? 0 : strides[d - missing]));
  return placesOf(shape, spread);
}

// Another shape of the same numbers: nothing is copied.
const reshape = ({inputs: [a]}) => ({data: a.data});

function copied(from, places) {
  const data = new Float32Array(places.length);
  return {data, run: () => {
    for (let i = 0; i < places.length; i++) data[i] = from[places[i]];
  }};
}

function strided({inputs: [a], strides, offset, shape, batch}) {
  return copied(a.data, placesOf(shape, sizes(strides, batch), resolve(offset, batch)));
}

// By a table: for each image, places in the numbers of all inputs side by side. The first is a number.
function move({inputs, table, size, batch}) {
  const data = new Float32Array(size), count = table.length;
  const lengths = inputs.map((t) => (t.constant ? t.data.length : t.data.length / batch));
  const side = new Float32Array(lengths.reduce((a, b) => a + b, 0));
  return {data, run: () => {
    for (let b = 0; b < batch; b++) {
      let start = 0;
      inputs.forEach(({data: from, constant}, i) => {
        const first = constant ? 0 : b * lengths[i];
        side.set(from.subarray(first, first + lengths[i]), start);
        start += lengths[i];
      });
      for (let i = 0; i < count; i++) data[b * count + i] = side[table[i]];
    }
  }};
}

// Where each entry of an index points to, in a tensor of the same number of dimensions.
function pointers(x, index, dim) {
  const strides = stridesOf(x.shape), places = placesOf(index.shape, strides.map((step, d) => (d === dim ? 0 : step)));
  return (i) => places[i] + index.data[i] * strides[dim];
}

function gather({inputs: [x, index], dim, size}) {
  const data = new Float32Array(size), place = pointers(x, index, dim);
  return {data, run: () => {
    for (let i = 0; i < size; i++) data[i] = x.data[place(i)];
  }};
}

function scatter({inputs: [x, index, value], dim, size}) {
  const data = new Float32Array(size), place = pointers(x, index, dim);
  return {data, run: () => {
    data.set(x.data);
    for (let i = 0; i < index.data.length; i++) data[place(i)] = value.data[0];
  }};
}

function cat({inputs, dim, shape, size}) {
  const data = new Float32Array(size), rows = product(shape.slice(0, dim));
  return {data, run: () => {
    let start = 0;
    for (let row = 0; row < rows; row++) {
      for (const {data: from} of inputs) {
        const length = from.length / rows;
        data.set(from.subarray(row * length, (row + 1) * length), start);
        start += length;
      }
    }
  }};
}

const fill = ({inputs: [value], size}) => ({data: new Float32Array(size).fill(value.data[0])});
