"""What a page must know to move a code by hand: what values its entries take, and from where to where."""

from __future__ import annotations

import base64
import math
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Normal, VonMises

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

WHOLE = {
    "angle": (-math.pi, math.pi),
    **dict.fromkeys(("simplex", "one-hot", "binary", "k-subset"), (0.0, 1.0)),
}
"""Kinds whose entries have ends."""

KINDS = {"real", "count", "sphere", *WHOLE}
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
    low, high, words = _bounds(prior, kind)
    discrete = is_discrete(prior) and kind != "count"
    return {
        "kind": kind,
        "shape": list(prior.event_shape),
        "layers": list(prior.sizes) if isinstance(prior, Chain) else [prior.event_shape[0]],
        "low": low,
        "high": high,
        "range": words,
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


def _bounds(prior: Distribution, kind: str) -> tuple[list[float], list[float], str]:
    """From where to where each entry goes, and what that is in words."""
    size = prior.event_shape.numel()
    if kind in WHOLE:
        low, high = WHOLE[kind]
        return [low] * size, [high] * size, "all that there is"
    levels = torch.tensor([TAIL, 1 - TAIL])
    if kind == "sphere":
        ends = prior.sample(Size([10_000])).flatten(1).quantile(levels, 0)
    else:
        ends = values_of(prior, levels).z[[0, -1]].flatten(1)
    gaussian = isinstance(base_of(prior), Normal)
    words = "3 standard deviations" if gaussian else f"quantiles {TAIL:.1%} and {1 - TAIL:.1%}"
    return ends[0].tolist(), ends[1].tolist(), f"{words} of the prior"


def packed(values: Tensor) -> str:
    """Integers from 0 to 255, a byte each, in base64."""
    return base64.b64encode(values.round().to(torch.uint8).cpu().numpy().tobytes()).decode()


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 3) for value in values.flatten().tolist()]
