"""Mutants of the search for the best q, and of its score."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from evaluator_mutation import Mutant
from known import linear_gaussian

MODULE = "vae.evaluation.best_posterior"


def amortisation(module: ModuleType) -> float:
    """L[q*] - L[q] of probabilistic PCA with a wrong encoder against its closed form, to 0.05 nats and 5 standard errors"""
    vae = linear_gaussian(2, 3, 0.4, orthogonal=False, seed=1)
    _, x = vae.draw(20)
    vae.set_encoder(shift=0.7, stretch=1.5)
    torch.manual_seed(0)
    best = module.best_posterior(vae, x, steps=200)
    gap = module.score(vae, x, best.q, 500).elbo - module.score(vae, x, vae.posterior(x), 500).elbo
    error = gap - vae.amortization_gap(x)
    return (error.mean().abs() / (0.05 + 5 * error.std() / math.sqrt(20))).item()


def elbo(module: ModuleType) -> float:
    """L[q] of probabilistic PCA against its closed form, to 5 standard errors"""
    vae = linear_gaussian(2, 3, 0.4, orthogonal=False)
    _, x = vae.draw(20)
    vae.set_encoder(shift=0.7, stretch=1.5)
    torch.manual_seed(0)
    found = module.score(vae, x, vae.posterior(x), 500)
    return ((found.elbo - vae.elbo(x)).abs() / (5 * found.variance.sqrt())).max().item()


def weights(module: ModuleType) -> float:
    """The importance-weighted bound where q is the posterior against log p(x), to 1e-3 nats"""
    vae = linear_gaussian(2, 3, 0.4)
    _, x = vae.draw(20)
    found = module.score(vae, x, vae.posterior(x), 50)
    return (found.log_mean - vae.log_p(x)).abs().max().item() / 1e-3


MUTANTS = {
    "uphill or downhill": Mutant(
        MODULE,
        "Adam minimises the ELBO: no image has another q than the encoder's",
        "gradient.neg()",
        "gradient",
        amortisation,
    ),
    "a scale that is no scale": Mutant(
        MODULE,
        "the unconstrained numbers are taken for the parameters themselves",
        "{name: transform(leaves[name]) for name, transform in maps.items()}",
        "{name: leaves[name] for name in maps}",
        amortisation,
    ),
    "the first is the best": Mutant(
        MODULE,
        "each image gets the worst of the q found, not the best",
        "nan_to_num(-math.inf).argmax(0)",
        "nan_to_num(-math.inf).argmin(0)",
        amortisation,
    ),
    "entropy forgotten (score)": Mutant(
        MODULE,
        "log q(z) is missing from the ELBO",
        " - log_q)",
        ")",
        elbo,
    ),
    "log K forgotten (q*)": Mutant(
        MODULE,
        "the sum of the weights is taken for their mean",
        "largest - math.log(num_samples)",
        "largest",
        weights,
    ),
}
