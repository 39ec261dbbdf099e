// Products of matrices, and what is one of them: linear layers.

// out (n, m) = a (n, k) times the transpose of b (m, k), plus a bias (m) where there is one.
// Two rows of a by four of b at a time: each number that is read serves several products.
function multiply(a, b, bias, out, n, m, k, aStart = 0, bStart = 0, outStart = 0) {
  let i = 0;
  for (; i + 1 < n; i += 2) twoRows(a, b, bias, out, i, m, k, aStart, bStart, outStart);
  if (i < n) oneRow(a, b, bias, out, i, m, k, aStart, bStart, outStart);
}

function twoRows(a, b, bias, out, i, m, k, aStart, bStart, outStart) {
  const first = aStart + i * k, second = first + k;
  const top = outStart + i * m, below = top + m;
  let j = 0;
  for (; j + 3 < m; j += 4) {
    const b0 = bStart + j * k, b1 = b0 + k, b2 = b1 + k, b3 = b2 + k;
    let s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0;
    for (let l = 0; l < k; l++) {
      const x = a[first + l], y = a[second + l];
      const w0 = b[b0 + l], w1 = b[b1 + l], w2 = b[b2 + l], w3 = b[b3 + l];
      s0 += x * w0; s1 += x * w1; s2 += x * w2; s3 += x * w3;
      t0 += y * w0; t1 += y * w1; t2 += y * w2; t3 += y * w3;
    }
    if (bias) {
      const c0 = bias[j], c1 = bias[j + 1], c2 = bias[j + 2], c3 = bias[j + 3];
      s0 += c0; s1 += c1; s2 += c2; s3 += c3;
      t0 += c0; t1 += c1; t2 += c2; t3 += c3;
    }
    out[top + j] = s0; out[top + j + 1] = s1; out[top + j + 2] = s2; out[top + j + 3] = s3;
    out[below + j] = t0; out[below + j + 1] = t1; out[below + j + 2] = t2; out[below + j + 3] = t3;
  }
  for (; j < m; j++) {
    const row = bStart + j * k;
    let s = bias ? bias[j] : 0, t = s;
    for (let l = 0; l < k; l++) {
      s += a[first + l] * b[row + l];
      t += a[second + l] * b[row + l];
    }
    out[top + j] = s;
    out[below + j] = t;
  }
}

function oneRow(a, b, bias, out, i, m, k, aStart, bStart, outStart) {
  const first = aStart + i * k, top = outStart + i * m;
  let j = 0;
  for (; j + 3 < m; j += 4) {
    const b0 = bStart + j * k, b1 = b0 + k, b2 = b1 + k, b3 = b2 + k;
    let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (let l = 0; l < k; l++) {
      const x = a[first + l];
      s0 += x * b[b0 + l]; s1 += x * b[b1 + l]; s2 += x * b[b2 + l]; s3 += x * b[b3 + l];
    }
    if (bias) { s0 += bias[j]; s1 += bias[j + 1]; s2 += bias[j + 2]; s3 += bias[j + 3]; }
    out[top + j] = s0; out[top + j + 1] = s1; out[top + j + 2] = s2; out[top + j + 3] = s3;
  }
  for (; j < m; j++) {
    const row = bStart + j * k;
    let s = bias ? bias[j] : 0;
    for (let l = 0; l < k; l++) s += a[first + l] * b[row + l];
    out[top + j] = s;
  }
}

// The transpose of rows x columns numbers.
function transpose(from, rows, columns, to, start = 0) {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) to[j * rows + i] = from[start + i * columns + j];
  }
  return to;
}

// x (*, k) and a weight (m, k), as torch's nn.Linear has it.
function linear({inputs: [x, weight, bias], size}) {
  const [m, k] = weight.shape, data = new Float32Array(size), n = size / m;
  return {data, run: () => multiply(x.data, weight.data, bias && bias.data, data, n, m, k)};
}

// (*, n, k) times (*, k, m); a matrix without leading dimensions serves all.
function matmul({inputs: [a, b], size}) {
  const [n, k] = a.shape.slice(-2), m = b.shape.at(-1);
  const data = new Float32Array(size), turned = new Float32Array(k * m), many = size / (n * m);
  const stepA = a.data.length > n * k ? n * k : 0, stepB = b.data.length > k * m ? k * m : 0;
  return {data, run: () => {
    for (let i = 0; i < many; i++) {
      transpose(b.data, k, m, turned, i * stepB);
      multiply(a.data, turned, null, data, n, m, k, i * stepA, 0, i * n * m);
    }
  }};
}

// x of a x = b, with a triangular matrix a (*, n, n) and b (*, n, m).
function solve_triangular({inputs: [a, b], upper, shape, size}) {
  const [n, m] = shape.slice(-2), data = new Float32Array(size);
  const one = a.data.length === n * n, rows = Array.from({length: n}, (_, i) => (upper ? n - 1 - i : i));
  return {data, run: () => {
    for (let block = 0; block < size / (n * m); block++) {
      const at = one ? 0 : block * n * n, from = block * n * m;
      for (let column = 0; column < m; column++) {
        for (const i of rows) {
          let sum = b.data[from + i * m + column];
          for (let j = upper ? i + 1 : 0; j < (upper ? n : i); j++) sum -= a.data[at + i * n + j] * data[from + j * m + column];
          data[from + i * m + column] = sum / a.data[at + i * n + i];
        }
      }
    }
  }};
}
