"""Flows of the library zuko, by name: its extra is ``flows``, and it is imported when first used.

zuko is at https://zuko.readthedocs.io.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from vae.distributions.flow import Moving
from vae.ranges import assert_at_least_one

__all__ = ["make_flow"]


LARGEST_ERROR = 0.01
"""Of a way there and back. Some flows search for their inverse in a box, and have none outside."""


def make_flow(
    name: str,
    dim: int,
    context: int,
    transforms: int,
    hidden: Sequence[int],
    coupling: bool,
    inverse: bool,
    options: Mapping[str, Any] | None,
) -> Moving:
    """The transformation of a flow of zuko.

    Arguments:
        name: The name of its class in ``zuko.flows``.
        dim: D, the number of variables.
        context: The width of what it depends on; 0 for nothing.
        transforms: How many follow one another, where the class takes that.
        hidden: Widths of the hidden layers of each, where the class has any.
        coupling: Whether an autoregressive class moves one half of the variables given the other, so
            that both directions take two passes in place of one and D.
        inverse: Whether the fast direction is sampling.
        options: Further arguments of the class.

    Raises:
        ValueError: If there is no zuko, or no such flow on all real vectors.
    """
    assert_at_least_one("transforms", transforms)
    for width in hidden:
        assert_at_least_one("hidden", width)
    try:
        import zuko
    except ImportError:
        raise ValueError(
            "flows need the library zuko: pip install zuko (in a clone: pip install '.[flows]')"
        ) from None
    made: Any = getattr(zuko.flows, name, None)
    if not _is_flow(made, zuko.flows.Flow):
        known = [n for n, c in vars(zuko.flows).items() if _is_flow(c, zuko.flows.Flow)]
        raise ValueError(f"zuko.flows has no flow {name!r}: it has {', '.join(sorted(known))}")
    asked: dict[str, Any] = {"hidden_features": tuple(hidden), "transforms": transforms}
    if coupling:
        asked["passes"] = 2
    device = torch.get_default_device()
    with torch.device("cpu"):  # zuko looks at values, which a model without memory has not
        moving = Moving(_made(made, name, dim, context, asked, options).transform, inverse)
        away = _round_trip(moving, dim, context)
    if not away < LARGEST_ERROR:
        raise ValueError(
            f"zuko.flows.{name} with these options does not undo itself: a point comes back {away:.2g}"
            " away"
        )
    return moving.to(device)


def _made(
    made: Any,
    name: str,
    dim: int,
    context: int,
    asked: dict[str, Any],
    options: Mapping[str, Any] | None,
) -> Any:
    """The flow, without those of the arguments asked for that its class does not take."""
    wrong: Exception
    for left_out in ((), ("passes",), ("passes", "transforms")):
        given = {k: v for k, v in asked.items() if k not in left_out} | dict(options or {})
        try:
            flow = made(dim, context, **given)
            break
        except TypeError as error:
            wrong = error
        except (AssertionError, ValueError) as error:
            raise ValueError(f"zuko.flows.{name}: {_line(error)}") from None
    else:
        raise ValueError(f"zuko.flows.{name}: {_line(wrong)}")
    if type(flow.base()).__name__ != "DiagNormal":
        raise ValueError(f"zuko.flows.{name} is over other vectors than all real ones")
    return flow


@torch.no_grad()
def _round_trip(moving: Moving, dim: int, context: int) -> float:
    """How far a flow and its inverse bring back points around 0, at worst."""
    with torch.random.fork_rng(devices=[]):
        given = torch.randn(100, context) if context else None
        u = 2 * torch.randn(100, dim)
        z, _ = moving(u, given, True)
        again, _ = moving(z, given, False)
    return (again - u).abs().max().item()


def _is_flow(made: Any, flow: type) -> bool:
    return inspect.isclass(made) and issubclass(made, flow) and made is not flow


def _line(error: Exception) -> str:
    return str(error).split("\n")[0]
