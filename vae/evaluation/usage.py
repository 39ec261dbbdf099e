r"""How many of its categories a discrete variable uses.

.. math:: \pi_{lc} = \frac1N \sum_n q(z_l = c|x_n), \qquad \mathrm{perplexity}_l = \exp H(\pi_l)

A perplexity of C says that all categories are used alike, of 1 that one is used for every image. It
says nothing of how sure q is of an image's category: the entropy of q(z|x) beside it does.

References:
    | Neural Discrete Representation Learning (van den Oord et al., 2017)
    | (https://arxiv.org/abs/1711.00937): the perplexity of its codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatch

import torch
from torch import Size, Tensor
from torch.distributions import Categorical, Distribution, OneHotCategorical

from vae.devices import double
from vae.distributions.chain import Chain
from vae.distributions.operations import base_of
from vae.distributions.subsets import Subset
from vae.models.vae import VAE
from vae.seeds import fixed_noise

__all__ = ["category_probs", "code_usage", "entropy", "perplexity", "used_categories"]


SAMPLES = 64
"""Of the layers below a stochastic layer, over which its probabilities are averaged."""

MOST_CATEGORIES = 4096
"""Of one variable. What takes more values is a number rather than a code."""


@torch.no_grad()
def category_probs(q: Distribution) -> Tensor | None:
    """q(z_l = c|x) of every variable, ``(B, L, C)``; None of what has no finite support.

    Arguments:
        q: A posterior with batch shape (B,).
    """
    probs = _probs(base_of(q))
    return None if probs is None else probs.reshape(len(probs), -1, probs.shape[-1])


@singledispatch
def _probs(base: Distribution) -> Tensor | None:
    if not base.has_enumerate_support or base.event_shape:
        return None
    values = base.enumerate_support(expand=False)  # (C, 1..)
    return None if len(values) > MOST_CATEGORIES else base.log_prob(values).exp().movedim(0, -1)


@_probs.register(OneHotCategorical)
@_probs.register(Categorical)
def _(base: OneHotCategorical | Categorical) -> Tensor:
    return base.probs


@_probs.register
def _(base: Chain) -> Tensor | None:
    """Those of the first layer, and of each other one the mean over samples of those before it."""
    first = _probs(base_of(base.first))
    if first is None:
        return None
    with fixed_noise(first.device, 0):
        _, *others = base.laws(base.sample(Size([SAMPLES])))
    found = [first, *(_probs(base_of(law)).mean(0) for law in others)]  # type: ignore[union-attr]
    return torch.cat(found[::-1] if base.reverse else found, 1)  # (B, L, C)


@_probs.register
def _(base: Subset) -> Tensor | None:
    """Each item is out of the set or in it: two categories, whose shares are the marginals."""
    try:
        mean = base.mean
    except NotImplementedError:  # too many sets to sum over
        return None
    return torch.stack([1 - mean, mean], -1)


@torch.no_grad()
def code_usage(vae: VAE, batches: Iterable[Tensor]) -> Tensor | None:
    """The share of images that falls to each category: ``(L, C)``, each row with a sum of 1.

    Arguments:
        vae: The model; of relaxed latents, the hard ones count.
        batches: Images ``(B, *image)``, at least one.

    Returns:
        The mean of q's probabilities, in float64; None where the latents are not discrete.
    """
    vae, total, count = vae.hard, None, 0
    for x in batches:
        probs = category_probs(vae.posterior(x))
        if probs is None:
            return None
        part = double(probs).sum(0)
        total = part if total is None else total + part
        count += len(x)
    return None if total is None else total / count


def entropy(probs: Tensor) -> Tensor:
    """In nats, over the last dimension."""
    return torch.special.entr(double(probs)).sum(-1)


def perplexity(usage: Tensor) -> Tensor:
    """exp H of each variable, with shape (L,), from 1 to C.

    Arguments:
        usage: Shares of the categories ``(L, C)``.
    """
    return entropy(usage).exp()


def used_categories(usage: Tensor, least: float = 0.1) -> Tensor:
    """The number of categories of each variable that are used, with shape (L,).

    Arguments:
        usage: Shares of the categories ``(L, C)``.
        least: A category counts from this part of an even share 1 / C on.
    """
    return (usage >= least / usage.shape[-1]).sum(-1)
