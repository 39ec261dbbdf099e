// Puts the parts together.
const data = JSON.parse(byId("data").textContent);
const model = new Model(data);
const { space } = model;

/** Entries of a code, those of the most used variables first. */
const used = largest(data.score.values, data.score.values.length);
const order = used.flatMap((variable) => Array.from({ length: space.width }, (_, c) => variable * space.width + c));

const start = Float64Array.from(data.space.start);
const state = new State({ z: start, image: null, posterior: null, moments: null, kl: null, order, dims: order.slice(0, 2) });

for (const [name, value] of data.facts) byId("facts").append(make("span", {}, make("b", {}, name), ` ${value}`));
for (const canvas of [byId("decoded"), byId("on-the-way")]) [canvas.height, canvas.width] = [data.image[1], data.image[2]];

state.on("z", () => paint(byId("decoded"), model.decode(state.get("z")), model.image));

const flat = !space.discrete && space.size > 1;
const without = (id, unused) => { if (unused) byId(id).remove(); };
without("plane-part", !flat);
without("sliders-part", space.discrete);
without("table-part", !space.discrete);
without("encoding", !model.encoder);
without("walk", !model.encoder);
without("relaxed", data.relaxation === null);
document.body.classList.toggle("discrete", space.discrete);
if (flat) new Plane(model, state);
if (space.discrete) new Table(model, state);
else new Sliders(model, state, data.score);

byId("zero").textContent = data.space.startName;
let sampled = 0;
byId("random").addEventListener("click", () => { state.set({ z: space.sample(sampled % space.count) }, "button"); sampled += 1; });
byId("zero").addEventListener("click", () => state.set({ z: start }, "button"));
byId("reset").addEventListener("click", () => {
  const posterior = state.get("posterior");
  state.set({ z: posterior ? posterior.center() : start, dims: order.slice(0, 2) }, "button");
});

const shelf = model.encoder ? new Shelf(model, state, data) : null;
without("no-encoder", model.encoder);
if (!model.encoder) byId("no-encoder").textContent = data.whyNoEncoder;
const inference = model.encoder ? new Inference(model, state, data) : null;
if (model.encoder) new Drawing(model, state, data);
new Between(model, state, data, shelf, inference);
if (byId("relaxed")) new Relaxed(model, state, data);
if (model.encoder) new Walk(model, state, data);

if (shelf?.images.length) state.set({ image: shelf.images[0] }, "shelf");
else state.set({ z: start }, "button");
globalThis.explorer = { model, state, data, ways: WAYS }; // for the console, and for tests
