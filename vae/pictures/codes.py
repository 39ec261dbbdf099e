"""The codes that pictures show: one that stands for q(z|x), and the ways between two of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal, Normal, VonMises
from torch.distributions.constraints import nonnegative_integer

from vae.distributions.chain import Chain
from vae.distributions.gaussian_mixture import GaussianMixture
from vae.distributions.operations import base_of
from vae.distributions.power_spherical import PowerSpherical
from vae.distributions.subsets import Subset

__all__ = ["center", "is_discrete", "ways"]

Way = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Two codes ``(*event)`` and positions ``(T)`` in [0, 1], to the codes there ``(T, *event)``."""


def is_discrete(p: Distribution) -> bool:
    """Whether a family says that its values are discrete."""
    try:
        return p.support is not None and bool(p.support.is_discrete)
    except NotImplementedError:
        return False


@torch.no_grad()
def center(q: Distribution) -> Tensor:
    """The code that stands for each q(z|x), ``(B, *event)``.

    It is the mode of a discrete family and the mean of another; of one that knows neither, a
    sample. Of stochastic layers it is that of one layer given that of the one before.
    """
    if isinstance(q, Chain):  # one layer after the other
        return q.follow(center, center(q.first))
    discrete = is_discrete(q)
    for name in ("mode",) if discrete else ("mean", "mode"):
        try:
            value = torch.as_tensor(getattr(q, name))
        except (NotImplementedError, AttributeError):
            continue
        if discrete:  # of a probability of 1/2, torch's Bernoulli has no mode
            value = value.masked_fill(value.isnan(), 0.0)
        if value.isfinite().all() and _supports(q, value):
            return value
    return q.sample()


def _supports(q: Distribution, value: Tensor) -> bool:
    try:
        return q.support is None or bool(q.support.check(value).all())
    except (NotImplementedError, ValueError):  # it does not say, or not by itself
        return True


def ways(q: Distribution, prior: Distribution) -> dict[str, Way]:
    """The ways between two codes of a family, by name; its own comes first.

    - ``spherical``, of Gaussians: around the prior's mean; the straight way between two typical
      codes passes through codes that are not.
    - ``arc``, of angles and of directions: the shorter one.
    - ``steps``, of discrete variables: one changes after the other.
    - ``swaps``, of k-subsets: one item after the other gives its place to another.
    - ``rounded``, of counts.
    - ``linear``, of whatever else is continuous.
    - ``mix``, of what is discrete: no codes of the model, but what its decoder makes of mixtures.
    """
    base = base_of(q)
    if isinstance(base, Chain):
        return _ways_of_layers(base)
    if isinstance(base, VonMises):
        return {"arc": _arc}
    if isinstance(base, PowerSpherical):
        return {"arc": _great_circle}
    if isinstance(base, (Normal, MultivariateNormal, GaussianMixture)):
        return {"spherical": _around(prior), "linear": _straight}
    if not is_discrete(base):
        return {"linear": _straight}
    if base.support is nonnegative_integer:
        return {"rounded": lambda a, b, t: _straight(a, b, t).round(), "mix": _straight}
    if isinstance(base, Subset):
        return {"swaps": _one_swap_at_a_time, "mix": _straight}
    inner = len(base.event_shape)
    return {"steps": lambda a, b, t: _one_by_one(a, b, t, inner), "mix": _straight}


def _ways_of_layers(q: Chain) -> dict[str, Way]:
    """All layers at once."""
    if not is_discrete(q):
        return {"linear": _straight}
    inner = len(q.variable_shape)

    def steps(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        layers = zip(q.split(a), q.split(b), strict=True)
        return torch.cat([_one_by_one(x, y, t, inner) for x, y in layers], dim=-1 - inner)

    return {"steps": steps, "mix": _straight}


def _columns(t: Tensor, like: Tensor) -> Tensor:
    return t.to(like).view(-1, *[1] * like.dim())


def _straight(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    t = _columns(t, a)
    return (1 - t) * a + t * b


def _arc(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    turn = (b - a + math.pi).remainder(2 * math.pi) - math.pi
    z = a + _columns(t, a) * turn
    return (z + math.pi).remainder(2 * math.pi) - math.pi


def _great_circle(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Between unit vectors, each of the last dimension."""
    t = _columns(t, a)
    angle = torch.atan2((a - b).norm(dim=-1, keepdim=True), (a + b).norm(dim=-1, keepdim=True)) * 2
    z = ((1 - t) * angle).sin() * a + (t * angle).sin() * b
    same = angle.sin().abs() < 1e-4  # or opposite: no arc, or no one arc
    z = torch.where(same, (1 - t) * a + t * b + 1e-6, z)
    return z / z.norm(dim=-1, keepdim=True)


def _around(prior: Distribution) -> Way:
    """Spherical interpolation of what is left of codes once the prior is made standard.

    References:
        | Sampling Generative Networks (White, 2016; https://arxiv.org/abs/1609.04468), section 2.2.
    """
    try:
        middle, scale = prior.mean, prior.stddev
    except NotImplementedError:
        middle, scale = torch.zeros(()), torch.ones(())

    def way(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        at, size = middle.to(a), scale.to(a)
        start, end = (a - at) / size, (b - at) / size
        lengths = start.norm() * end.norm()
        cosine = (start * end).sum() / lengths.clamp_min(1e-12)
        if lengths == 0 or cosine.abs() > 0.9999:  # in one line: there is no arc, or no one arc
            return _straight(a, b, t)
        angle, t = cosine.acos(), _columns(t, a)
        z = ((1 - t) * angle).sin() * start + (t * angle).sin() * end
        return at + size * z / angle.sin()

    return way


def _one_swap_at_a_time(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The items of a subset that b lacks leave one after the other, and those of b take their places."""
    steps = (a * (1 - b)).sum(-1, keepdim=True)  # as many leave as come
    done = (_columns(t, a) * steps).round()  # (T, ..., 1)
    gone = (a * (1 - b)).bool() & ((a * (1 - b)).cumsum(-1) <= done)
    come = (b * (1 - a)).bool() & ((b * (1 - a)).cumsum(-1) <= done)
    return a.expand(gone.shape).masked_fill(gone, 0.0).masked_fill(come, 1.0)


def _one_by_one(a: Tensor, b: Tensor, t: Tensor, inner: int) -> Tensor:
    """Variables, each of the last ``inner`` dimensions, change one after the other."""
    outer = a.shape[: a.dim() - inner]
    a, b = a.reshape(outer.numel(), -1), b.reshape(outer.numel(), -1)
    differ = (a != b).any(-1)
    number = differ.cumsum(0)  # of each variable among those that differ, from 1 on
    changed = (t.to(a.device)[:, None] * differ.sum()).round() >= number  # (T, L)
    z = torch.where((changed & differ)[..., None], b, a)
    return z.view(len(t), *outer, -1) if inner else z.view(len(t), *outer)
