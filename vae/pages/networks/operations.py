"""From ATen operations to the few that the pages' JavaScript knows."""

from __future__ import annotations

from typing import Any

from vae.pages.networks import elementwise, moves, products, reductions
from vae.pages.networks.trace import Trace
from vae.pages.networks.translation import Maker, Translation

__all__ = ["translate"]

MAKERS: dict[str, Maker] = {
    **elementwise.MAKERS,
    **moves.MAKERS,
    **products.MAKERS,
    **reductions.MAKERS,
}


def translate(found: Trace) -> Translation:
    """The page's operations of a graph.

    Raises:
        NetworkError: If pages know no such operation.
    """
    to = Translation(found)
    for node in found.nodes:
        target: Any = node.target
        name = getattr(target, "_opname", getattr(target, "__name__", str(target)))
        if name in moves.SEVERAL:
            continue
        if name not in MAKERS:
            to.refuse(node)
        MAKERS[name](to, node, name)
    return to
