"""Expectations that can be summed: a toy autoencoder, and functions of a few discrete variables."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent

from vae.certify import Problem
from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.plackett_luce import PlackettLuceSubset

__all__ = ["function_of_bits", "function_of_one_hot", "toy_subsets", "toy_vae"]


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _bits(logits: Tensor) -> Distribution:
    return Independent(Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)


def _one_hot(logits: Tensor) -> Distribution:
    base = OneHotCategorical(logits=logits, validate_args=False)
    return Independent(base, 1, validate_args=False)


def function_of_bits(f: Callable[[Tensor], Tensor], logits: Tensor) -> Problem:
    """The expectation of a function of independent binary variables.

    Arguments:
        f: Of samples (K, B, D), to (K, B).
        logits: Of the variables, (D,).
    """
    return Problem(_bits, [logits.double()], lambda z, q: f(z.double()), f)


def function_of_one_hot(f: Callable[[Tensor], Tensor], logits: Tensor) -> Problem:
    """The expectation of a function of independent one-hot variables.

    Arguments:
        f: Of samples (K, B, D, C), to (K, B).
        logits: Of the variables, (D, C).
    """
    return Problem(_one_hot, [logits.double()], lambda z, q: f(z.double()), f)


def toy_vae(
    binary: bool = False, variables: int = 3, categories: int = 4, pixels: int = 64
) -> Problem:
    """One image of a toy autoencoder: the integrand is log p(x|z), in nats, and the KL is apart.

    The decoder is a fixed matrix, the image is drawn from it; q is some posterior away from the
    best. With 3 variables of 4 categories there are 64 codes, and the sum over them is exact.

    Arguments:
        binary: Whether the latent variables are binary, in place of one-hot ones.
        variables: How many.
        categories: Of each one-hot variable.
        pixels: Of the image.
    """
    width = variables if binary else variables * categories
    chance = torch.Generator().manual_seed(12)
    if binary:
        code = torch.randint(2, (width,), generator=chance).double()
    else:
        drawn = torch.randint(categories, (variables,), generator=chance)
        code = torch.nn.functional.one_hot(drawn, categories).double().flatten()
    f = _log_likelihood(code, pixels, chance)
    if binary:
        return function_of_bits(f, 0.8 * _normal(variables, seed=0))
    return function_of_one_hot(f, 0.8 * _normal(variables, categories, seed=0))


def toy_subsets(
    family: Callable[[int, Tensor], Distribution] = PlackettLuceSubset,
    k: int = 3,
    items: int = 6,
    pixels: int = 64,
) -> Problem:
    """The same of a code that is a subset: k items, drawn without replacement.

    Arguments:
        family: Of distributions of subsets, given k and logits.
        k: How many items are drawn.
        items: Of how many; 3 of 6 make 20 subsets.
        pixels: Of the image.
    """
    chance = torch.Generator().manual_seed(12)
    code = torch.zeros(items, dtype=torch.float64)
    code[torch.randperm(items, generator=chance)[:k]] = 1
    f = _log_likelihood(code, pixels, chance)
    logits = 0.8 * _normal(items, seed=0)
    return Problem(lambda logits: family(k, logits), [logits], lambda z, q: f(z), f)


def _log_likelihood(
    code: Tensor, pixels: int, chance: torch.Generator
) -> Callable[[Tensor], Tensor]:
    """log p(x|z) of an image that is drawn from the code, by a fixed matrix: (K, B, ...) to (K, B)."""
    width = len(code)
    decoder, offset = _normal(pixels, width, seed=10), _normal(pixels, seed=11)
    chances = torch.rand(pixels, generator=chance, dtype=torch.float64)
    x = (chances < (decoder @ code + offset).sigmoid()).double()

    def log_likelihood(z: Tensor) -> Tensor:
        logits = z.double().reshape(*z.shape[:2], width) @ decoder.T + offset  # (K, B, pixels)
        return (x * logits - torch.nn.functional.softplus(logits)).sum(-1)

    return log_likelihood
