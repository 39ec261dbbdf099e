"""Sums, means, softmax: over some of an image's dimensions, never over the images of a batch."""

from __future__ import annotations

from typing import Any

from torch import fx

from vae.pages.networks.translation import Maker, Translation, arguments

__all__ = ["ALONG", "MAKERS", "REDUCTIONS"]

REDUCTIONS = frozenset("sum mean var amax amin argmax argmin prod any".split())
ALONG = frozenset("softmax log_softmax cumsum logcumsumexp".split())


def _reduction(to: Translation, node: fx.Node, name: str) -> None:
    x, asked, correction = arguments(node, 3)
    asked = node.kwargs.get("dim") if asked is None else asked
    if asked is None or asked == []:
        asked = range(to.value(x).dim())
    dims = sorted(to.dim(x, d) for d in ([asked] if isinstance(asked, int) else asked))
    _assert_apart(to, node, x, dims)
    options = {"correction": 1 if correction is None else correction} if name == "var" else {}
    to.add(name, node, [x], dims=dims, **options)


def _topk(to: Translation, node: fx.Node, name: str) -> None:
    """Two values: the largest entries, and their places, each made where it is taken."""
    x, k, dim, largest, _ = arguments(node, 5)
    dim = to.dim(x, -1 if dim is None else dim)
    _assert_apart(to, node, x, [dim])
    if largest is False:
        to.refuse(node, "of the smallest")
    for user in node.users:
        places = bool(user.args[1])
        to.add("topk", user, [x], k=k, dim=dim, places=places)


def _along(to: Translation, node: fx.Node, name: str) -> None:
    x, dim, _ = arguments(node, 3)
    dim = to.dim(x, dim)
    _assert_apart(to, node, x, [dim])
    to.add(name.lstrip("_"), node, [x], dim=dim)


def _assert_apart(to: Translation, node: fx.Node, x: Any, dims: list[int]) -> None:
    shape = to.shape(x.name)
    if any(shape[d] < 0 for d in dims):
        to.refuse(node, "over the images of a batch")


MAKERS: dict[str, Maker] = {
    **dict.fromkeys(REDUCTIONS, _reduction),
    "topk": _topk,
    **dict.fromkeys((*ALONG, *(f"_{name}" for name in ALONG)), _along),
}
