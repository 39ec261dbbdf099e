r"""Bounds on :math:`\log p(x)`, in nats, to be maximised.

Every objective here has the form

.. math:: \mathbb{E}_{z_1 \dots z_K \sim q(z|x)} \big[ R(f(z_1), \dots, f(z_K)) \big] - \mathrm{penalty}(q)

with an integrand :math:`f`, evaluated at each of the K samples, a reduction :math:`R` over them,
and a penalty that needs no samples. The sign flips once, in ``VAEModule.training_step``; a bound
is a sum over pixels and latent variables, one number an image.

:meth:`Objective.swap_one_out` is what makes every single-sample estimator a multi-sample one: the
objective as a function of sample k alone, :math:`h_k(a) = R(f_1, \dots, a, \dots, f_K)`. An estimator
weighs the score of sample k by :meth:`Objective.signal`, in which no term stands that sample k does
not enter.
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

__all__ = ["ELBO", "IWAE", "Model", "OBJECTIVES", "Objective"]


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

    Attributes:
        num_samples: K. It defines the bound, so it belongs here and not to the estimator.
        linear: Whether R is an average. Then a ``-log q(z)`` inside f has a score of zero mean,
            which estimators drop.
        holds_log_q: Whether f has that ``-log q(z)`` in it.
    """

    num_samples: int
    linear: bool
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
        """h_k: R with f_k replaced by alternative_k. (K, B), (K, B) to (K, B), in O(K) time and
        memory."""

    def share(self, f: Tensor, value: Tensor) -> Tensor:
        r"""What of :math:`h_k(a)` is sample k's own: :math:`a / K` of an average, whose other terms
        do not depend on :math:`z_k`; else all of it. (K, B), (K, B) to (K, B).

        Weighing the score of sample k by the others' terms costs no bias, since a score has mean
        zero, but a variance that grows with K where that of an average should fall as 1 / K.
        """
        return value / f.shape[0] if self.linear else self.swap_one_out(f, value)

    def signal(self, f: Tensor, baseline: Tensor | None = None) -> Tensor:
        r"""The learning signal: what weighs the score of sample k, with shape (K, B).

        .. math:: R - h_k(b_k), \quad \text{under an average } (f_k - b_k) / K

        Without a baseline it is sample k's own share of the bound: under an average :math:`f_k / K`,
        so that the score function is the mean over k of :math:`f_k \nabla \log q(z_k)`, else R.

        Arguments:
            f: The integrand at the K samples, with shape (K, B).
            baseline: What each :math:`f_k` is compared with, with shape (K, B).
        """
        own = f / f.shape[0] if self.linear else self.reduce(f).expand_as(f)
        return own if baseline is None else own - self.share(f, baseline)

    def weights(self, f: Tensor) -> Tensor:
        r""":math:`\partial R / \partial f_k`: 1 / K, or the normalized importance weights. (K, B) to
        (K, B)."""
        bound, pull = vjp(self.reduce, f)
        return pull(torch.ones_like(bound))[0]

    def path_weights(self, f: Tensor) -> Tensor:
        r""":math:`\partial R / \partial f_k - \partial^2 R / \partial f_k^2`: the weight of sample
        k's path once the score of :math:`\log q` is a path derivative too
        (:mod:`vae.estimators.doubly_reparameterized`). (K, B) to (K, B)."""

        def slopes(alternative: Tensor) -> Tensor:  # of h_k, which alternative_k alone enters
            value, pull = vjp(lambda a: self.swap_one_out(f, a), alternative)
            return pull(torch.ones_like(value))[0]

        first, pull = vjp(slopes, f)
        return first - pull(torch.ones_like(first))[0]


class ELBO(Objective):
    r"""The evidence lower bound, as an average over K independent samples; :math:`\beta`-ELBO for
    other :math:`\beta`.

    .. math:: \mathbb{E}_q[\log p(x|z)] - \beta\, \mathrm{KL}(q(z|x) \,\|\, p(z))

    References:
        | Auto-Encoding Variational Bayes (Kingma & Welling, 2014), equations 2-3
        | (https://arxiv.org/abs/1312.6114).
        | beta-VAE (Higgins et al., 2017).

    Arguments:
        num_samples: K; the bound is the same for every K, its noise is not.
        beta: The weight of the KL term. A buffer, so that a schedule can fill it.
        analytic_kl: Closed-form KL as a penalty if true, else the Monte-Carlo log-ratio inside
            the integrand.
    """

    linear = True
    beta: Tensor

    def __init__(self, num_samples: int = 1, beta: float = 1.0, analytic_kl: bool = True) -> None:
        super().__init__(num_samples)
        if not 0 <= beta < math.inf:
            raise ValueError(f"beta must be finite and not negative, got {beta}")
        self.analytic_kl, self.holds_log_q = analytic_kl, not analytic_kl
        self.register_buffer("beta", torch.tensor(float(beta)))

    def integrand(self, model: Model, x: Tensor, z: Tensor, q: Distribution) -> Tensor:
        log_likelihood = model.decode(z).log_prob(x)  # (K, B)
        if self.analytic_kl:
            return log_likelihood
        return log_likelihood + self.beta * (model.prior().log_prob(z) - q.log_prob(z))

    def penalty(self, model: Model, q: Distribution) -> Tensor | float:
        return self.beta * model.kl(q) if self.analytic_kl else 0.0

    def reduce(self, f: Tensor, dim: int = 0) -> Tensor:
        return f.mean(dim)

    def swap_one_out(self, f: Tensor, alternative: Tensor) -> Tensor:
        return f.mean(0) + (alternative - f) / f.shape[0]

    def path_weights(self, f: Tensor) -> Tensor:
        return torch.full_like(f, 1 / f.shape[0])


class IWAE(Objective):
    r"""The importance-weighted bound: tighter with every sample.

    .. math:: \mathbb{E} \log \frac1K \sum_k \frac{p(x, z_k)}{q(z_k|x)}

    References:
        | Importance Weighted Autoencoders (Burda, Grosse & Salakhutdinov, 2016), equation 8
        | (https://arxiv.org/abs/1509.00519).

    Arguments:
        num_samples: K.
    """

    linear = False

    def __init__(self, num_samples: int = 5) -> None:
        super().__init__(num_samples)

    def integrand(self, model: Model, x: Tensor, z: Tensor, q: Distribution) -> Tensor:
        return model.decode(z).log_prob(x) + model.prior().log_prob(z) - q.log_prob(z)

    def reduce(self, f: Tensor, dim: int = 0) -> Tensor:
        # where no sample is possible, log 0 as a number: its weights are not NaN
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


OBJECTIVES: dict[str, type[Objective]] = {"elbo": ELBO, "iwae": IWAE}
