// All operations, by name. Each takes its inputs and its shape, and gives the numbers that it will
// fill, and the function that fills them.

const mapped = (table, make) =>
  Object.fromEntries(Object.entries(table).map(([name, f]) => [name, make(f)]));

const OPERATIONS = {
  ...mapped(UNARY, unary),
  ...mapped(BINARY, binary),
  ...mapped(REDUCTIONS, reduction),
  cat, conv2d, conv_transpose2d, fill, gather, linear, matmul, max_pool2d, move, relu, reshape, scatter,
  solve_triangular, strided, topk, where,
  cumsum: scan((a, b) => a + b),
  log_softmax: softmax(true),
  logcumsumexp: scan(logaddexp),
  softmax: softmax(false),
};
