// Images on canvases: pixels in [0, 1], channels first.

/** Paints one image at a place of a canvas that has a pixel for each. */
function paint(canvas, pixels, [channels, height, width], left = 0, top = 0) {
  const context = canvas.getContext("2d");
  const painted = context.createImageData(width, height), size = height * width;
  for (let i = 0; i < size; i += 1) {
    for (let c = 0; c < 3; c += 1) {
      painted.data[4 * i + c] = 255 * clamp(pixels[(channels === 3 ? c : 0) * size + i], 0, 1);
    }
    painted.data[4 * i + 3] = 255;
  }
  context.putImageData(painted, left, top);
}

/** A canvas of one image, with words for those who do not see it. */
function picture(image, label, attributes = {}) {
  return make("canvas", { class: "pixels", width: image[2], height: image[1], role: "img", "aria-label": label, ...attributes });
}

/** Grey levels, or levels of each colour, as zeros and ones: each is 1 where it exceeds its draw. */
const binarised = (pixels, draws) => Float32Array.from(pixels, (v, i) => (v > draws[i] ? 1 : 0));

const uniforms = (size, random) => Float32Array.from({ length: size }, () => random.uniform());
