r"""The von Mises distribution of an angle, from uniform to all but a point.

.. math:: \log q(z) = -2 \kappa \sin^2 \tfrac{z - \mu}{2} - \log 2\pi - \log\big(e^{-\kappa} I_0(\kappa)\big)

torch's polynomials for :math:`\log I_0` overflow in their derivative at small :math:`\kappa`, and
:math:`\kappa \cos(z - \mu) - \kappa` cancels at large :math:`\kappa`. So does
:math:`1 - I_1(\kappa) / I_0(\kappa) \approx 1 / 2\kappa`, on which the gradient of every divergence
rests: it is a series there.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.distributions import VonMises as TorchVonMises
from torch.distributions.kl import register_kl

from vae.distributions.special import log_i0e, mean_resultant

__all__ = ["VonMises"]


class VonMises(TorchVonMises):
    """Creates a von Mises distribution. Arguments as for torch's."""

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        exponent = -2 * self.concentration * ((value - self.loc) / 2).sin().square()
        return exponent - math.log(2 * math.pi) - log_i0e(self.concentration)

    @property
    def variance(self) -> Tensor:  # type: ignore[override]
        """The circular variance, 1 - E[cos(z - mu)]."""
        return mean_resultant(self.concentration)[1]

    def entropy(self) -> Tensor:
        k = self.concentration
        return math.log(2 * math.pi) + log_i0e(k) + k * mean_resultant(k)[1]


@register_kl(TorchVonMises, TorchVonMises)
def _kl_von_mises(p: TorchVonMises, q: TorchVonMises) -> Tensor:
    # E_p[1 - cos(z - mu_q)] = gap + resultant (1 - cos(mu_p - mu_q))
    resultant, gap = mean_resultant(p.concentration)
    apart = 2 * ((p.loc - q.loc) / 2).sin().square()
    normalizers = log_i0e(q.concentration) - log_i0e(p.concentration)
    difference = (q.concentration - p.concentration) * gap
    return normalizers + difference + q.concentration * resultant * apart
