"""The evidence lower bound, and the beta-ELBO."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.objectives.base import Average, Integrand, Model, Terms
from vae.ranges import assert_not_negative

__all__ = ["ELBO"]


class ELBO(Average):
    r"""The evidence lower bound; the :math:`\beta`-ELBO for other :math:`\beta` than 1.

    .. math:: \mathbb{E}_q[\log p(x|z)] - \beta\, \mathrm{KL}(q(z|x) \,\|\, p(z))

    References:
        | Auto-Encoding Variational Bayes (Kingma & Welling, 2014), equations 2-3
        | (https://arxiv.org/abs/1312.6114).
        | beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework
        | (Higgins et al., 2017), equation 4 (https://openreview.net/forum?id=Sy2fzU9gl).

    Arguments:
        num_samples: K, independent samples; the bound is the same for every K, its noise is not.
        beta: The weight of the KL term. It is a buffer, so that a schedule can change it.
        analytic_kl: Whether the KL is a penalty in closed form, or the log-ratio at the samples,
            inside the integrand.
    """

    beta: Tensor

    def __init__(self, num_samples: int = 1, beta: float = 1.0, analytic_kl: bool = True) -> None:
        super().__init__(num_samples)
        assert_not_negative("beta", beta)
        self.analytic_kl, self.holds_log_q = analytic_kl, not analytic_kl
        self.register_buffer("beta", torch.tensor(float(beta)))

    @property
    def bounds(self) -> str:
        if self.beta >= 1:
            return "a lower bound of log p(x)"
        return "no guaranteed bound of log p(x), since beta is less than 1"

    def integrand(self, model: Model, x: Tensor, z: Tensor, q: Distribution) -> Tensor:
        log_likelihood = model.decode(z).log_prob(x)  # (K, B)
        return (
            log_likelihood if self.analytic_kl else log_likelihood + self._log_ratio(model, z, q)
        )

    def at(self, model: Model, x: Tensor) -> Integrand:
        if self.analytic_kl or type(self).integrand is not ELBO.integrand:  # one of one's own
            return super().at(model, x)
        return Terms(
            lambda z, q: model.decode(z).log_prob(x), lambda z, q: self._log_ratio(model, z, q)
        )

    def _log_ratio(self, model: Model, z: Tensor, q: Distribution) -> Tensor:
        return self.beta * (model.prior().log_prob(z) - q.log_prob(z))

    def penalty(self, model: Model, q: Distribution) -> Tensor | float:
        return self.beta * model.kl(q) if self.analytic_kl else 0.0
