// Convolutions of images (B, C, H, W), and their transposes, as products of matrices.

// What a convolution reads: for each of its kernel's entries, and each pixel that it makes, where in
// the image; -1 where that is beyond the edge. Rows are pixels, columns (channel, y, x).
function windows(channels, [height, width], [kh, kw], [rows, columns], {stride, padding, dilation}) {
  const places = new Int32Array(rows * columns * channels * kh * kw);
  let i = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let c = 0; c < channels; c++) {
        for (let ky = 0; ky < kh; ky++) {
          const y = row * stride[0] - padding[0] + ky * dilation[0];
          for (let kx = 0; kx < kw; kx++) {
            const x = column * stride[1] - padding[1] + kx * dilation[1];
            const inside = y >= 0 && y < height && x >= 0 && x < width;
            places[i++] = inside ? (c * height + y) * width + x : -1;
          }
        }
      }
    }
  }
  return places;
}

function conv2d(operation) {
  const {inputs: [x, weight, bias], groups, shape, size} = operation;
  const [, C, H, W] = x.shape, [B, O, rows, columns] = shape, [, c, kh, kw] = weight.shape;
  const pixels = rows * columns, k = c * kh * kw, o = O / groups, image = C * H * W;
  const places = windows(c, [H, W], [kh, kw], [rows, columns], operation);
  const data = new Float32Array(size), read = new Float32Array(pixels * k);
  return {data, run: () => {
    for (let b = 0; b < B; b++) {
      for (let g = 0; g < groups; g++) {
        const start = b * image + g * c * H * W;
        for (let i = 0; i < places.length; i++) read[i] = places[i] < 0 ? 0 : x.data[start + places[i]];
        multiply(weight.data, read, null, data, o, pixels, k, g * o * k, 0, (b * O + g * o) * pixels);
      }
    }
    if (bias) addToChannels(data, bias.data, B, O, pixels);
  }};
}

// A convolution from what it makes to what it reads, of which many entries are sums.
function conv_transpose2d(operation) {
  const {inputs: [x, weight, bias], groups, shape, size} = operation;
  const [, C, h, w] = x.shape, [B, O, H, W] = shape, [, o, kh, kw] = weight.shape;
  const pixels = h * w, k = o * kh * kw, c = C / groups;
  const places = windows(o, [H, W], [kh, kw], [h, w], operation);
  const turned = Array.from({length: groups}, (_, g) =>
    transpose(weight.data, c, k, new Float32Array(c * k), g * c * k)); // (k, c) each
  const data = new Float32Array(size), made = new Float32Array(pixels * k);
  const columns = new Float32Array(pixels * c);
  return {data, run: () => {
    data.fill(0);
    for (let b = 0; b < B; b++) {
      for (let g = 0; g < groups; g++) {
        transpose(x.data, c, pixels, columns, (b * C + g * c) * pixels);
        multiply(columns, turned[g], null, made, pixels, k, c);
        const start = (b * O + g * o) * H * W;
        for (let i = 0; i < places.length; i++) {
          if (places[i] >= 0) data[start + places[i]] += made[i];
        }
      }
    }
    if (bias) addToChannels(data, bias.data, B, O, H * W);
  }};
}

function addToChannels(data, bias, B, channels, pixels) {
  for (let b = 0, i = 0; b < B; b++) {
    for (let c = 0; c < channels; c++) {
      for (let end = i + pixels; i < end; i++) data[i] += bias[c];
    }
  }
}

function max_pool2d(operation) {
  const {inputs: [x], kernel, shape, size} = operation;
  const [, , H, W] = x.shape, [, , rows, columns] = shape, pixels = rows * columns;
  const places = windows(1, [H, W], kernel, [rows, columns], operation), k = kernel[0] * kernel[1];
  const data = new Float32Array(size);
  return {data, run: () => {
    for (let image = 0, out = 0; image < size / pixels; image++) {
      for (let i = 0; i < places.length; out++) {
        let largest = -Infinity;
        for (let end = i + k; i < end; i++) {
          if (places[i] >= 0) largest = Math.max(largest, x.data[image * H * W + places[i]]);
        }
        data[out] = largest;
      }
    }
  }};
}
