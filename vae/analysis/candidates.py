"""Which estimators the gradient report compares, each with its objective and its K."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vae.analysis.truth import assert_defined
from vae.distributions.operations import base_of, sizes
from vae.distributions.quantised import Quantised
from vae.estimators import ESTIMATORS, SURROGATES, Enumerate, Estimator, accepts, named
from vae.models.trust import resolve, trusting
from vae.models.vae import VAE
from vae.objectives import ELBO, Objective

__all__ = ["Candidate", "candidates"]


class Candidate(NamedTuple):
    """An estimator to measure.

    Attributes:
        name: A key of ``ESTIMATORS`` or ``SURROGATES``, or the class path of the user's own.
        estimator: The estimator.
        objective: The bound of which it estimates the gradient, with its K.
    """

    name: str
    estimator: Estimator
    objective: Objective


def candidates(
    vae: VAE,
    x: Tensor,
    make_objective: Callable[[int, bool], Objective],
    analytic_kl: bool,
    names: Sequence[str] | None,
    num_samples: int,
    evaluations: int | None,
    temperature: float,
    seed: int,
) -> dict[str, Candidate]:
    """Finds the estimators that are defined for a model and an objective.

    Arguments:
        vae: The model.
        x: Images, ``(B, *image)``.
        make_objective: Makes the bound from K, and from whether its KL is the closed form.
        analytic_kl: The form of the KL that the model was trained with.
        names: The estimators that the user named; None for every one that is defined.
        num_samples: K; an estimator that needs more gets what it needs.
        evaluations: Decoder evaluations an image, which decide K in its place.
        temperature: That of the relaxed estimators.
        seed: The seed of an estimator's own parameters.

    Returns:
        By label. An estimator that is another one, bit for bit, under the closed form of the KL is
        measured beside it under the Monte-Carlo form.

    Raises:
        NotImplementedError: If a named estimator is undefined here.
        ValueError: Likewise; if no K gives so many evaluations; or if none is left.
    """
    chosen: dict[str, Candidate] = {}
    unmatched: list[str] = []

    def choose(name: str, analytic: bool) -> None:
        torch.manual_seed(seed)
        estimator = _make(name, temperature).to(x.device).eval()
        estimator.bind(vae)
        k = _samples(estimator, vae, x, num_samples, evaluations)
        if k is None:
            unmatched.append(name)
            return
        bound = make_objective(k, analytic).to(x.device)
        try:
            assert_defined(vae, bound, estimator, x)
            if twin := estimator.twin(bound):
                if isinstance(bound, ELBO) and analytic:
                    for other in (twin.name, name):  # where they differ
                        choose(other, False)
                    return
                raise ValueError(f"{name} is {twin.name} here, bit for bit: {twin.reason}")
        except (NotImplementedError, ValueError):
            if names:
                raise
            return
        label = f"{name}, Monte-Carlo KL" if analytic < analytic_kl else name
        chosen[label] = Candidate(name, estimator, bound)

    for name in dict.fromkeys(names or ESTIMATORS | SURROGATES):
        choose(name, analytic_kl)
    if unmatched and (names or not chosen):
        raise ValueError(
            f"no K gives {evaluations} evaluations to {', '.join(unmatched)}: leave them out,"
            " or match another number"
        )
    if not chosen:
        raise ValueError("no estimator is left: all are undefined for this model and objective")
    return chosen


def _make(name: str, temperature: float) -> Estimator:
    if "." in name:  # the user's own, whose module is trusted as it was typed
        with trusting([name.partition(".")[0]]):
            found: Estimator = resolve(name, Estimator, "the list of estimators")()
        return found
    return named(name, {"temperature": temperature} if accepts(name, "temperature") else {})


def _samples(
    estimator: Estimator, vae: VAE, x: Tensor, num_samples: int, evaluations: int | None
) -> int | None:
    """K for an estimator, as given or to match the evaluations; None if no K does."""
    q = vae.posterior(x[:1])
    if isinstance(base_of(q), Quantised):  # whose samples are all the same
        return 1
    if evaluations is None:
        return max(num_samples, estimator.min_samples)
    D, C = sizes(q)
    if isinstance(estimator, Enumerate):
        return None
    for k in range(estimator.min_samples, evaluations + 1):
        if estimator.cost(k, D, C, type(base_of(q))) == evaluations:
            return k
    return None
