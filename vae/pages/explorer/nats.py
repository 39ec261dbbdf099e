"""How many nats apart q(z|x), and its KL, are from what a page makes of them with other weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent, Normal

from vae.distributions.flow import Flow
from vae.distributions.operations import parameters, rebuild
from vae.distributions.quantised import PointMass
from vae.pages.networks.precision import Nats

__all__ = ["difference", "of_law", "of_ratio"]

DRAWS = 100

LARGE = 100.0
"""Nats from which on a difference counts in parts: 0.01 of 100, and 0.1 of 1,000, are the same."""


def of_law(law: Distribution) -> Nats | None:
    """Measures parameters of a family: the KL from the exact ones to others, the largest of a batch.

    It is estimated from samples z of the exact ones, by r - 1 - log r, of the ratio r of both
    densities: that is never below zero, and hardly varies where r is about 1
    (http://joschu.net/blog/kl-approx.html). Beside them, an output ``kl`` is compared as a number.

    Arguments:
        law: Any distribution of the family; of a flow its Gaussian is measured. A point mass has no
            density: None.
    """
    if isinstance(law, PointMass):
        return None
    names = parameters(law).keys()

    def nats(exact: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
        p, q = (_rebuilt(law, {name: x[name] for name in names}) for x in (exact, other))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            z = p.sample(Size([DRAWS]))  # type: ignore[no-untyped-call]
        log_r = q.log_prob(z) - p.log_prob(z)  # type: ignore[no-untyped-call]
        apart = _largest((log_r.expm1() - log_r).mean(0))
        return max(apart, difference(exact, other, "kl")) if "kl" in exact else apart

    return nats


def of_ratio(exact: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """Measures log-ratios: their difference, the mean over a batch of draws."""
    return float(_apart(exact["log_ratio"], other["log_ratio"]).mean())


def difference(exact: Mapping[str, Tensor], other: Mapping[str, Tensor], name: str) -> float:
    """The largest difference of an output, the sum over variables, of a batch."""
    return _largest(
        _apart(*(x[name].flatten().view(len(x[name]), -1).sum(-1) for x in (exact, other)))
    )


def _apart(exact: Tensor, other: Tensor) -> Tensor:
    scale = (exact.abs() / LARGE).clamp_min(1)
    return ((exact - other).abs() / scale).masked_fill(exact == other, 0).nan_to_num(torch.inf)


def _rebuilt(law: Distribution, values: Mapping[str, Tensor]) -> Distribution:
    if isinstance(law, Flow):
        return Independent(Normal(values["loc"], values["scale"], False), 1, False)
    return rebuild(law, **values)


def _largest(nats: Tensor) -> float:
    return float(nats.nan_to_num(torch.inf).max())
