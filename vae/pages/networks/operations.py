"""From ATen operations to the few that the pages' JavaScript knows.

An operation is ``{"op", "in", "out", "shape"}`` and what else it needs. Inputs are names of values, or
numbers. A size in a shape is a number n >= 0, or -k for k times the batch. There are no types: a truth
value is 0 or 1, a whole number is a number.

What only moves numbers is found by moving the numbers 0, 1, 2, ... in their place: the strides of
what comes out say it all, or else the numbers themselves do, as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, fx

from vae.pages.networks.trace import BATCHES, NetworkError, Trace

__all__ = ["BINARY", "UNARY", "Translator"]

UNARY = frozenset(
    "abs acos asin atan atanh ceil cos cosh digamma erf exp expm1 floor lgamma log log1p log2 log10"
    " logical_not neg reciprocal relu round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc".split()
)
BINARY = frozenset(
    "add atan2 div eq floor_div ge gt le logical_and logical_or lt maximum minimum mul ne pow"
    " remainder sub".split()
)
"""Element by element, by the same names in ATen and in the pages."""

ALIASES = {"bitwise_not": "logical_not", "bitwise_and": "logical_and", "bitwise_or": "logical_or"}
"""Of truth values; of other numbers they are refused."""

VIEWS = frozenset(
    "as_strided diagonal expand permute select slice squeeze t transpose unfold unsqueeze".split()
)
RESHAPES = frozenset("view _unsafe_view reshape clone _to_copy alias detach contiguous".split())
MOVES = frozenset(
    "index index_put index_select constant_pad_nd flip gather roll repeat slice_scatter"
    " select_scatter upsample_nearest2d _unsafe_index embedding index_copy".split()
)


class Translator:
    """Makes the page's operations, one node of a graph after another.

    Arguments:
        found: The graph, and its values.
    """

    def __init__(self, found: Trace) -> None:
        self.values, self.constants, self._twins = found.values, found.constants, found.twins
        self.operations: list[dict[str, Any]] = []
        self.tables: dict[str, Tensor] = {}

    def __call__(self, node: fx.Node) -> None:
        """Takes in a node.

        Raises:
            NetworkError: If pages know no such operation.
        """
        target: Any = node.target
        name = getattr(target, "_opname", getattr(target, "__name__", str(target)))
        if name in ("split_with_sizes", "split", "unbind"):
            return  # several values: each is made where it is taken
        if name == "getitem":
            self._view(node, node.all_input_nodes[0])
            return
        if name in ALIASES and self.values[node.name][0].dtype == torch.bool:
            name = ALIASES[name]
        make = _MAKERS.get(name)
        if make is None:
            self.refuse(node)
        else:
            make(self, node, name)

    def refuse(self, node: fx.Node, why: str = "") -> NoReturn:
        """Raises NetworkError."""
        stated = f" {why}" if why else ""
        raise NetworkError(f"pages know no operation {node.target}{stated}")

    def add(self, op: str, node: fx.Node, inputs: Sequence[Any], **options: Any) -> None:
        """Adds an operation whose result is the node's."""
        self.operations.append(
            {
                "op": op,
                "in": [self.operand(each) for each in inputs],
                "out": node.name,
                "shape": self.shape(node),
                **options,
            }
        )

    def operand(self, given: Any) -> str | float:
        """The name of a value, or a number."""
        if isinstance(given, fx.Node):
            return given.name
        number = float(given)
        if number == number and abs(number) != float("inf"):
            return int(number) if number.is_integer() else number
        name = f"number_{number}"
        self.tables[name] = torch.tensor(number)
        return name

    def shape(self, node: fx.Node) -> list[int]:
        """The shape of a node's value."""
        return self.shape_of(node.name)

    def shape_of(self, name: str) -> list[int]:
        """The shape of a value."""
        small, large = self.values[name]
        return self.sizes(small.shape, large.shape, name)

    def sizes(self, small: Sequence[Any], large: Sequence[Any], name: str) -> list[int]:
        """Numbers that are constant, or multiples of the batch: -k is k times the batch."""
        found = []
        for few, many in zip(small, large, strict=True):
            times, rest = divmod(few, BATCHES[0])
            if few == many:
                found.append(few)
            elif rest or many != times * BATCHES[1]:
                raise NetworkError(
                    f"pages know only sizes that are constant or grow with the batch, and one of {name}"
                    f" is {few} of {BATCHES[0]} images, {many} of {BATCHES[1]}"
                )
            else:
                found.append(-times)
        return found

    def is_constant(self, given: Any) -> bool:
        return not isinstance(given, fx.Node) or given.name in self.constants

    def _view(self, node: fx.Node, source: fx.Node) -> None:
        """What comes out if the numbers 0, 1, 2, ... go in, if that is a view of them."""
        moved, first = [], source
        if node.target.__name__ == "getitem":  # type: ignore[union-attr]
            first = source.all_input_nodes[0]
        for size in (0, 1):
            like = self.values[first.name][size]
            numbers = torch.arange(like.numel()).view(like.shape)
            for step in [node] if first is source else [source, node]:
                step = self._twins[step.name] if size else step
                numbers = step.target(numbers, *step.args[1:], **step.kwargs)  # type: ignore[operator]
            moved.append(numbers)
        small, large = moved
        if all(
            m.is_contiguous() and m.numel() == self.count(first, i) for i, m in enumerate(moved)
        ):
            self.add("reshape", node, [first])
            return
        strides = self.sizes(small.stride(), large.stride(), node.name)
        (offset,) = self.sizes([small.storage_offset()], [large.storage_offset()], node.name)
        self.add("strided", node, [first], strides=strides, offset=offset)

    def count(self, node: fx.Node, size: int) -> int:
        """How many numbers a value is."""
        return int(self.values[node.name][size].numel())


Maker = Callable[[Translator, fx.Node, str], None]


def _elementwise(to: Translator, node: fx.Node, name: str) -> None:
    if any(value != 1 for key, value in node.kwargs.items() if key == "alpha"):
        to.refuse(node, "with an alpha")
    if mode := node.kwargs.get("rounding_mode"):
        if mode != "floor":
            to.refuse(node, f"with rounding mode {mode}")
        name = "floor_div"
    to.add(name, node, node.args)


def _view(to: Translator, node: fx.Node, name: str) -> None:
    to._view(node, node.all_input_nodes[0])


def _reshape(to: Translator, node: fx.Node, name: str) -> None:
    source = node.all_input_nodes[0]
    before, after = (to.values[each.name][0].dtype for each in (source, node))
    if before.is_floating_point and not after.is_floating_point and after != torch.bool:
        to.add("trunc", node, [source])
    elif before != torch.bool and after == torch.bool:
        to.add("ne", node, [source, 0])
    else:
        to.add("reshape", node, [source])


def _linear(to: Translator, node: fx.Node, name: str) -> None:
    args: Any = node.args
    *bias, x, weight = args
    if any(value != 1 for value in node.kwargs.values()):
        to.refuse(node, "with factors")
    if not to.is_constant(weight) or not all(map(to.is_constant, bias)):
        if bias:
            to.refuse(node, "of a matrix that is no constant")
        to.add("matmul", node, [x, weight])
        return
    table = f"{weight.name}_rows"
    to.tables[table] = to.constants[weight.name].T.contiguous()
    to.add("linear", node, [x, *bias])
    to.operations[-1]["in"].insert(1, table)
    if bias:
        vector = to.constants[bias[0].name]
        if vector.dim() != 1:
            to.refuse(node, "of a bias that is no vector")


def _convolution(to: Translator, node: fx.Node, name: str) -> None:
    args: Any = node.args
    x, weight, bias, stride, padding, dilation, transposed, _, groups = args
    if not to.is_constant(weight) or to.values[x.name][0].dim() != 4:
        to.refuse(node, "but of images, by constant weights")
    to.add(
        "conv_transpose2d" if transposed else "conv2d",
        node,
        [x, weight] if bias is None else [x, weight, bias],
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def _clamp(to: Translator, node: fx.Node, name: str) -> None:
    bounds = dict(zip(("min", "max"), node.args[1:], strict=False)) | node.kwargs
    for op, bound in (("maximum", bounds.get("min")), ("minimum", bounds.get("max"))):
        if bound is None:
            continue
        to.add(op, node, [node.args[0], bound])
        made = to.operations[-1]
        if op == "minimum" and bounds.get("min") is not None:  # of what the first one left
            to.operations[-2]["out"] = made["in"][0] = f"{node.name}_least"


def _where(to: Translator, node: fx.Node, name: str) -> None:
    to.add("where", node, node.args)


def _softmax(to: Translator, node: fx.Node, name: str) -> None:
    x, dim = node.args[:2]
    to.add(name.lstrip("_"), node, [x], dim=_place(to, x, dim))


def _reduction(to: Translator, node: fx.Node, name: str) -> None:
    x: Any = node.args[0]
    small, large = to.values[x.name]
    asked: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    asked = range(small.dim()) if asked is None or asked == [] else asked
    dims = [_place(to, x, d) for d in ([asked] if isinstance(asked, int) else asked)]
    if any(small.shape[d] != large.shape[d] for d in dims):
        to.refuse(node, "over the images of a batch")
    to.add(name, node, [x], dims=sorted(dims))


def _cat(to: Translator, node: fx.Node, name: str) -> None:
    parts: Any = node.args[0]
    dim: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    kept = [part for part in parts if to.count(part, 0)]
    to.add("cat", node, kept, dim=_place(to, kept[0], dim))


def _fill(to: Translator, node: fx.Node, name: str) -> None:
    value: Any = {"zeros": 0, "ones": 1, "zeros_like": 0, "ones_like": 1}.get(name)
    to.add("fill", node, [node.args[1] if value is None else value])


def _place(to: Translator, x: Any, dim: Any) -> int:
    """A dimension, counted from the first."""
    return int(dim) % max(to.values[x.name][0].dim(), 1)


def _move(to: Translator, node: fx.Node, name: str) -> None:
    """By a table: what comes out for each image, if its numbers, and all constants', are counted."""
    sources = [n for n in node.all_input_nodes if not _is_index(to, node, n)]
    if any(not to.is_constant(n) for n in node.all_input_nodes if n not in sources):
        to.refuse(node, "by indices that depend on the inputs")
    fill = node.kwargs.get("value", node.args[2] if len(node.args) > 2 else 0)
    if name == "constant_pad_nd" and fill != 0:
        to.refuse(node, "but by zeros")
    B, start, given, sizes = BATCHES[0], 0, {}, []
    for source in sources:
        value = to.values[source.name][0]
        own = not to.is_constant(source)
        if own and (value.dim() == 0 or to.shape(source)[0] != -1):
            to.refuse(node, "but image by image")
        count = value.numel() // (B if own else 1)
        numbers = torch.arange(start, start + count, dtype=torch.float64) + 1
        given[source.name] = (
            numbers.view(value.shape[1:]).expand(value.shape) if own else numbers.view(value.shape)
        ).clone()
        start += count
        sizes.append(count)
    made = {n.name: given.get(n.name, to.constants.get(n.name)) for n in node.all_input_nodes}
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: made[n.name])
    table = node.target(*args, **kwargs)  # type: ignore[operator]
    alike = table.dim() and to.shape(node)[0] == -1 and bool((table == table[:1]).all())
    if not alike:
        to.refuse(node, "but image by image")
    to.tables[f"{node.name}_table"] = table[0].long() - 1  # -1 is a zero
    to.add("move", node, sources)
    to.operations[-1]["table"] = f"{node.name}_table"


def _is_index(to: Translator, node: fx.Node, source: fx.Node) -> bool:
    return not to.values[source.name][0].dtype.is_floating_point


_MAKERS: dict[str, Maker] = {
    **{name: _elementwise for name in UNARY | BINARY},
    **{name: _view for name in VIEWS},
    **{name: _reshape for name in RESHAPES},
    **{name: _move for name in MOVES},
    **dict.fromkeys(("addmm", "mm", "bmm"), _linear),
    **dict.fromkeys(("_softmax", "_log_softmax"), _softmax),
    **dict.fromkeys(("sum", "mean", "amax", "amin", "argmax", "argmin", "prod"), _reduction),
    **dict.fromkeys(("full", "full_like", "zeros", "ones", "zeros_like", "ones_like"), _fill),
    "convolution": _convolution,
    "clamp": _clamp,
    "where": _where,
    "cat": _cat,
}
