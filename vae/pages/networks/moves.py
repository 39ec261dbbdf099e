"""What only moves numbers: other shapes, strides, and tables of places.

It is found by moving the numbers 0, 1, 2, ... in the place of others: the strides of what comes out say
it all, or else the numbers themselves do.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from vae.pages.networks.trace import BATCHES
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
        to.refuse(node, "by indices that depend on the inputs")
    known, count = (
        {n.name: to.constants.get(n.name) for n in nodes},
        1,
    )  # place 0 is what is padded with
    for source in sources:
        known[source.name] = numbers = _numbers(to, node, source, count)
        count = int(numbers.max()) + 1
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: known[n.name])
    padding: Any = 0
    if name == "constant_pad_nd":
        x, pad, *rest = args
        padding, args = rest[0] if rest else 0, (x, pad, 0)
    target: Any = node.target
    places = target(*args, **kwargs)
    if to.shape(node.name)[:1] != [-1] or not bool((places == places[:1]).all()):
        to.refuse(node, "but image by image")
    table = to.table(f"{node.name}_table", places[0].long())
    to.add("move", node, [padding, *sources], table=table)


def _numbers(to: Translation, node: fx.Node, source: fx.Node, first: int) -> Tensor:
    """Numbers from the first on in the shape of a value; the same for each image."""
    value, own = to.value(source), not to.is_constant(source)
    if own and to.shape(source.name)[:1] != [-1]:
        to.refuse(node, "but image by image")
    count = value.numel() // (BATCHES[0] if own else 1)
    numbers = torch.arange(first, first + count, dtype=torch.float64)
    return numbers.view(value.shape[own:]).expand(value.shape).clone()


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
}
