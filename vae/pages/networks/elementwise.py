"""Operations number by number: by the same names in ATen and in the pages."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from vae.pages.networks.translation import Maker, Translation, arguments

__all__ = ["BINARY", "MAKERS", "UNARY"]

UNARY = frozenset(
    "abs acos asin atan atanh ceil cos cosh digamma erf exp expm1 floor lgamma log log1p log2 log10"
    " isnan logical_not neg reciprocal relu round rsqrt sigmoid sign sin sinh special_i0e special_i1e sqrt tan"
    " tanh trunc".split()
)
BINARY = frozenset(
    "add atan2 div eq floor_div ge gt le logical_and logical_or lt maximum minimum mul ne pow"
    " remainder sub".split()
)

LOGICAL = {"bitwise_not": "logical_not", "bitwise_and": "logical_and", "bitwise_or": "logical_or"}
"""Of truth values; of other numbers they are refused."""


def _elementwise(to: Translation, node: fx.Node, name: str) -> None:
    options = {key: value for key, value in node.kwargs.items() if value is not None}
    if options.pop("rounding_mode", "floor") != "floor" or options.pop("alpha", 1) != 1:
        to.refuse(node, "with alpha or rounding_mode trunc")
    to.add("floor_div" if "rounding_mode" in node.kwargs else name, node, node.args)


def _logical(to: Translation, node: fx.Node, name: str) -> None:
    if to.value(node).dtype != torch.bool:
        to.refuse(node, "of whole numbers")
    to.add(LOGICAL[name], node, node.args)


def _where(to: Translation, node: fx.Node, name: str) -> None:
    to.add("where", node, node.args)


def _clamp(to: Translation, node: fx.Node, name: str) -> None:
    x, *bounds = arguments(node, 3)
    named = zip(("min", "max"), bounds, strict=True)
    least, largest = (node.kwargs.get(key, value) for key, value in named)
    if least is not None:
        to.add("maximum", node, [x, least])
    if largest is not None:
        if least is not None:
            x = to.operations[-1]["out"] = f"{node.name}_least"
        to.add("minimum", node, [x, largest])


def _fill(to: Translation, node: fx.Node, name: str) -> None:
    """A constant as large as the batch."""
    stated: Any = {"zeros": 0, "ones": 1}.get(name.removesuffix("_like"))
    to.add("fill", node, [node.args[1] if stated is None else stated])


MAKERS: dict[str, Maker] = {
    **dict.fromkeys(UNARY | BINARY, _elementwise),
    **dict.fromkeys(LOGICAL, _logical),
    **dict.fromkeys(("full", "full_like", "zeros", "ones", "zeros_like", "ones_like"), _fill),
    "clamp": _clamp,
    "where": _where,
}
