r"""What sort of thing a latent variable is: what a posterior and its prior must agree on.

Two distributions can be compared where their densities are with respect to the same measure: real
vectors with real vectors, one-hot with one-hot, points of a sphere with points of that sphere. A
Gaussian has a density at a one-hot vector too, but no :math:`\log p(z) - \log q(z)` with it bounds
anything.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

__all__ = ["is_discrete", "kind", "kind_of"]


def kind_of(q: Distribution) -> str | None:
    """The kind of a distribution's samples, in words; None where its family does not say.

    Example:
        >>> import torch
        >>> from torch.distributions import Bernoulli, Dirichlet, Independent, Normal
        >>> kind_of(Independent(Normal(torch.zeros(5, 3), 1.0), 1))
        'real'
        >>> kind_of(Dirichlet(torch.ones(3)))
        'simplex'
    """
    try:
        support: Any = q.support
    except (NotImplementedError, AttributeError):
        return None
    while hasattr(support, "base_constraint"):  # of independent variables, and of mixtures
        support = support.base_constraint
    return kind(support)


def is_discrete(q: Distribution) -> bool:
    """Whether a distribution says that its samples are discrete."""
    try:
        support: Any = q.support
    except (NotImplementedError, AttributeError):
        return False
    return bool(support.is_discrete)


@singledispatch
def kind(support: Constraint) -> str:
    """The kind of a support, dispatched on its class: a support of one's own registers its word.

    An interval of real numbers is ``real``: its density is with respect to length, as theirs is.
    """
    if support.event_dim:
        return type(support).__name__.strip("_").lower()
    return "count" if support.is_discrete else "real"


@kind.register(type(constraints.boolean))
def _(support: Constraint) -> str:
    return "binary"


@kind.register(type(constraints.one_hot))
def _(support: Constraint) -> str:
    return "one-hot"
