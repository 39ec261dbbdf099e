"""What only moves numbers: other shapes, strides, and tables of places.

It is found by moving the numbers 0, 1, 2, ... in the place of others: the strides of what comes out say
it all, or else the numbers themselves do.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, fx

from vae.pages.networks.translation import Maker, Translation

__all__ = ["MAKERS", "SEVERAL"]

VIEWS = (
    "as_strided broadcast_in_dim diagonal expand getitem permute select slice squeeze t transpose"
)
SHAPES = "_to_copy _unsafe_view alias clone contiguous detach reshape view"
TABLES = (
    "_unsafe_index constant_pad_nd embedding flip gather index index_copy index_put index_select"
    " repeat roll select_scatter slice_scatter upsample_nearest2d"
)

SEVERAL = frozenset(("split", "split_with_sizes", "unbind"))
"""Views that are several values: each is made where it is taken, by ``getitem``."""


def _view(to: Translation, node: fx.Node, name: str) -> None:
    """A choice of places with regular steps; another shape only, where they are all in order."""
    source: Any = node.args[0]
    steps = [node]
    if name == "getitem":
        if any(made["out"] == node.name for made in to.operations):
            return
        steps = [source, node]
        source = source.args[0]
    small, large = (_moved(to, source, steps, size) for size in (0, 1))
    if all(
        m.is_contiguous() and m.numel() == to.value(source, i).numel()
        for i, m in enumerate((small, large))
    ):
        to.add("reshape", node, [source])
        return
    strides = to.sizes(small.stride(), large.stride(), node.name)
    (offset,) = to.sizes([small.storage_offset()], [large.storage_offset()], node.name)
    to.add("strided", node, [source], strides=strides, offset=offset)


def _moved(to: Translation, source: fx.Node, steps: list[fx.Node], size: int) -> Tensor:
    like = to.value(source, size)
    numbers = torch.arange(like.numel()).view(like.shape)
    for step in steps:
        step = to.twins[step.name] if size else step
        target: Any = step.target
        numbers = target(numbers, *step.args[1:], **step.kwargs)
    return numbers


def _shape(to: Translation, node: fx.Node, name: str) -> None:
    source = node.all_input_nodes[0]
    before, after = to.value(source).dtype, to.value(node).dtype
    if after == torch.bool != before:
        to.add("ne", node, [source, 0])
    elif before.is_floating_point and not after.is_floating_point:
        to.add("trunc", node, [source])
    else:
        to.add("reshape", node, [source])


def _table(to: Translation, node: fx.Node, name: str) -> None:
    """For each image, places among its own numbers and those that all images share."""
    nodes = node.all_input_nodes
    sources = [n for n in nodes if to.value(n).dtype.is_floating_point]
    if not all(to.is_constant(n) for n in nodes if n not in sources):
        if name == "gather":
            _gather(to, node, name)
            return
        to.refuse(node, "by indices that depend on the inputs")
    known, count = {n.name: to.constants.get(n.name) for n in nodes}, 1  # 0 is what is padded with
    for source in sources:
        known[source.name] = numbers = _numbers(to, node, source, count)
        count = int(numbers.max()) + 1
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: known[n.name])
    padding: Any = 0
    if name == "constant_pad_nd":
        x, pad, *rest = args
        padding, args = rest[0] if rest else 0, (x, pad, 0)
    target: Any = node.target
    axis = _axis(to, node, node)
    places = target(*args, **kwargs).movedim(axis, 0)
    if not bool((places == places[:1]).all()):
        to.refuse(node, "but image by image")
    table = to.table(f"{node.name}_table", places[0].long())
    given = [n if to.is_constant(n) else _images_first(to, node, n) for n in sources]
    to.add("move", node, [padding, *given], table=table)
    if axis:
        made = to.operations[-1]
        made["out"], rest = f"{node.name}_by_image", [n for n in made["shape"] if n >= 0]
        made["shape"] = [-1, *rest]
        order = [*range(1, axis + 1), 0, *range(axis + 1, len(rest) + 1)]
        _permute(to, made["out"], made["shape"], order, node.name)


def _gather(to: Translation, node: fx.Node, name: str) -> None:
    """Entries along one dimension, at places that are computed; a scatter puts a number there."""
    x, dim, index, *value = list[Any](node.args)
    to.add(name, node, [x, index, *value], dim=to.dim(x, dim))


def _images_first(to: Translation, node: fx.Node, source: fx.Node) -> Any:
    """A value with the batch as its first dimension."""
    axis, shape = _axis(to, node, source), to.shape(source.name)
    if axis == 0:
        return source
    order = [axis, *(d for d in range(len(shape)) if d != axis)]
    name = f"{source.name}_for_{node.name}"
    _permute(to, source.name, shape, order, name)
    return name


def _permute(to: Translation, name: str, shape: list[int], order: list[int], out: str) -> None:
    """Adds the operation that changes the order of a value's dimensions, of which one is the batch."""
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= size  # once by -1, which makes it a multiple of the batch
    to.operations.append(
        {
            "op": "strided",
            "in": [name],
            "out": out,
            "shape": [shape[d] for d in order],
            "strides": [strides[d] for d in order],
            "offset": 0,
        }
    )


def _axis(to: Translation, node: fx.Node, x: fx.Node) -> int:
    """The dimension of a value that is the batch."""
    shape = to.shape(x.name)
    if shape.count(-1) != 1 or any(size < -1 for size in shape):
        to.refuse(node, "but image by image")
    return shape.index(-1)


def _numbers(to: Translation, node: fx.Node, source: fx.Node, first: int) -> Tensor:
    """Numbers from the first on in the shape of a value; the same for each image."""
    value = to.value(source)
    shape = list(value.shape)
    if not to.is_constant(source):
        shape[_axis(to, node, source)] = 1
    count = math.prod(shape)
    numbers = torch.arange(first, first + count, dtype=torch.float64)
    return numbers.view(shape).expand(value.shape).clone()


def _cat(to: Translation, node: fx.Node, name: str) -> None:
    parts: Any = node.args[0]
    dim: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    kept = [part for part in parts if to.value(part).numel()]
    to.add("cat", node, kept, dim=to.dim(node, dim))


MAKERS: dict[str, Maker] = {
    **dict.fromkeys([*VIEWS.split(), "unfold", "unsqueeze"], _view),
    **dict.fromkeys(SHAPES.split(), _shape),
    **dict.fromkeys(TABLES.split(), _table),
    "cat": _cat,
    "scatter": _gather,
}
