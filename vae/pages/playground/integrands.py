"""What the playground averages: functions of one to three variables, for torch and as numbers for the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent
from torch.nn.functional import softplus

from vae.certify.problem import Problem, weights
from vae.distributions.normal import Normal
from vae.distributions.one_hot import OneHotCategorical

__all__ = ["CATEGORIES", "FAMILIES", "INTEGRANDS", "Family", "problem"]

CATEGORIES = 3


class Family(NamedTuple):
    """A family of q, of which the page has one to ``variables`` independent ones.

    Attributes:
        label: For people.
        variables: The most.
        entries: Of a value of one variable.
        distribution: Its class.
        make_q: Parameters, each ``(B, *shape)``, to a distribution.
        shapes: Of the parameters of D variables, by name.
    """

    label: str
    variables: int
    entries: int
    distribution: type[Distribution]
    make_q: Callable[..., Distribution]
    shapes: Callable[[int], dict[str, tuple[int, ...]]]


def _independent(base: Distribution) -> Distribution:
    return Independent(base, 1, validate_args=False)


FAMILIES = {
    "bernoulli": Family(
        "binary (Bernoulli)",
        3,
        1,
        Bernoulli,
        lambda logits: _independent(Bernoulli(logits=logits, validate_args=False)),
        lambda D: {"logit": (D,)},
    ),
    "categorical": Family(
        f"one-hot, {CATEGORIES} categories",
        3,
        CATEGORIES,
        OneHotCategorical,
        lambda logits: _independent(OneHotCategorical(logits=logits, validate_args=False)),
        lambda D: {"logit": (D, CATEGORIES)},
    ),
    "gaussian": Family(
        "Gaussian",
        2,
        1,
        Normal,
        lambda loc, log_scale: _independent(Normal(loc, log_scale.exp(), validate_args=False)),
        lambda D: {"mean": (D,), "log scale": (D,)},
    ),
}


def _mean(family: str, D: int) -> list[float]:
    """Weights of the mean of the variables' values; a category counts 0, 1/2, ..., 1."""
    if family == "categorical":
        return [c / (CATEGORIES - 1) / D for c in range(CATEGORIES)] * D
    return [1 / D] * D


def _linear(family: str, D: int) -> dict[str, Any]:
    own, n = (1.0, -0.6, 0.4), FAMILIES[family].entries
    slopes = [w * D * own[i // n] for i, w in enumerate(_mean(family, D))]
    return {"slopes": slopes}


def _quadratic(family: str, D: int) -> dict[str, Any]:
    return {"mean": _mean(family, D), "centre": 0.45}


def _step(family: str, D: int) -> dict[str, Any]:
    steepness = 4.0 if family == "gaussian" else 12.0
    return {"mean": _mean(family, D), "centre": 0.6, "steepness": steepness}


def _likelihood(family: str, D: int) -> dict[str, Any]:
    n = D * FAMILIES[family].entries
    normal = family == "gaussian"
    constant = -D * (math.log(2 * math.pi) / 2 if normal else math.log(max(2, n // D)))
    return {
        "decoder": ((1.5 if normal else 4.5) * weights(4, n, seed=11)).round(decimals=2).tolist(),
        "offsets": [0.3, -0.4, 0.1, -0.2],
        "pixels": [1, 0, 1, 1],
        "prior": {"normal": normal, "constant": constant},
        "minus_log_q": True,
    }


class Kind(NamedTuple):
    """A kind of integrand.

    Attributes:
        label: For people.
        formula: For people.
        weights: Its numbers, of a family and D.
        target: Those numbers and flat values ``(K, B, n)`` to ``(K, B)``.
        degree: Of f as a polynomial of z; None where it is none.
    """

    label: str
    formula: str
    weights: Callable[[str, int], dict[str, Any]]
    target: Callable[[dict[str, Any], Tensor], Tensor]
    degree: int | None = None

    def is_of(self, kind: str | None) -> bool:
        """Whether f is linear, or quadratic: what an estimator claims to be exact for."""
        degrees = {"linear": 1, "quadratic": 2}
        return self.degree is not None and kind is not None and self.degree <= degrees[kind]


def _of(w: dict[str, Any], name: str, like: Tensor) -> Tensor:
    return torch.tensor(w[name], dtype=like.dtype)


def _log_joint(w: dict[str, Any], z: Tensor) -> Tensor:
    logits = z @ _of(w, "decoder", z).T + _of(w, "offsets", z)
    log_p = (_of(w, "pixels", z) * logits - softplus(logits)).sum(-1) + w["prior"]["constant"]
    return log_p - z.square().sum(-1) / 2 if w["prior"]["normal"] else log_p


INTEGRANDS = {
    "likelihood": Kind(
        "a small VAE",
        "f = log p(x|z) + log p(z) − log q(z), in nats: a decoder of 4 binary pixels",
        _likelihood,
        _log_joint,
    ),
    "quadratic": Kind(
        "quadratic (REBAR's toy)",
        "f = (x − 0.45)², x the mean of the variables",
        _quadratic,
        lambda w, z: (z @ _of(w, "mean", z) - w["centre"]).square(),
        degree=2,
    ),
    "linear": Kind(
        "linear",
        "f = a·z",
        _linear,
        lambda w, z: z @ _of(w, "slopes", z),
        degree=1,
    ),
    "step": Kind(
        "a steep step",
        "f = σ(s (x − 0.6)), x the mean of the variables",
        _step,
        lambda w, z: (w["steepness"] * (z @ _of(w, "mean", z) - w["centre"])).sigmoid(),
    ),
}


def problem(
    family: str, D: int, integrands: Sequence[str], parameters: Sequence[Tensor]
) -> Problem:
    """The same expectation for torch, as :mod:`vae.certify` takes it.

    Arguments:
        family: A name in :data:`FAMILIES`.
        D: Variables.
        integrands: Names in :data:`INTEGRANDS`, one, or one for each place in the batch.
        parameters: Where its gradient is taken, of the family's shapes.
    """
    n = D * FAMILIES[family].entries
    weights = {name: INTEGRANDS[name].weights(family, D) for name in dict.fromkeys(integrands)}

    def one(name: str, z: Tensor, q: Distribution | None) -> Tensor:
        w = weights[name]
        target = INTEGRANDS[name].target(w, z.reshape(*z.shape[:2], n))
        return target - q.log_prob(z) if w.get("minus_log_q") and q is not None else target

    def of_batch(z: Tensor, q: Distribution | None) -> Tensor:  # (K, B)
        return sum(
            (
                torch.tensor([own == name for own in integrands]) * one(name, z, q)
                for name in weights
            ),
            start=torch.zeros(1, 1, dtype=z.dtype),
        )

    make_q = FAMILIES[family].make_q
    return Problem(make_q, parameters, of_batch, lambda z: of_batch(z, None))
