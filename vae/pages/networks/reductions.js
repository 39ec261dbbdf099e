// Sums, means, largest and most probable entries, over some dimensions.

const REDUCTIONS = {
  sum: (row) => row.reduce((a, b) => a + b, 0),
  mean: (row) => row.reduce((a, b) => a + b, 0) / row.length,
  prod: (row) => row.reduce((a, b) => a * b, 1),
  amax: (row) => Math.max(...row),
  amin: (row) => Math.min(...row),
  argmax: (row) => row.indexOf(Math.max(...row)),
  argmin: (row) => row.indexOf(Math.min(...row)),
};

function reduction(f) {
  return ({inputs: [a], dims, size}) => {
    const strides = stridesOf(a.shape), all = a.shape.map((_, d) => d);
    const order = [...all.filter((d) => !dims.includes(d)), ...dims]; // those summed over come last
    const places = placesOf(order.map((d) => a.shape[d]), order.map((d) => strides[d]));
    const data = new Float32Array(size), length = places.length / size;
    const row = new Float64Array(length);
    return {data, run: () => {
      for (let i = 0, j = 0; i < size; i++) {
        for (let l = 0; l < length; l++) row[l] = a.data[places[j++]];
        data[i] = f(row);
      }
    }};
  };
}

// Over one dimension: exp(x - log sum exp(x)), or its logarithm.
function softmax(log) {
  return ({inputs: [a], dim, size}) => {
    const data = new Float32Array(size), from = a.data;
    const n = a.shape[dim], step = product(a.shape.slice(dim + 1));
    return {data, run: () => {
      for (let block = 0; block < size; block += n * step) {
        for (let first = block; first < block + step; first++) {
          let largest = -Infinity, sum = 0;
          for (let i = 0, at = first; i < n; i++, at += step) largest = Math.max(largest, from[at]);
          for (let i = 0, at = first; i < n; i++, at += step) sum += Math.exp(from[at] - largest);
          const shift = largest + Math.log(sum);
          for (let i = 0, at = first; i < n; i++, at += step) {
            data[at] = log ? from[at] - shift : Math.exp(from[at] - shift);
          }
        }
      }
    }};
  };
}
