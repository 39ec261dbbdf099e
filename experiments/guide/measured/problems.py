"""Expectations that can be summed: a toy autoencoder, and functions of a few discrete variables."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent

from vae.certify import Problem
from vae.distributions.one_hot import OneHotCategorical

__all__ = ["function_of_bits", "function_of_one_hot", "toy_vae"]


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
    decoder, offset = _normal(pixels, width, seed=10), _normal(pixels, seed=11)
    chance = torch.Generator().manual_seed(12)
    if binary:
        code = torch.randint(2, (width,), generator=chance).double()
    else:
        drawn = torch.randint(categories, (variables,), generator=chance)
        code = torch.nn.functional.one_hot(drawn, categories).double().flatten()
    chances = torch.rand(pixels, generator=chance, dtype=torch.float64)
    x = (chances < (decoder @ code + offset).sigmoid()).double()

    def log_likelihood(z: Tensor) -> Tensor:
        logits = z.double().reshape(*z.shape[:2], width) @ decoder.T + offset  # (K, B, pixels)
        return (x * logits - torch.nn.functional.softplus(logits)).sum(-1)

    if binary:
        return function_of_bits(log_likelihood, 0.8 * _normal(variables, seed=0))
    return function_of_one_hot(log_likelihood, 0.8 * _normal(variables, categories, seed=0))
