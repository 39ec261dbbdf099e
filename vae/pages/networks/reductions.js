// Sums, means, largest and most probable entries, over some dimensions.

const REDUCTIONS = {
  sum: (row) => row.reduce((a, b) => a + b, 0),
  mean: (row) => row.reduce((a, b) => a + b, 0) / row.length,
  var: (row, {correction}) => {
    const mean = REDUCTIONS.mean(row);
    return row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (row.length - correction);
  },
  prod: (row) => row.reduce((a, b) => a * b, 1),
  amax: (row) => Math.max(...row),
  amin: (row) => Math.min(...row),
  argmax: (row) => row.indexOf(Math.max(...row)),
  argmin: (row) => row.indexOf(Math.min(...row)),
  any: (row) => +row.some((x) => x !== 0),
};

function reduction(f) {
  return (operation) => {
    const {inputs: [a], dims, size} = operation;
    const strides = stridesOf(a.shape), all = a.shape.map((_, d) => d);
    const order = [...all.filter((d) => !dims.includes(d)), ...dims]; // those summed over come last
    const places = placesOf(order.map((d) => a.shape[d]), order.map((d) => strides[d]));
    const data = new Float32Array(size), length = places.length / size;
    const row = new Float64Array(length);
    return {data, run: () => {
      for (let i = 0, j = 0; i < size; i++) {
        for (let l = 0; l < length; l++) row[l] = a.data[places[j++]];
        data[i] = f(row, operation);
      }
    }};
  };
}

// For each row along one dimension, that begins at a place and goes on by steps: f(place, step, n).
function along(f) {
  return ({inputs: [a], dim, size}) => {
    const data = new Float32Array(size), from = a.data;
    const n = a.shape[dim], step = product(a.shape.slice(dim + 1));
    return {data, run: () => {
      for (let block = 0; block < size; block += n * step) {
        for (let first = block; first < block + step; first++) f(from, data, first, step, n);
      }
    }};
  };
}

// The k largest entries along a dimension, or their places, the largest first.
function topk({inputs: [a], k, dim, places, size}) {
  const data = new Float32Array(size), n = a.shape[dim], step = product(a.shape.slice(dim + 1));
  const order = new Int32Array(n);
  return {data, run: () => {
    for (let block = 0; block < a.data.length / (n * step); block++) {
      for (let inner = 0; inner < step; inner++) {
        const first = block * n * step + inner, value = (i) => a.data[first + i * step];
        for (let i = 0; i < n; i++) order[i] = i;
        order.sort((i, j) => value(j) - value(i) || i - j);
        for (let i = 0; i < k; i++) data[(block * k + i) * step + inner] = places ? order[i] : value(order[i]);
      }
    }
  }};
}

// exp(x - log sum exp(x)), or its logarithm.
function softmax(log) {
  return along((from, data, first, step, n) => {
    const end = first + n * step;
    let largest = -Infinity, sum = 0;
    for (let at = first; at < end; at += step) largest = Math.max(largest, from[at]);
    for (let at = first; at < end; at += step) sum += Math.exp(from[at] - largest);
    const shift = largest + Math.log(sum);
    for (let at = first; at < end; at += step) {
      data[at] = log ? from[at] - shift : Math.exp(from[at] - shift);
    }
  });
}

// Each entry with all that come before it.
function scan(f) {
  return along((from, data, first, step, n) => {
    let found = from[first];
    data[first] = found;
    for (let i = 1, at = first + step; i < n; i++, at += step) {
      found = f(found, from[at]);
      data[at] = found;
    }
  });
}

function logaddexp(a, b) {
  const largest = Math.max(a, b);
  return largest === -Infinity ? largest : largest + Math.log1p(Math.exp(-Math.abs(a - b)));
}
