r"""Special functions that keep their digits in single precision, value and derivative.

Differences that cancel are written out: where two large terms nearly agree, their difference has
a series or a closed form of its own. Everything is made of ordinary operations, so that autograd,
``torch.func`` and ``torch.compile`` take it as it stands; no branch that is not taken can put a
NaN into a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

__all__ = [
    "HALF_LOG_2PI",
    "bregman_lgamma",
    "change",
    "excess",
    "finite",
    "log_i0e",
    "log_softmax",
    "mean_resultant",
    "one_hot",
    "polynomial",
    "sigmoid",
    "softmax",
    "softplus_tail",
    "stirling_remainder",
    "stirling_remainder_slope",
]


HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def one_hot(index: Tensor, like: Tensor) -> Tensor:
    """Vectors of zeros with a one at the index, ``(*, C)``, of indices ``(*)``.

    ``torch.nn.functional.one_hot`` looks at the numbers, which no graph can do.

    Arguments:
        index: Integers from 0 to C - 1.
        like: Of the dtype that the vectors shall have, and C in its last dimension.
    """
    count = torch.arange(like.shape[-1], device=index.device)
    return (index.unsqueeze(-1) == count).to(like.dtype)


def polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """``coefficients[0] + coefficients[1] x + ...``, by Horner's rule."""
    result = torch.full_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        result = result * x + c
    return result


# Infinite logits
# ----------------------------------------------------------------------------------------


def finite(logits: Tensor) -> Tensor:
    """The logits, clamped to 1e28 in size.

    The law is the same, and they can be divided by a temperature, subtracted, and multiplied by 0.
    """
    bound = torch.finfo(logits.dtype).max ** 0.75
    return logits.clamp(-bound, bound)


def change(x: Tensor) -> Tensor:
    """Zero, with the gradient of x; also where x is infinite."""
    x = finite(x)
    return x - x.detach()


# Softmax
# ----------------------------------------------------------------------------------------


def softmax(x: Tensor) -> Tensor:
    """``x.softmax(-1)``, on a CPU several times as fast where the categories are few."""
    return _over_categories(torch.softmax, x)


def log_softmax(x: Tensor) -> Tensor:
    """``x.log_softmax(-1)``, on a CPU several times as fast where the categories are few."""
    return _over_categories(torch.log_softmax, x)


def _over_categories(function: Callable[[Tensor, int], Tensor], x: Tensor) -> Tensor:
    if not x.is_cpu or x.dim() < 2 or torch.compiler.is_compiling():
        return function(x, -1)
    # torch goes through the last dimension row by row, and through any other by many rows at once
    return function(x.transpose(-1, -2).contiguous(), -2).transpose(-1, -2).contiguous()


# Logistic
# ----------------------------------------------------------------------------------------


def sigmoid(logits: Tensor) -> Tensor:
    """The logistic function, with its derivative right on both sides.

    torch's derivative is y (1 - y), and in single precision 1 - y is 0 from a logit of 17 on."""
    positive = logits > 0
    small = torch.where(positive, -logits, logits).sigmoid()  # of the rarer value
    return torch.where(positive, 1 - small, small)


def softplus_tail(logits: Tensor) -> Tensor:
    """log(1 + exp(-|l|)): softplus without its linear part, in (0, log 2].

    Its derivative at 0 is that from below, so that with ``(l > 0) * l`` it adds up to softplus."""
    return softplus(torch.where(logits > 0, -logits, logits))


# x - 1 - log x, the core of every Kullback-Leibler divergence
# ----------------------------------------------------------------------------------------


def excess(difference: Tensor, log_x: Tensor, c: Tensor | None = None) -> Tensor:
    """c (x - 1 - log x) >= 0 of a ratio x, from ``difference = c (x - 1)``, ``log_x`` and c, or 1.

    Near x = 1 it is quadratic in the difference: there, the two terms would cancel to rounding
    errors, and a series takes their place.
    """
    near = difference.abs() < (0.3 if c is None else 0.3 * c)
    none = torch.zeros_like(difference)
    e = torch.where(near, difference, none)
    e = e if c is None else e / c
    s = e / (2 + e)  # log(1 + e) = 2 artanh(s)
    squared = s.square()
    series = polynomial(squared, [1 / 3, 1 / 5, 1 / 7, 1 / 9, 1 / 11, 1 / 13, 1 / 15])
    close = (s if c is None else c * s) * (e - 2 * squared * series)
    far = difference - (log_x if c is None else c * log_x)
    return torch.where(near, close, torch.where(near, none, far))


# Log-gamma
# ----------------------------------------------------------------------------------------

_STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360]
"""Of x^-1, x^-3, ... (Abramowitz & Stegun, 6.1.41)."""

_STIRLING_FROM = 8.0


def _split(a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    large = a >= _STIRLING_FROM
    fixed = torch.full_like(a, _STIRLING_FROM)
    return large, torch.where(large, a, fixed), torch.where(large, fixed, a)


def stirling_remainder(a: Tensor) -> Tensor:
    r"""The difference of log-gamma from Stirling's formula, for a > 0; about 1 / 12a.

    .. math:: \log \Gamma(a) - (a - \tfrac12) \log a + a - \tfrac12 \log 2\pi

    In single precision, log-gamma itself has no digit after the point from a = 1e6 on.
    """
    large, x, y = _split(a)
    series = polynomial(x.square().reciprocal(), _STIRLING) / x
    direct = y.lgamma() - (y - 0.5) * y.log() + y - HALF_LOG_2PI
    return torch.where(large, series, direct)


def stirling_remainder_slope(a: Tensor) -> Tensor:
    r"""The derivative of :func:`stirling_remainder`, :math:`\psi(a) - \log a + 1 / 2a`."""
    large, x, y = _split(a)
    slopes = [-(2 * n + 1) * c for n, c in enumerate(_STIRLING)]
    w = x.square().reciprocal()
    return torch.where(large, polynomial(w, slopes) * w, y.digamma() - y.log() + 0.5 / y)


def bregman_lgamma(c: Tensor, a: Tensor) -> Tensor:
    r"""A divergence's part in log-gamma, without its leading term.

    .. math:: \log\Gamma(c) - \log\Gamma(a) - (c - a) \psi(a) - c\,(x - 1 - \log x), \quad x = a / c
    """
    slope = stirling_remainder_slope(a)
    remainder = stirling_remainder(c) - stirling_remainder(a) - (c - a) * slope
    return excess((c - a) / a, c.log() - a.log()) / 2 + remainder


# Bessel
# ----------------------------------------------------------------------------------------

_I0E = [
    *(1 / 8, 9 / 128, 75 / 1024, 3675 / 32768, 59535 / 262144, 2401245 / 4194304),
    *(57972915 / 33554432, 13043905875 / 2147483648),
]
"""Of k^-1, k^-2, ... in sqrt(2 pi k) e^-k I_0(k) - 1 (Abramowitz & Stegun, 9.7.1)."""

_GAP = [1 / 2, 1 / 8, 1 / 8, 25 / 128, 13 / 32, 1073 / 1024, 103 / 32, 375733 / 32768]
"""Of k^-1, k^-2, ... in 1 - I_1(k) / I_0(k), by division of the two expansions."""


def log_i0e(k: Tensor) -> Tensor:
    """log(e^-k I_0(k)), k >= 0, with an accurate derivative.

    torch's derivative is a difference of Bessel functions that agree to 1 / 2k.
    """
    large, x, y = _bessel_split(k)
    w = x.reciprocal()
    series = (polynomial(w, _I0E) * w).log1p() - 0.5 * x.log() - HALF_LOG_2PI
    return torch.where(large, series, torch.special.i0e(y).log())


def mean_resultant(k: Tensor) -> tuple[Tensor, Tensor]:
    """I_1(k) / I_0(k), k >= 0, and what it lacks to 1, about 1 / 2k."""
    large, x, y = _bessel_split(k)
    w = x.reciprocal()
    i0e, i1e = torch.special.i0e(y), torch.special.i1e(y)
    gap = polynomial(w, _GAP) * w
    return torch.where(large, 1 - gap, i1e / i0e), torch.where(large, gap, (i0e - i1e) / i0e)


def _bessel_split(k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    start = 200.0 if k.dtype == torch.float64 else 10.0  # where the expansions are exact
    large, fixed = k >= start, torch.full_like(k, start)
    return large, torch.where(large, k, fixed), torch.where(large, fixed, k)
