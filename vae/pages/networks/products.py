"""Linear layers, convolutions, and pooling."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from vae.pages.networks.translation import Maker, Translation, arguments

__all__ = ["MAKERS"]


def _linear(to: Translation, node: fx.Node, name: str) -> None:
    """A product with a constant matrix, whose transpose the page has; or with another."""
    *bias, x, weight = list[Any](node.args)
    if any(value != 1 for value in node.kwargs.values()):
        to.refuse(node, "with factors")
    if to.is_constant(weight) and to.value(weight).dim() == 2 and all(map(to.is_constant, bias)):
        if any(to.value(vector).dim() != 1 for vector in bias):
            to.refuse(node, "with a bias that is no vector")
        to.turned.add(weight.name)
        rows = to.table(f"{weight.name}_rows", to.constants[weight.name].T.contiguous())
        to.add("linear", node, [x, rows, *bias])
        return
    to.add("matmul", node, [x, weight])
    if bias:
        to.operations[-1]["out"] = f"{node.name}_product"
        to.add("add", node, [f"{node.name}_product", *bias])


def _solve(to: Translation, node: fx.Node, name: str) -> None:
    """x of a x = b, of a triangular matrix a and as many columns as b has."""
    a, b = arguments(node, 2)
    if not node.kwargs.get("left", True) or node.kwargs.get("unitriangular", False):
        to.refuse(node, "from the right, or with a diagonal of ones")
    to.add("solve_triangular", node, [a, b], upper=node.kwargs["upper"])


def _convolution(to: Translation, node: fx.Node, name: str) -> None:
    x, weight, bias, stride, padding, dilation, transposed, _, groups = list[Any](node.args)
    if not to.is_constant(weight) or to.value(x).dim() != 4:
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


def _average_pool(to: Translation, node: fx.Node, name: str) -> None:
    """A convolution of each channel by itself."""
    x, size, stride, padding, ceil, with_edge, divisor = arguments(node, 7)
    if ceil or divisor or (any(padding or ()) and with_edge is False):
        to.refuse(node, "with ceil_mode, divisor_override, or without its padding")
    channels = to.value(x).shape[-3]
    mean = torch.full((channels, 1, *size), 1 / (size[0] * size[1]))
    to.add(
        "conv2d",
        node,
        [x, to.table(f"{node.name}_weight", mean)],
        stride=stride or size,
        padding=padding or [0, 0],
        dilation=[1, 1],
        groups=channels,
    )


def _max_pool(to: Translation, node: fx.Node, name: str) -> None:
    """Two values: the largest entries, which are made here where they are taken, and their places."""
    x, size, stride, padding, dilation, ceil = arguments(node, 6)
    if ceil or any(user.args[1] != 0 for user in node.users):
        to.refuse(node, "with ceil_mode, or with its indices")
    for user in node.users:
        to.add(
            "max_pool2d",
            user,
            [x],
            kernel=size,
            stride=stride or size,
            padding=padding or [0, 0],
            dilation=dilation or [1, 1],
        )


MAKERS: dict[str, Maker] = {
    **dict.fromkeys(("addmm", "mm", "bmm"), _linear),
    "avg_pool2d": _average_pool,
    "convolution": _convolution,
    "linalg_solve_triangular": _solve,
    "max_pool2d_with_indices": _max_pool,
}
