r"""Rényi's divergence in the place of Kullback and Leibler's.

.. math:: \mathcal{L}_\alpha = \frac{1}{1 - \alpha} \log \mathbb{E}_q\Big[\Big(\frac{p(x, z)}{q(z|x)}\Big)^{1 - \alpha}\Big]

falls with :math:`\alpha`: log p(x) at 0, the ELBO at 1. What is trained is its estimate of K samples,

.. math:: R = \frac{1}{1 - \alpha} \log \frac1K \sum_k e^{(1 - \alpha) f_k}

whose mean is another number. By Jensen's inequality it is at most :math:`\mathcal{L}_\alpha` where
:math:`\alpha < 1`, and at least that, and at most the ELBO, where :math:`\alpha > 1`: a lower bound
of log p(x) for every :math:`\alpha \ge 0`. For negative :math:`\alpha` the limit is an upper bound, and
its estimate lies on either side of log p(x).

References:
    | Rényi Divergence Variational Inference (Li & Turner, 2016), equations 11 and 14, theorem 2
    | (https://arxiv.org/abs/1602.02311).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.objectives.base import ImportanceWeighted, Model, Objective, log_weight
from vae.objectives.reductions import log_mean_exp, normalized, swap_in_log_mean_exp
from vae.ranges import assert_finite

__all__ = ["CUBO", "PowerMean", "Renyi", "VRMax"]


class PowerMean(ImportanceWeighted):
    r"""The reduction :math:`\pm \frac1p \log \frac1K \sum_k e^{p f_k}`, or the mean where p is 0.

    Arguments:
        num_samples: K.
        power: p.
        sign: 1 or -1.
    """

    def __init__(self, num_samples: int, power: float, sign: int = 1) -> None:
        super().__init__(num_samples)
        self.power, self.sign = power, sign

    def reduce(self, f: Tensor, dim: int = 0) -> Tensor:
        if self.power == 0:
            return self.sign * f.mean(dim)
        return self.sign / self.power * log_mean_exp(self.power * f, dim)

    def swap_one_out(self, f: Tensor, alternative: Tensor) -> Tensor:
        if self.power == 0:
            return self.sign * (f.sum(0) - f + alternative) / f.shape[0]
        swapped = swap_in_log_mean_exp(self.power * f, self.power * alternative)
        return self.sign / self.power * swapped

    def path_weights(self, f: Tensor) -> Tensor:
        w = normalized(self.power * f)  # w - p (w - w^2)
        return self.sign * w * (1 - self.power + self.power * w)


class Renyi(PowerMean):
    r"""The variational Rényi bound of order alpha, by its estimate of K samples.

    .. math:: \mathbb{E} \, \frac{1}{1 - \alpha} \log \frac1K \sum_k \Big(\frac{p(x, z_k)}{q(z_k|x)}\Big)^{1 - \alpha}

    Of order 0 it is the importance-weighted bound, of order 1 the ELBO; between them it lies
    between them.

    References:
        | Rényi Divergence Variational Inference (Li & Turner, 2016), equation 14
        | (https://arxiv.org/abs/1602.02311).

    Arguments:
        num_samples: K.
        alpha: The order, of any sign.
    """

    def __init__(self, num_samples: int = 5, alpha: float = 0.5) -> None:
        assert_finite("alpha", alpha)
        super().__init__(num_samples, 1 - alpha)
        self.alpha = alpha

    @property
    def bounds(self) -> str:
        if self.alpha < 0:
            return "no guaranteed bound of log p(x): an estimate, from K samples, of an upper one"
        return "a lower bound of log p(x), and no guaranteed bound of the Rényi bound's limit"


class CUBO(PowerMean):
    r"""The chi upper bound, which q is to lower: its negative, by its estimate of K samples.

    .. math:: -\mathbb{E} \, \frac1n \log \frac1K \sum_k \Big(\frac{p(x, z_k)}{q(z_k|x)}\Big)^n

    In the limit of many samples it is at least log p(x). Of K samples the mean is lower, of one it
    is the ELBO, which q would lower: with few samples use :class:`vae.ChiVI`, which estimates the
    limit's gradient. A model that lowered the bound would make the data improbable: it is for q
    only (:class:`Separate`).

    References:
        | Variational Inference via chi Upper Bound Minimization (Dieng et al., 2017), equation 3
        | (https://arxiv.org/abs/1611.00328).

    Arguments:
        num_samples: K, at least 2.
        order: n, more than 1; the authors take 2.
    """

    for_q_only = True

    def __init__(self, num_samples: int = 5, order: float = 2.0) -> None:
        if not 1 < order < math.inf:
            raise ValueError(f"order of CUBO must be more than 1 and finite, got {order}")
        if num_samples < 2:
            raise ValueError(
                f"CUBO of one sample is the ELBO, which q would lower: num_samples must be at least"
                f" 2, got {num_samples}"
            )
        super().__init__(num_samples, order, sign=-1)
        self.order = order

    @property
    def bounds(self) -> str:
        return (
            "no guaranteed bound: an estimate, from K samples, of minus an upper bound of log p(x)"
        )


class VRMax(Objective):
    r"""The largest log importance weight: the variational Rényi bound of order minus infinity.

    .. math:: \mathbb{E} \max_k \log \frac{p(x, z_k)}{q(z_k|x)}

    Only the sample of the largest weight is differentiated.

    References:
        | Rényi Divergence Variational Inference (Li & Turner, 2016), section 4.3
        | (https://arxiv.org/abs/1602.02311).

    Arguments:
        num_samples: K.
    """

    smooth = False

    def __init__(self, num_samples: int = 5) -> None:
        super().__init__(num_samples)

    @property
    def bounds(self) -> str:
        return "no guaranteed bound of log p(x): an estimate, from K samples, of an upper one"

    def integrand(self, model: Model, x: Tensor, z: Tensor, q: Distribution) -> Tensor:
        return log_weight(model, x, z, q)

    def reduce(self, f: Tensor, dim: int = 0) -> Tensor:
        return f.max(dim).values

    def swap_one_out(self, f: Tensor, alternative: Tensor) -> Tensor:
        nothing = torch.full_like(f[:1], -math.inf)
        left = torch.cat([nothing, f[:-1]]).cummax(0).values
        right = torch.cat([nothing, f[1:].flip(0)]).cummax(0).values.flip(0)
        return torch.maximum(torch.maximum(left, right), alternative)
