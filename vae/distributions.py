r"""Distributions over latent variables, and what estimators ask of any distribution.

Everything here is a real :class:`torch.distributions.Distribution`: shapes are ``sample_shape +
batch_shape + event_shape``, densities are in nats. Two families replace torch's because a
gradient has to pass where torch's does not let it:

* :class:`OneHotCategorical`: :math:`\log q(z) = \langle z, \log \pi \rangle` is linear in
  :math:`z`, so it is defined (and differentiable) off the vertices of the simplex, where
  relaxations and straight-through estimators evaluate it. torch takes an argmax, whose gradient
  in :math:`z` is zero.
* :class:`ExpRelaxedOneHotCategorical`: the Concrete distribution in log space. On the simplex its
  density over- and underflows at low temperature; the logarithm of a sample never does.
  :class:`RelaxedOneHotCategorical` is its image on the simplex.

Others are torch's with formulae that hold in single precision at every parameter:
:mod:`vae.bernoulli`, :mod:`vae.continuous_bernoulli`, :mod:`vae.normal`, :mod:`vae.gamma` and
:mod:`vae.von_mises`.

The functions below are dispatched on the type of distribution, as
:func:`torch.distributions.kl.register_kl` does for pairs: :func:`parameters`, :func:`rebuild`,
:func:`detach`, :func:`logits_of`, :func:`with_logits`, :func:`support`.
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    ExpTransform,
    Independent,
    TransformedDistribution,
    constraints,
)
from torch.distributions import OneHotCategorical as TorchOneHotCategorical
from torch.distributions.kl import kl_divergence, register_kl
from torch.types import _size

from vae.special import finite

__all__ = [
    "ExpRelaxedOneHotCategorical",
    "OneHotCategorical",
    "RelaxedOneHotCategorical",
    "base_of",
    "describe",
    "detach",
    "gumbel_like",
    "kl_divergence",
    "logits_of",
    "parameters",
    "rebuild",
    "support",
    "with_logits",
]

MAX_SUPPORT = 2**20
"""Largest number of joint configurations that :func:`support` is willing to list."""


def gumbel_like(logits: Tensor, shape: _size) -> Tensor:
    r"""Draws :math:`-\log(-\log U)`, finite in every dtype.

    The noise is drawn in float32 or wider, whatever autocast does; a draw of exactly zero is moved
    to the smallest positive one, or half of it. On a CPU, U is drawn at a sixth of the cost of ``exponential_``: in float32
    a multiple of :math:`2^{-24}`, to which the probabilities of what is drawn are rounded.
    """
    dtype = torch.promote_types(logits.dtype, torch.float32)
    if not logits.is_cpu:
        noise = torch.empty(shape, dtype=dtype, device=logits.device).exponential_()
        return -noise.clamp_min(torch.finfo(dtype).tiny).log()
    step = torch.finfo(dtype).eps / 2  # of uniform numbers
    uniform = torch.rand(shape, dtype=dtype, device=logits.device).clamp_min(step / 2)
    return -(-uniform.log()).log()


class OneHotCategorical(TorchOneHotCategorical):
    r"""Creates a categorical distribution over the vertices of the simplex, with a
    log-probability linear in the value.

    .. math:: \log q(z) = \sum_c z_c \log \pi_c

    Arguments:
        probs: The event probabilities :math:`\pi`, with shape :math:`(*, K)`; normalised for you.
        logits: The unnormalised log-probabilities, with shape :math:`(*, K)`.
    """

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if logits is not None:  # torch's own subtracts a logsumexp, which rounds large logits
            logits = logits.log_softmax(-1)
        # torch's own validates the inner Categorical whatever it is told
        self._categorical = Categorical(probs, logits, validate_args=validate_args)
        shape = self._categorical.param_shape
        Distribution.__init__(self, shape[:-1], shape[-1:], validate_args=validate_args)

    def expand(
        self, batch_shape: _size, _instance: Distribution | None = None
    ) -> OneHotCategorical:
        new = self._get_checked_instance(OneHotCategorical, _instance)
        return super().expand(batch_shape, _instance=new)

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        # argmax of Gumbel-perturbed logits: torch.multinomial cannot be captured in a CUDA graph.
        with torch.no_grad():
            shape = self._extended_shape(Size(sample_shape))
            index = (self.logits + gumbel_like(self.logits, shape)).argmax(-1)
            return torch.nn.functional.one_hot(index, shape[-1]).to(self.logits.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        # an impossible category, of logit -inf, must not make 0 * inf of the others, nor an
        # infinite derivative in the value
        least = torch.finfo(self.logits.dtype).min
        absent = (self.logits < least / 2**16) & (value == 0)
        return (value.masked_fill(absent, 0) * self.logits.clamp_min(least)).sum(-1)


class _LogSimplex(constraints.Constraint):
    """Vectors whose exponentials sum to one. The dependent dimension is the last."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return value.logsumexp(-1).abs() < 1e-4


class ExpRelaxedOneHotCategorical(Distribution):
    r"""Creates the Concrete (Gumbel-softmax) distribution of :math:`\log z`, the logarithm of a
    point of the simplex.

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
        return ((finite(self.logits) + noise) / self.temperature[..., None]).log_softmax(-1)

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


@register_kl(OneHotCategorical, OneHotCategorical)
def _kl_one_hot(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    # 0 log 0 = 0; infinite where q has no mass and p has. A logit of -inf stays out of the
    # products, whose gradients it would make NaN in every category.
    least = torch.finfo(p.logits.dtype).min
    probs, none = p.probs, torch.zeros_like(p.logits)
    term = probs * torch.where(probs == 0, none, p.logits - q.logits.clamp_min(least))
    # A zero given as a probability is clamped in the logits; one that underflowed is not.
    declared = (q.probs == 0) & (q.logits.exp() > torch.finfo(q.logits.dtype).tiny)
    masked = q.logits == -math.inf
    term = term + torch.where((declared | masked) & (probs != 0), math.inf, none)
    # for the gradient in q's logits, which the clamp stops at such a one
    change = torch.where(masked & (probs != 0), q.logits, none)
    return (term - probs.detach() * change).sum(-1)


# What estimators ask of a distribution
# ----------------------------------------------------------------------------------------

_ALTERNATIVES = (
    ("logits", "probs"),
    ("scale_tril", "covariance_matrix", "precision_matrix"),
)


def describe(q: Distribution) -> str:
    """The family's name for messages: ``Independent(OneHotCategorical, 1)`` prints as such."""
    if isinstance(q, Independent):
        return f"Independent({describe(q.base_dist)}, {q.reinterpreted_batch_ndims})"
    return type(q).__name__


def base_of(q: Distribution) -> Distribution:
    """The family itself: what an ``Independent`` wraps."""
    return base_of(q.base_dist) if isinstance(q, Independent) else q


@singledispatch
def parameters(q: Distribution) -> dict[str, Tensor]:
    """The tensors that define ``q``, one name for each of the alternatives (``logits`` rather
    than ``probs``)."""
    redundant = {
        name for names in _ALTERNATIVES for name in names[1:] if names[0] in q.arg_constraints
    }
    return {name: getattr(q, name) for name in q.arg_constraints if name not in redundant}


@parameters.register
def _(q: Independent) -> dict[str, Tensor]:
    return parameters(q.base_dist)


@singledispatch
def rebuild(q: Distribution, **changes: Tensor) -> Distribution:
    """A distribution of the family of ``q`` with some parameters replaced. Arguments are not
    validated again."""
    options: dict[str, Any] = {**parameters(q), **changes, "validate_args": False}
    return type(q)(**options)


@rebuild.register
def _(q: Independent, **changes: Tensor) -> Distribution:
    return Independent(
        rebuild(q.base_dist, **changes), q.reinterpreted_batch_ndims, validate_args=False
    )


def detach(q: Distribution) -> Distribution:
    """The same distribution, with no gradient to its parameters (pytorch #25783 asks for it)."""
    return rebuild(q, **{name: value.detach() for name, value in parameters(q).items()})


def logits_of(q: Distribution) -> Tensor:
    """The logits of a discrete ``q``, with shape ``batch_shape + (D,)`` (Bernoulli) or ``(D, K)``
    (one-hot).

    Raises:
        NotImplementedError: If the family has none.
    """
    found = parameters(q)
    if "logits" not in found:
        raise NotImplementedError(f"{describe(q)} has no logits")
    return found["logits"]


def with_logits(q: Distribution, logits: Tensor) -> Distribution:
    """The family of ``q`` at other logits."""
    return rebuild(q, logits=logits)


@singledispatch
def support(q: Distribution) -> Tensor:
    """All values of a discrete ``q``, with shape ``(S, *batch_shape, *event_shape)``.

    Unlike ``enumerate_support``, it lists the *joint* configurations of independent variables:
    2^D or K^L of them.

    Raises:
        NotImplementedError: If ``q`` cannot be enumerated.
        ValueError: If there are more than ``MAX_SUPPORT`` configurations.
    """
    if not q.has_enumerate_support:
        raise NotImplementedError(f"{describe(q)} has no finite support to enumerate")
    return q.enumerate_support()


@support.register
def _(q: Independent) -> Tensor:
    n = q.reinterpreted_batch_ndims
    base = q.base_dist
    if not base.has_enumerate_support:
        raise NotImplementedError(f"{describe(q)} has no finite support to enumerate")
    values = base.enumerate_support(expand=False)  # (C, 1.., *event)
    events = base.batch_shape[len(base.batch_shape) - n :]
    C, D = values.shape[0], events.numel()
    if D * math.log(C) > math.log(MAX_SUPPORT):
        raise ValueError(
            f"{describe(q)} has {C}^{D} configurations, more than the {MAX_SUPPORT} that can be enumerated"
        )
    values = values.reshape(C, *base.event_shape)
    index = torch.cartesian_prod(*[torch.arange(C, device=values.device)] * D).view(-1, D)
    joint = values[index].reshape(-1, *[1] * len(q.batch_shape), *events, *base.event_shape)
    return joint.expand(-1, *q.batch_shape, *events, *base.event_shape)
