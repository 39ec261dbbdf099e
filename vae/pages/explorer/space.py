"""What a page must know to move a code by hand: what values its entries take, and from where to where."""

from __future__ import annotations

import base64
import math
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, VonMises

from vae.distributions.chain import Chain
from vae.distributions.kinds import kind_of
from vae.distributions.operations import base_of, describe
from vae.pictures.codes import center, is_discrete
from vae.pictures.variables import values_of

__all__ = ["packed", "space_of"]

TAIL = 0.5 * math.erfc(3 / math.sqrt(2))
"""Sliders go from this quantile of the prior to its mirror image: of a Gaussian, 3 standard deviations."""

DRAWN = 100
"""Samples of the prior in a page."""

KINDS = {"real", "count", "angle", "simplex", "sphere", "one-hot", "binary", "k-subset"}
"""What ``spaces.js`` can move."""


@torch.no_grad()
def space_of(prior: Distribution) -> dict[str, Any]:
    """The values of a code, as ``spaces.js`` reads them.

    Arguments:
        prior: p(z) of the hard latents, with batch shape ().

    Raises:
        NotImplementedError: If the page's scripts cannot move codes of this kind.
    """
    kind = "angle" if isinstance(base_of(prior), VonMises) else kind_of(prior)
    if kind not in KINDS:
        raise NotImplementedError(
            f"the page has no way to move codes of {describe(prior)}: {kind}"
        )
    samples = prior.sample(Size([DRAWN])).flatten(1)  # (N, D)
    start = center(prior.expand(Size([1])))[0].flatten()
    low, high = _bounds(prior, kind)
    discrete = is_discrete(prior) and kind != "count"
    return {
        "kind": kind,
        "shape": list(prior.event_shape),
        "layers": list(prior.sizes) if isinstance(prior, Chain) else [prior.event_shape[0]],
        "low": low,
        "high": high,
        "start": start.tolist(),
        "startName": _name(start, prior),
        "samples": packed(samples) if discrete else _rounded(samples),
    }


def _name(start: Tensor, prior: Distribution) -> str:
    """What a button calls the code that stands for the prior."""
    if not start.any():
        return "Zero"
    first = start.reshape(prior.event_shape)[..., 0]
    return "All first" if kind_of(prior) == "one-hot" and first.all() else "Prior's centre"


def _bounds(prior: Distribution, kind: str) -> tuple[list[float], list[float]]:
    """From where to where each entry goes, and so a slider."""
    size = prior.event_shape.numel()
    fixed = {"angle": (-math.pi, math.pi), "simplex": (0.0, 1.0), "sphere": (-1.0, 1.0)}
    discrete = {"one-hot": (0.0, 1.0), "binary": (0.0, 1.0), "k-subset": (0.0, 1.0)}
    if kind in fixed | discrete:
        low, high = (fixed | discrete)[kind]
        return [low] * size, [high] * size
    ends = values_of(prior, torch.tensor([TAIL, 1 - TAIL])).z
    return ends[0].flatten().tolist(), ends[-1].flatten().tolist()


def packed(values: Tensor) -> str:
    """Integers from 0 to 255, a byte each, in base64."""
    return base64.b64encode(values.round().to(torch.uint8).cpu().numpy().tobytes()).decode()


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 3) for value in values.flatten().tolist()]
