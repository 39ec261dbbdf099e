r"""Markov transitions that leave a density unchanged: what annealing moves its chains by.

A state is ``(chains, B, *event)``, of all chains of all images at once. It is the latent z itself
or, of a transition that moves in other coordinates u, what :meth:`Transition.state` makes of z; the
density in u is that in z times the volume, :math:`|\det \partial z / \partial u|`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import singledispatch
from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from vae.distributions.subsets import KHot
from vae.evaluation.repeated import repeated
from vae.models.vae import VAE

__all__ = [
    "Density",
    "Transition",
    "discrete_transition",
    "support_of",
    "transition_of",
    "why_no_transition",
    "unchecked",
]


class Density:
    """An unnormalised log-density of states, ``(chains, B, *event)`` to ``(chains, B)``, in nats.

    It is called like a function. It may remember what it computed of the states of its chains.
    """

    def __init__(self, log_density: Callable[[Tensor], Tensor]) -> None:
        self.log_density = log_density

    def __call__(self, z: Tensor) -> Tensor:
        return self.log_density(z)

    def gradient(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The log-density and its gradient, which no parameter collects."""
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            value = self(leaf)
            if not value.requires_grad:  # the same everywhere
                return value, torch.zeros_like(z)
            (gradient,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), gradient

    def choose(self, accepted: Tensor, proposal: Tensor, z: Tensor) -> Tensor:
        """The proposals where they are ``accepted``, ``(chains, B)``; else the states z."""
        return torch.where(accepted.reshape(*accepted.shape, *[1] * (z.dim() - 2)), proposal, z)


class Transition(ABC):
    """A Markov transition that leaves :math:`e^{\\mathrm{log\\_density}}` unchanged.

    What is random is drawn from the global generator, to which an evaluation gives its own seed.

    Attributes:
        adapts: Whether a pilot run is to find the widths, which are frozen before the run that counts.
        target: The mean acceptance that the pilot run aims at.
        temperatures: How many steps take chains from q to the posterior of a model of MNIST, so that
            bounds from both sides are a fraction of a nat apart.
        states: At a time, so that all these steps take a minute or so on a CPU, and are not too few
            for its cache.
    """

    adapts: ClassVar[bool] = True
    target: ClassVar[float] = 0.65
    temperatures: ClassVar[int] = 2000
    states: ClassVar[int] = 400

    @abstractmethod
    def step(self, z: Tensor, log_density: Density, width: Tensor) -> tuple[Tensor, Tensor]:
        """The next states ``(chains, B, *event)``, and the acceptance ``(chains, B)`` in [0, 1].

        Arguments:
            z: The states.
            log_density: In the coordinates of the states.
            width: The step's size, a number or one for each image ``(B,)``, above 0.
        """

    def of(self, start: Distribution, q: Distribution) -> Transition:
        """The transition for some images; itself, if it does not look at them.

        Arguments:
            start: What the chains start from, with batch shape (B,).
            q: What the target looks like, as far as is known: q(z|x), with batch shape (B,).
        """
        return self

    def at(self, beta: float) -> Transition:
        """The transition at an inverse temperature between 0, ``start``, and 1, the target."""
        return self

    def state(self, z: Tensor) -> Tensor:
        """The states of latents z."""
        return z

    def latent(self, u: Tensor) -> Tensor:
        """The latents of states u."""
        return u

    def log_volume(self, u: Tensor) -> Tensor | float:
        """The log of the determinant of the Jacobian of :meth:`latent`, ``(chains, B)``."""
        return 0.0


@contextmanager
def unchecked() -> Iterator[None]:
    """A context in which distributions check no arguments: a chain is refused what is impossible."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


def support_of(q: Distribution) -> Constraint | None:
    """Where the density is above 0, if the family says."""
    try:
        support: Any = q.support
    except NotImplementedError:
        return None
    if isinstance(support, constraints.MixtureSameFamilyConstraint):
        support = support.base_constraint  # that of each of its components
    return support


def transition_of(model: VAE, q: Distribution | None = None) -> Transition:
    """The transition for a model's latents, chosen by the support of its prior.

    Hamiltonian Monte Carlo where it is continuous, and what :func:`discrete_transition` has where
    it is discrete. Where no family says, latents of whole numbers are taken for discrete.

    Arguments:
        model: The model, with hard latents.
        q: A posterior, whose support is asked for if the prior does not say.
    """
    from vae.evaluation.hmc import HMC, continuous_transition  # transitions themselves
    from vae.evaluation.redraws import Redraws

    prior = model.prior()
    support = support_of(prior)
    if support is None and q is not None:
        support = support_of(q)
    if support is None:
        z = prior.sample(Size([16]))
        return Redraws() if bool((z == z.round()).all()) else HMC()
    discrete = support.is_discrete
    while hasattr(support, "base_constraint"):  # of independent variables, and of mixtures
        support = support.base_constraint
    return discrete_transition(support) if discrete else continuous_transition(support)


def why_no_transition(model: VAE) -> str | None:
    """Why a model's latents cannot be moved, in one line; None if they can."""
    try:
        with torch.no_grad(), unchecked():
            prior = repeated(model.prior(), Size([1]))
            transition_of(model).of(prior, prior)
    except NotImplementedError as error:
        return str(error)
    return None


@singledispatch
def discrete_transition(support: Constraint) -> Transition:
    """The transition for discrete latents, dispatched on the class of their support.

    By default variables are drawn anew from q: that needs ``log_prob`` and ``sample`` alone.
    """
    from vae.evaluation.redraws import Redraws

    return Redraws()


@discrete_transition.register(type(constraints.one_hot))
def _(support: Constraint) -> Transition:
    from vae.evaluation.flips import OneHotFlips

    return OneHotFlips()


@discrete_transition.register(type(constraints.boolean))
def _(support: Constraint) -> Transition:
    from vae.evaluation.flips import BinaryFlips

    return BinaryFlips()


@discrete_transition.register
def _(support: KHot) -> Transition:
    from vae.evaluation.swaps import Swaps

    return Swaps()


@discrete_transition.register(type(constraints.nonnegative_integer))
@discrete_transition.register(constraints.integer_interval)
def _(support: Any) -> Transition:
    from vae.evaluation.redraws import IntegerSteps

    return IntegerSteps(support.lower_bound, getattr(support, "upper_bound", None))
