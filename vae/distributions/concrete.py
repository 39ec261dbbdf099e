r"""The Concrete distribution, in log space and on the simplex.

On the simplex its density overflows and underflows at low temperature; the logarithm of a sample
does neither, so that :class:`ExpRelaxedOneHotCategorical` is what a model is trained with.
:class:`RelaxedOneHotCategorical` is its image on the simplex.
"""

from __future__ import annotations

import math

import torch
from torch import Size, Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    ExpTransform,
    TransformedDistribution,
    constraints,
)
from torch.types import _size

from vae.distributions.one_hot import gumbel_like
from vae.distributions.special import finite, log_softmax

__all__ = ["ExpRelaxedOneHotCategorical", "RelaxedOneHotCategorical"]


class _LogSimplex(constraints.Constraint):
    """Vectors whose exponentials sum to one. The dependent dimension is the last."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return value.logsumexp(-1).abs() < 1e-4


class ExpRelaxedOneHotCategorical(Distribution):
    r"""Creates the Concrete (Gumbel-softmax) distribution of :math:`\log z`, z on the simplex.

    .. math:: \log z = \log\mathrm{softmax}\big((\log \pi + g) / \tau\big), \qquad g_c \sim \mathrm{Gumbel}(0, 1)

    The density is Maddison et al.'s ExpConcrete (their equation 23), with respect to the measure
    on the log-simplex.

    References:
        | The Concrete Distribution (Maddison et al., 2017), appendix C.3
        | (https://arxiv.org/abs/1611.00712).
        | Categorical Reparameterization with Gumbel-Softmax (Jang et al., 2017;
        | https://arxiv.org/abs/1611.01144).

    Arguments:
        temperature: The temperature :math:`\tau > 0`: a number or a tensor that broadcasts with
            the batch shape.
        probs: The probabilities :math:`\pi`, with shape :math:`(*, K)`.
        logits: The unnormalised log-probabilities, with shape :math:`(*, K)`.
    """

    arg_constraints = {
        "temperature": constraints.positive,
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    support = _LogSimplex()
    has_rsample = True

    def __init__(
        self,
        temperature: Tensor | float,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        categorical = Categorical(probs, logits, validate_args=validate_args)
        temperature = torch.as_tensor(
            temperature, dtype=categorical.logits.dtype, device=categorical.logits.device
        )
        batch_shape = torch.broadcast_shapes(temperature.shape, categorical.batch_shape)
        self._categorical = categorical.expand(batch_shape)
        self.temperature = temperature.expand(batch_shape)
        super().__init__(batch_shape, categorical.param_shape[-1:], validate_args=validate_args)

    def expand(
        self, batch_shape: _size, _instance: Distribution | None = None
    ) -> ExpRelaxedOneHotCategorical:
        new = self._get_checked_instance(ExpRelaxedOneHotCategorical, _instance)
        new._categorical = self._categorical.expand(batch_shape)
        new.temperature = self.temperature.expand(batch_shape)
        super(ExpRelaxedOneHotCategorical, new).__init__(
            Size(batch_shape), self.event_shape, validate_args=False
        )
        new._validate_args = self._validate_args
        return new

    @property
    def logits(self) -> Tensor:
        return self._categorical.logits

    @property
    def probs(self) -> Tensor:
        return self._categorical.probs

    def rsample(self, sample_shape: _size = Size()) -> Tensor:
        noise = gumbel_like(self.logits, self._extended_shape(Size(sample_shape)))
        return log_softmax((finite(self.logits) + noise) / self.temperature[..., None])

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        # an impossible category, of logit -inf, leaves the density on the face without it
        logits, value = torch.broadcast_tensors(self.logits, value)
        least = -(torch.finfo(logits.dtype).max ** 0.5)
        possible, none = logits > least, torch.zeros_like(logits)
        score = torch.where(possible, logits, none) - self.temperature[..., None] * torch.where(
            possible, value, none
        )
        terms = score.masked_fill(~possible, -math.inf).log_softmax(-1)
        K = possible.sum(-1).to(logits.dtype)
        density = torch.where(possible, terms, none).sum(-1) + K.lgamma()
        density = density + (K - 1) * self.temperature.log()
        return density.masked_fill((~possible & (value > least)).any(-1), -math.inf)


class RelaxedOneHotCategorical(TransformedDistribution):
    r"""Creates the Concrete distribution on the simplex, :math:`z = \exp(\log z)`.

    Prefer :class:`ExpRelaxedOneHotCategorical` where densities matter: here they are infinite or
    undefined as soon as an entry of :math:`z` underflows. Arguments as there.
    """

    arg_constraints = ExpRelaxedOneHotCategorical.arg_constraints
    support = constraints.simplex
    has_rsample = True
    base_dist: ExpRelaxedOneHotCategorical

    def __init__(
        self,
        temperature: Tensor | float,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        base = ExpRelaxedOneHotCategorical(temperature, probs, logits, validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

    def expand(
        self, batch_shape: _size, _instance: Distribution | None = None
    ) -> RelaxedOneHotCategorical:
        new = self._get_checked_instance(RelaxedOneHotCategorical, _instance)
        return super().expand(batch_shape, _instance=new)

    @property
    def temperature(self) -> Tensor:
        return self.base_dist.temperature

    @property
    def logits(self) -> Tensor:
        return self.base_dist.logits

    @property
    def probs(self) -> Tensor:
        return self.base_dist.probs
