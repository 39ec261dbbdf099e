// Work in pieces, so that a slow decoder never keeps the page from answering.
//
// All work of the page waits in one line; a frame takes pieces from it until its time is up. A piece is
// one decoded image or so: no frame is longer than that.
const BUDGET = 8; // milliseconds of a frame

const waiting = new Map(); // of each kind of work the latest: what is out of date is never finished
let awake = false;

function turn() {
  const begun = performance.now();
  while (waiting.size > 0 && performance.now() - begun < BUDGET) {
    const [kind, piece] = waiting.entries().next().value;
    waiting.delete(kind);
    const more = piece();
    if (more && !waiting.has(kind)) waiting.set(kind, piece); // to the end of the line
  }
  awake = waiting.size > 0;
  if (awake) requestAnimationFrame(turn);
}

/** A kind of work: what is handed to it takes the place of what it was at. `piece()` says whether there is more. */
function inPieces() {
  const kind = {};
  return (piece) => {
    waiting.set(kind, piece);
    if (!awake) requestAnimationFrame(turn);
    awake = true;
  };
}

/** The same for each of some things, one a piece. */
function forEachLater(work, things, f) {
  let n = 0;
  work(() => {
    if (n < things.length) f(things[n], n);
    n += 1;
    return n < things.length;
  });
}
