r"""The continuous Bernoulli distribution on [0, 1], at every logit.

.. math:: \log p(x) = (x - \tfrac12)\, l - N(l), \qquad N(l) = \log \frac{2 \sinh(l / 2)}{l}

which is the cross-entropy plus :math:`\log(l / \tanh(l / 2))`. torch's own clamps its
probabilities: beyond a logit of 15.9 in single precision its density no longer integrates to one,
and the derivative of its normaliser is zero.

:math:`N` is even. With :math:`s = |l|` its derivative is :math:`\tfrac12 - T(s)`, where
:math:`T(s) = 1/s - 1/(e^s - 1)` is the mean distance from the nearer end; both have a Taylor
series at 0, in the Bernoulli numbers.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.kl import register_kl
from torch.types import _size

from vae.distributions.log_prob import LogProb, derivatives
from vae.distributions.special import polynomial, sigmoid

__all__ = ["ContinuousBernoulli"]


_BERNOULLI_NUMBERS = [
    *(1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6),
    *(-3617 / 510, 43867 / 798, -174611 / 330, 854513 / 138),
]

_COEFFICIENTS = [b / math.factorial(2 * n) for n, b in enumerate(_BERNOULLI_NUMBERS, 1)]
"""Of s, s^3, s^5, ... in N'(s)."""


def _series(squared: Tensor, derivative: int) -> Tensor:
    """The Taylor series about 0, at s^2 <= 1: of N / s^2, of N' / s or of N''."""
    terms = 11 if squared.dtype == torch.float64 else 5
    factor = [lambda n: 1 / (2 * n), lambda n: 1.0, lambda n: 2 * n - 1.0][derivative]
    return polynomial(squared, [c * factor(n) for n, c in enumerate(_COEFFICIENTS[:terms], 1)])


def _split(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whether |l| < 1; the logit there, else 0; |l| elsewhere, else 1."""
    size = logits.abs()
    small = size < 1
    large = torch.where(small, torch.ones_like(size), size)
    return small, torch.where(small, logits, torch.zeros_like(size)), large


def _log_normalizer(logits: Tensor) -> Tensor:
    """N(l)."""
    small, l, s = _split(logits)
    near = _series(l.square(), 0) * l.square()
    return torch.where(small, near, s / 2 + (-torch.expm1(-s)).log() - s.log())


def _far_distance(s: Tensor) -> Tensor:
    decay = torch.exp(-s)  # 1 / (e^s - 1), which would overflow, is decay / (1 - decay)
    return s.reciprocal() - decay / (1 - decay)


def _distance(logits: Tensor) -> Tensor:
    """E[x] for l <= 0, 1 - E[x] for l > 0: T(|l|)."""
    small, l, s = _split(logits)
    l = torch.where(logits > 0, l, -l)
    near = 0.5 - _series(l.square(), 1) * l
    return torch.where(small, near, _far_distance(s))


def _slope(logits: Tensor, value: Tensor) -> Tensor:
    """x - E[x], without ``torch.where``, which takes more time on a CPU than all the rest."""
    size = logits.abs()
    small, positive = (size < 1).to(logits.dtype), (logits > 0).to(logits.dtype)
    large, sign = 1 - small, 2 * positive - 1
    near, far = logits.clamp(-1, 1) * small, torch.addcmul(small, size, large)
    distance = small * (0.5 - sign * _series(near.square(), 1) * near)
    distance = torch.addcmul(distance, large, _far_distance(far))
    return torch.addcmul(value - positive, sign, distance)


def _log_prob(logits: Tensor, value: Tensor) -> Tensor:
    """log p(x) in ordinary operations, for the compiler to fuse."""
    limits = torch.finfo(logits.dtype)
    logits = logits.clamp(limits.min, limits.max)
    small, l, s = _split(logits)
    near = (value - 0.5) * l - _series(l.square(), 0) * l.square()
    positive = (logits > 0).to(logits.dtype)
    far = (value - positive) * logits - (-torch.expm1(-s)).log() + s.log()
    return torch.where(small, near, far)


class _LogProb(LogProb):
    """log p(x) and its derivatives."""

    @staticmethod
    def forward(logits: Tensor, value: Tensor) -> Tensor:
        # log((1 - e^-s) / s) is right to the last digit of 1 at small s too
        limits = torch.finfo(logits.dtype)
        # (beyond 1 / tiny the ratio would be denormal, and flushed to 0)
        minus_s = logits.abs().neg_().clamp(-1 / limits.tiny, -(limits.tiny**0.5))
        log_ratio = minus_s.expm1().div_(minus_s).log_()
        from_end = value - (logits > 0).to(logits.dtype)
        return torch.addcmul(log_ratio.neg_(), from_end, logits.clamp(limits.min, limits.max))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:  # type: ignore[override]
        return derivatives(ctx, grad, _slope)


class ContinuousBernoulli(Distribution):
    r"""Creates a continuous Bernoulli distribution, :math:`p(x) \propto e^{l x}` on [0, 1].

    References:
        | The continuous Bernoulli (Loaiza-Ganem & Cunningham, 2019),
        | https://arxiv.org/abs/1907.06845, equations 3 to 6.

    Arguments:
        logits: The logit l, of any shape: log p(1) - log p(0).
    """

    arg_constraints = {"logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logits: Tensor, validate_args: bool | None = None) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=validate_args)

    def expand(
        self, batch_shape: _size, _instance: Distribution | None = None
    ) -> ContinuousBernoulli:
        new = self._get_checked_instance(ContinuousBernoulli, _instance)
        new.logits = self.logits.expand(batch_shape)
        super(ContinuousBernoulli, new).__init__(Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def probs(self) -> Tensor:
        """The parameter on the scale of the cross-entropy, sigmoid(l). It is not the mean."""
        return sigmoid(self.logits)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        if torch.compiler.is_compiling():  # which fuses it, and may not know such functions
            return _log_prob(self.logits, value)
        return _LogProb.apply(self.logits, value)  # type: ignore[no-any-return, no-untyped-call]

    @property
    def mean(self) -> Tensor:
        distance = _distance(self.logits)
        return torch.where(self.logits > 0, 1 - distance, distance)

    @property
    def variance(self) -> Tensor:
        small, l, s = _split(self.logits)
        far = s.reciprocal().square() - (torch.exp(-s / 2) / -torch.expm1(-s)).square()
        return torch.where(small, _series(l.square(), 2), far)

    def entropy(self) -> Tensor:
        small, l, s = _split(self.logits)
        near = (_series(l.square(), 0) - _series(l.square(), 1)) * l.square()
        t = s.clamp_max(100.0)  # t e^-t is nothing from there on, and NaN at infinity
        mean = 1 - t * torch.exp(-t) / -torch.expm1(-t)  # of s times the distance
        return torch.where(small, near, mean + (-torch.expm1(-s)).log() - s.log())

    def rsample(self, sample_shape: _size = Size()) -> Tensor:
        shape = self._extended_shape(Size(sample_shape))
        return self.icdf(torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device))

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        l = self.logits
        minus_s = -l.abs().clamp_min(torch.finfo(l.dtype).tiny ** 0.5)
        ratio = torch.expm1(minus_s * value) / torch.expm1(minus_s)
        return ratio * (-l.clamp_min(0) * (1 - value)).exp()

    def icdf(self, value: Tensor) -> Tensor:
        l, u = self.logits, value
        # log E[e^(l b)] / l of a Bernoulli variable b of mean u: its cumulants
        small = l.abs() < 0.1
        near, v = torch.where(small, l, torch.zeros_like(l)), u * (1 - u)
        cumulants = [v / 2, v * (1 - 2 * u) / 6, v * (1 - 6 * v) / 24]
        center = u + near * (cumulants[0] + near * (cumulants[1] + near * cumulants[2]))
        # the distance from the nearer end, for l < 0 from 0, for l > 0 from 1
        s = torch.where(small, torch.ones_like(l), l.abs())
        rest = torch.where(l > 0, u, 1 - u)
        decay = torch.exp(-s)
        inside = rest + (1 - rest) * decay
        distance = -torch.where(
            inside > 0.5,
            ((1 - rest) * torch.expm1(-s)).clamp_min(-0.75).log1p(),
            inside.clamp_min(torch.finfo(l.dtype).tiny).log(),
        )
        distance = (distance / s).clamp_max(1)
        return torch.where(small, center, torch.where(l > 0, 1 - distance, distance))


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _kl_continuous_bernoulli(p: ContinuousBernoulli, q: ContinuousBernoulli) -> Tensor:
    slope = torch.where(p.logits > 0, 0.5 - _distance(p.logits), _distance(p.logits) - 0.5)
    return (p.logits - q.logits) * slope - _log_normalizer(p.logits) + _log_normalizer(q.logits)
