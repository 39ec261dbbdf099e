r"""What every objective is, in nats, to be maximised.

Every objective here has the form

.. math:: \mathbb{E}_{z_1 \dots z_K \sim q(z|x)} \big[ R(f(z_1), \dots, f(z_K)) \big] - \mathrm{penalty}(q)

with an integrand :math:`f`, evaluated at each of the K samples, a reduction :math:`R` over them,
and a penalty that needs no samples. It is a sum over pixels and latent variables: one number an
image. Most are lower bounds of :math:`\log p(x)`, some bound nothing: :attr:`Objective.bounds` says
it.

Single-sample estimators become multi-sample ones by :meth:`Objective.swap_one_out`: the objective
as a function of sample k alone, :math:`h_k(a) = R(f_1, \dots, a, \dots, f_K)`. An estimator
multiplies the score of sample k by :meth:`Objective.signal`, which leaves out every term that does
not depend on sample k.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.func import vjp

from vae.objectives.reductions import log_mean_exp, normalized, swap_in_log_mean_exp
from vae.recorded import Recorded

__all__ = [
    "Average",
    "ImportanceWeighted",
    "LogMeanExp",
    "Model",
    "Objective",
    "Terms",
    "log_weight",
]


class Model(Protocol):
    """What an objective is computed of: p(x|z), p(z) and q(z|x)."""

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

    def kl_per_variable(self, q: Distribution) -> Tensor:
        """The KL of each of D independent variables, with shape (B, D): their sum is :meth:`kl`.

        Raises:
            NotImplementedError: If it has no closed form, or the variables are not independent.
        """


class Terms(NamedTuple):
    """An integrand that is a sum of two terms, which an estimator may treat apart.

    Attributes:
        reconstruction: log p(x|z); it does not depend on q but through z.
        kl: beta (log p(z) - log q(z)).
    """

    reconstruction: Callable[[Tensor, Distribution], Tensor]
    kl: Callable[[Tensor, Distribution], Tensor]

    def __call__(self, z: Tensor, q: Distribution) -> Tensor:
        return self.reconstruction(z, q) + self.kl(z, q)


Integrand = Callable[[Tensor, Distribution], Tensor] | Terms
"""``f(z, q)``: latents ``(K, B, *event)`` and the distribution they came from, to ``(K, B)``."""


class Objective(nn.Module, metaclass=Recorded):
    """What is maximised: integrand, reduction over samples and penalty.

    An objective of one's own derives from :class:`Average` or :class:`LogMeanExp` and writes the
    integrand; one with another reduction of log importance weights derives from
    :class:`ImportanceWeighted`, any other from this class. Estimators name the classes that they
    are defined for.

    Attributes:
        num_samples: K. It defines the bound, so it belongs here and not to the estimator.
        holds_log_q: Whether f contains ``-log q(z)``.
        bounds: What it bounds, in words that complete "is ...": numbers are labelled by it.
        pathwise_only: Whether f depends on q otherwise than through log q(z), so that only what
            differentiates all of f estimates its gradient
            (:attr:`vae.estimators.Estimator.differentiates_all`).
        smooth: Whether the reduction is differentiable everywhere.
        for_q_only: Whether it must not train the model, whose log p(x) it would lower; then it
            belongs into :class:`vae.Separate`.
    """

    num_samples: int
    holds_log_q: bool = True
    pathwise_only: bool = False
    smooth: bool = True
    for_q_only: bool = False

    def __init__(self, num_samples: int) -> None:
        super().__init__()
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples}")
        self.num_samples = num_samples

    @property
    def bounds(self) -> str:
        return "not known to bound log p(x)"

    def check_images(self, count: int) -> None:  # noqa: B027  # most do not care
        """Refuses to be trained on so many images.

        Raises:
            ValueError: If it was made for another number.
        """

    @abstractmethod
    def integrand(self, model: Model, x: Tensor, z: Tensor, q: Distribution) -> Tensor:
        """f, with shape (K, B), of images ``(B, *image)`` and latents ``(K, B, *event)``."""

    def at(self, model: Model, x: Tensor) -> Integrand:
        """f of a model at images ``(B, *image)``, as a function of z and q."""
        return lambda z, q: self.integrand(model, x, z, q)

    def estimate(
        self, model: Model, x: Tensor, q: Distribution, estimator: Callable[..., Any]
    ) -> Any:
        """The objective at images, with an estimator's gradient: :func:`vae.models.bound.bound`.

        Arguments:
            model: p(x|z), p(z) and q(z|x).
            x: Images ``(B, *image)``.
            q: The posterior, with batch shape (B,).
            estimator: A :class:`vae.estimators.Estimator`, which is called.

        Returns:
            Its :class:`vae.estimators.Estimate`.
        """
        estimate = estimator(q, self.at(model, x), self, context=x)
        return estimate._replace(bound=estimate.bound - self.penalty(model, q))

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

    def own(self, f: Tensor) -> Tensor:
        """The terms of R that depend on sample k, with shape (K, B): :meth:`share` at f itself."""
        return self.reduce(f).expand_as(f)

    def signal(self, f: Tensor, baseline: Tensor | None = None) -> Tensor:
        r"""The learning signal: what multiplies the score of sample k, with shape (K, B).

        .. math:: R - h_k(b_k), \quad \text{under an average } (f_k - b_k) / K

        Arguments:
            f: The integrand at the K samples, with shape (K, B).
            baseline: What each :math:`f_k` is compared with, with shape (K, B). Without one the
                signal is :meth:`own`: R, under an average :math:`f_k / K`.
        """
        own = self.own(f)
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
    """An objective whose reduction is the mean over the K samples.

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

    def own(self, f: Tensor) -> Tensor:
        return f / f.shape[0]

    def path_weights(self, f: Tensor) -> Tensor:
        return torch.full_like(f, 1 / f.shape[0])


class ImportanceWeighted(Objective):
    r"""A smooth reduction of the log importance weights.

    .. math:: f(z) = \log \frac{p(x, z)}{q(z|x)}

    The weights hold ``-log q(z)`` once, as the doubly reparameterized estimators need it.
    """

    def integrand(self, model: Model, x: Tensor, z: Tensor, q: Distribution) -> Tensor:
        return log_weight(model, x, z, q)


class LogMeanExp(ImportanceWeighted):
    r"""A reduction that is :math:`\log \frac1K \sum_k e^{f_k}`, of log importance weights."""

    def reduce(self, f: Tensor, dim: int = 0) -> Tensor:
        return log_mean_exp(f, dim)

    def swap_one_out(self, f: Tensor, alternative: Tensor) -> Tensor:
        return swap_in_log_mean_exp(f, alternative)

    def path_weights(self, f: Tensor) -> Tensor:
        return normalized(f).square()  # w - w (1 - w)


def log_weight(model: Model, x: Tensor, z: Tensor, q: Distribution) -> Tensor:
    """The log importance weight log p(x, z) - log q(z), with shape (K, B)."""
    return model.decode(z).log_prob(x) + model.prior().log_prob(z) - q.log_prob(z)
