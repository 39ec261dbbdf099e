r"""What every bound is, in nats, to be maximised.

Every objective here has the form

.. math:: \mathbb{E}_{z_1 \dots z_K \sim q(z|x)} \big[ R(f(z_1), \dots, f(z_K)) \big] - \mathrm{penalty}(q)

with an integrand :math:`f`, evaluated at each of the K samples, a reduction :math:`R` over them,
and a penalty that needs no samples. A bound is a sum over pixels and latent variables: one number
an image.

Single-sample estimators become multi-sample ones by :meth:`Objective.swap_one_out`: the objective
as a function of sample k alone, :math:`h_k(a) = R(f_1, \dots, a, \dots, f_K)`. An estimator
multiplies the score of sample k by :meth:`Objective.signal`, which leaves out every term that does
not depend on sample k.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.func import vjp

from vae.recorded import Recorded

__all__ = ["Average", "LogMeanExp", "Model", "Objective"]


class Model(Protocol):
    """What a bound is computed of: p(x|z), p(z) and q(z|x)."""

    def posterior(self, x: Tensor) -> Distribution:
        """q(z|x) of images ``(B, *image)``, with batch shape (B,)."""

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) of latents ``(*, *event)``, with batch shape ``(*)``."""

    def prior(self) -> Distribution:
        """p(z), with batch shape ()."""

    def kl(self, q: Distribution) -> Tensor:
        """KL(q || p(z)) in nats and in closed form, with shape (B,).

        Raises:
            NotImplementedError: If it has no closed form.
        """


class Objective(nn.Module, metaclass=Recorded):
    """A bound: integrand, reduction over samples and penalty.

    A bound of one's own derives from :class:`Average` or :class:`LogMeanExp` and writes the
    integrand; one with another reduction derives from this class. Estimators name the classes that
    they are defined for.

    Attributes:
        num_samples: K. It defines the bound, so it belongs here and not to the estimator.
        holds_log_q: Whether f contains ``-log q(z)``.
    """

    num_samples: int
    holds_log_q: bool = True

    def __init__(self, num_samples: int) -> None:
        super().__init__()
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples}")
        self.num_samples = num_samples

    @abstractmethod
    def integrand(self, model: Model, x: Tensor, z: Tensor, q: Distribution) -> Tensor:
        """f, with shape (K, B), of images ``(B, *image)`` and latents ``(K, B, *event)``."""

    def penalty(self, model: Model, q: Distribution) -> Tensor | float:
        """The part of the bound that needs no samples, with shape (B,), to be subtracted."""
        return 0.0

    @abstractmethod
    def reduce(self, f: Tensor, dim: int = 0) -> Tensor:
        """R: over the sample dimension, (K, B) to (B,)."""

    @abstractmethod
    def swap_one_out(self, f: Tensor, alternative: Tensor) -> Tensor:
        """h_k: R with f_k replaced by alternative_k; (K, B), (K, B) to (K, B).

        It should take time and memory of O(K).
        """

    def share(self, f: Tensor, value: Tensor) -> Tensor:
        r"""The terms of :math:`h_k(a)` that depend on sample k; (K, B), (K, B) to (K, B)."""
        return self.swap_one_out(f, value)

    def signal(self, f: Tensor, baseline: Tensor | None = None) -> Tensor:
        r"""The learning signal: what multiplies the score of sample k, with shape (K, B).

        .. math:: R - h_k(b_k), \quad \text{under an average } (f_k - b_k) / K

        Arguments:
            f: The integrand at the K samples, with shape (K, B).
            baseline: What each :math:`f_k` is compared with, with shape (K, B). Without one the
                signal is R, under an average :math:`f_k / K`.
        """
        own = self.reduce(f).expand_as(f)
        return own if baseline is None else own - self.share(f, baseline)

    def weights(self, f: Tensor) -> Tensor:
        r""":math:`\partial R / \partial f_k`, with shape (K, B).

        Of an average 1 / K, of log-mean-exp the normalised importance weights.
        """
        bound, pull = vjp(self.reduce, f)
        return pull(torch.ones_like(bound))[0]

    def path_weights(self, f: Tensor) -> Tensor:
        r""":math:`\partial R / \partial f_k - \partial^2 R / \partial f_k^2`; (K, B) to (K, B).

        It is the weight of sample k's path where the score of :math:`\log q` is estimated by a path
        derivative too (:mod:`vae.estimators.doubly_reparameterized`).
        """

        def slopes(alternative: Tensor) -> Tensor:  # of h_k, which depends on alternative_k only
            value, pull = vjp(lambda a: self.swap_one_out(f, a), alternative)
            return pull(torch.ones_like(value))[0]

        first, pull = vjp(slopes, f)
        return first - pull(torch.ones_like(first))[0]


class Average(Objective):
    """A bound whose reduction is the mean over the K samples.

    A term ``-log q(z)`` in f then has a score of mean zero, which estimators drop, and the terms
    of the other samples do not depend on sample k. To multiply its score by them too would cost no
    bias, since a score has mean zero, but a variance that grows with K, where that of an average
    should fall as 1 / K.
    """

    def reduce(self, f: Tensor, dim: int = 0) -> Tensor:
        return f.mean(dim)

    def swap_one_out(self, f: Tensor, alternative: Tensor) -> Tensor:
        return f.mean(0) + (alternative - f) / f.shape[0]

    def share(self, f: Tensor, value: Tensor) -> Tensor:
        return value / f.shape[0]

    def signal(self, f: Tensor, baseline: Tensor | None = None) -> Tensor:
        own = f / f.shape[0]
        return own if baseline is None else own - self.share(f, baseline)

    def path_weights(self, f: Tensor) -> Tensor:
        return torch.full_like(f, 1 / f.shape[0])


class LogMeanExp(Objective):
    r"""A bound whose reduction is :math:`\log \frac1K \sum_k e^{f_k}`, of log importance weights."""

    def reduce(self, f: Tensor, dim: int = 0) -> Tensor:
        # where no sample is possible, log 0 as a finite number: its weights are not NaN
        possible = f.clamp_min(torch.finfo(f.dtype).min)
        bound = possible.logsumexp(dim) - math.log(f.shape[dim])
        return bound.masked_fill((f == -math.inf).all(dim), -math.inf)

    def swap_one_out(self, f: Tensor, alternative: Tensor) -> Tensor:
        # The sum over the others, from the left and from the right: no subtraction, so nothing
        # cancels.
        nothing = torch.full_like(f[:1], -math.inf)
        left = torch.cat([nothing, f[:-1]]).logcumsumexp(0)
        right = torch.cat([nothing, f[1:].flip(0)]).logcumsumexp(0).flip(0)
        others = torch.logaddexp(left, right)
        impossible = (others == -math.inf) & (alternative == -math.inf)
        least = torch.finfo(f.dtype).min
        total = torch.logaddexp(others.clamp_min(least), alternative.clamp_min(least))
        return (total - math.log(f.shape[0])).masked_fill(impossible, -math.inf)

    def path_weights(self, f: Tensor) -> Tensor:
        w = f.clamp_min(torch.finfo(f.dtype).min).softmax(0)
        return w.square()  # w - w (1 - w)
