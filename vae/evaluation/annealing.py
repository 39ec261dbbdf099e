r"""Annealing: chains from a start to the posterior, with the weights of importance sampling.

They go from a start s(z), the prior or q(z|x), to p(x, z), along densities at inverse temperatures
:math:`0 = \beta_0 < \dots < \beta_T = 1`,

.. math:: f_\beta(z) = s(z) \, \Big(\frac{p(x, z)}{s(z)}\Big)^\beta, \qquad
    \log w = \sum_{t=1}^T (\beta_t - \beta_{t-1}) \log \frac{p(x, z_{t-1})}{s(z_{t-1})},

where :math:`z_0 \sim s` and a transition that leaves :math:`f_{\beta_t}` unchanged makes
:math:`z_t` of :math:`z_{t-1}`. Then :math:`\mathbb{E}[w] = p(x)`. With T = 1 it is importance sampling.

References:
    | Annealed importance sampling (Neal, 2001), equations 3 to 11
    | (https://arxiv.org/abs/physics/9803008).
    | On the quantitative analysis of decoder-based generative models (Wu et al., 2017)
    | (https://arxiv.org/abs/1611.04273).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vae.devices import double
from vae.evaluation.repeated import repeated
from vae.evaluation.transitions import Density, Transition, transition_of, unchecked
from vae.models.one_dnn import OneDNN
from vae.models.vae import VAE

__all__ = [
    "Annealed",
    "Bridge",
    "Moment",
    "Schedule",
    "Start",
    "anneal",
    "pilot",
    "summed_up",
    "temperatures_of",
]


Start = Literal["q", "prior"]
"""Where the chains start from."""

Schedule = Literal["sigmoid", "linear"]
"""How temperatures lie: ``sigmoid`` dense at both ends (Wu et al., 2017, section 2.3), or evenly."""


class Annealed(NamedTuple):
    """What the chains of B images give.

    Attributes:
        log_weights: In nats, float64 ``(chains, B)``.
        acceptance: The mean over chains and temperatures, ``(B,)``.
    """

    log_weights: Tensor
    acceptance: Tensor

    @property
    def log_mean(self) -> Tensor:
        """The log of the mean weight in nats, ``(B,)``."""
        return self.log_weights.logsumexp(0) - math.log(len(self.log_weights))

    @property
    def effective(self) -> Tensor:
        """The effective number of chains, ``(B,)`` between 1 and all of them."""
        return (2 * self.log_weights.log_softmax(0)).logsumexp(0).neg().exp()


class Moment(NamedTuple):
    """The chains after the transition at one temperature.

    Attributes:
        u: Their states, ``(chains, B, *event)``.
        log_weights: In nats, float64 ``(chains, B)``.
        acceptance: Of the transition, ``(chains, B)``.
    """

    u: Tensor
    log_weights: Tensor
    acceptance: Tensor


class Bridge:
    """The densities between a start and p(x, z), of B images.

    Arguments:
        vae: The model, with hard latents.
        x: The images ``(B, *image)``.
        start: ``q`` or ``prior``.
        transition: What moves the chains; by default what suits the model's latents.
    """

    def __init__(
        self, vae: VAE, x: Tensor, start: Start = "q", transition: Transition | None = None
    ) -> None:
        self.vae, self.x = vae, x
        with torch.no_grad(), unchecked():
            q = vae.posterior(x)
            self.prior = repeated(vae.prior(), q.batch_shape)
        self.start: Distribution = q if start == "q" else self.prior
        transition = transition_of(vae, q) if transition is None else transition
        self.transition = transition.of(self.start, q)
        self._known: list[_Decoded] = []

    def sample(self, chains: int) -> Tensor:
        """States ``(chains, B, *event)`` drawn from the start."""
        return self.transition.state(self.start.sample(Size([chains])))

    def at(self, beta: float) -> Density:
        """The density at an inverse temperature."""
        return _Tempered(self, beta)

    def log_ratio(self, u: Tensor) -> Tensor:
        """log p(x, z) - log s(z) in nats, ``(chains, B)``."""
        return self.log_likelihood(u) + self.log_prior_ratio(self.transition.latent(u))

    def log_prior_ratio(self, z: Tensor) -> Tensor | float:
        """log p(z) - log s(z)."""
        if self.start is self.prior:
            return 0.0
        return self.prior.log_prob(z) - self.start.log_prob(z)

    def log_start(self, u: Tensor) -> Tensor:
        """The log-density of the start in the coordinates of the states."""
        return self.start.log_prob(self.transition.latent(u)) + self.transition.log_volume(u)

    # The decoder is nearly all of the time: what it said of the present states and of the last
    # proposals is remembered, at every temperature.

    def log_likelihood(self, u: Tensor) -> Tensor:
        """log p(x|z) in nats, ``(chains, B)``."""
        found = self._recall(u)
        if found is None:
            found = self._remember(_Decoded(u, self._decode(u)))
        return found.log_likelihood

    def slope(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """log p(x|z) and its gradient in u."""
        found = self._recall(u)
        if found is None or found.slope is None:
            found = self._remember(_Decoded(u, *Density(self._decode).gradient(u)))
        assert found.slope is not None
        return found.log_likelihood, found.slope

    def chosen(self, u: Tensor, accepted: Tensor, proposal: Tensor, before: Tensor) -> None:
        """The states u are ``proposal`` where it was accepted, else ``before``."""
        new, old = self._recall(proposal), self._recall(before)
        self._known = []
        if new is None or old is None:
            return
        slope = None
        if new.slope is not None and old.slope is not None:
            wide = accepted.reshape(*accepted.shape, *[1] * (u.dim() - 2))
            slope = torch.where(wide, new.slope, old.slope)
        value = torch.where(accepted, new.log_likelihood, old.log_likelihood)
        self._remember(_Decoded(u, value, slope))

    def _decode(self, u: Tensor) -> Tensor:
        with OneDNN():
            return self.vae.decode(self.transition.latent(u)).log_prob(self.x)

    def _recall(self, u: Tensor) -> _Decoded | None:
        return next((known for known in self._known if known.u is u), None)

    def _remember(self, new: _Decoded) -> _Decoded:
        self._known = [*[known for known in self._known[:1] if known.u is not new.u], new]
        return new


class _Decoded(NamedTuple):
    """What the decoder said of some states."""

    u: Tensor
    log_likelihood: Tensor
    slope: Tensor | None = None


class _Tempered(Density):
    def __init__(self, bridge: Bridge, beta: float) -> None:
        self.bridge, self.beta = bridge, beta

    def __call__(self, u: Tensor) -> Tensor:
        return self._rest(u) + self.beta * self.bridge.log_likelihood(u)

    def gradient(self, u: Tensor) -> tuple[Tensor, Tensor]:
        rest, gradient = Density(self._rest).gradient(u)
        log_likelihood, slope = self.bridge.slope(u)
        return rest + self.beta * log_likelihood, gradient + self.beta * slope

    def choose(self, accepted: Tensor, proposal: Tensor, z: Tensor) -> Tensor:
        u = super().choose(accepted, proposal, z)
        self.bridge.chosen(u, accepted, proposal, z)
        return u

    def _rest(self, u: Tensor) -> Tensor:
        ratio = self.bridge.log_prior_ratio(self.bridge.transition.latent(u))
        return self.bridge.log_start(u) + self.beta * ratio


def temperatures_of(number: int, schedule: Schedule = "sigmoid") -> Tensor:
    """T + 1 inverse temperatures from 0 to 1, float64.

    Arguments:
        number: T, the number of intervals.
        schedule: How they lie.

    Raises:
        ValueError: If there is no interval.
    """
    if number < 1:
        raise ValueError(f"temperatures must be at least 1, got {number}")
    betas = torch.linspace(0, 1, number + 1, dtype=torch.float64)
    if schedule == "linear":
        return betas
    betas = (4 * (2 * betas - 1)).sigmoid()
    return (betas - betas[0]) / (betas[-1] - betas[0])


@torch.no_grad()
def anneal(bridge: Bridge, betas: Tensor, widths: Tensor, u: Tensor) -> Iterator[Moment]:
    """Takes chains along inverse temperatures, in the order given; a moment for each but the first.

    Arguments:
        bridge: The densities.
        betas: Inverse temperatures ``(T + 1,)``; from 1 down to 0, chains go the other way.
        widths: Of the transitions at them, ``(T + 1,)``; that at the first is not used.
        u: States ``(chains, B, *event)`` that are exact samples at the first.
    """
    log_weights = double(u.new_zeros(u.shape[:2]))
    for (before, beta), width in zip(pairwise(betas.tolist()), widths[1:], strict=True):
        with unchecked():
            log_weights = log_weights + (beta - before) * double(bridge.log_ratio(u))
            transition = bridge.transition.at(beta)
            u, acceptance = transition.step(u, bridge.at(beta), width)
        yield Moment(u, log_weights, acceptance)


def pilot(bridge: Bridge, betas: Tensor, chains: int = 2, burn_in: int = 20) -> Tensor:
    """Widths ``(T + 1,)`` for :func:`anneal`, from a run whose weights are thrown away.

    Each is the one before it, moved towards the transition's ``target`` by the acceptance that was
    seen there. They are the same for all images.
    """
    widths = torch.ones(len(betas), dtype=bridge.x.dtype, device=bridge.x.device)
    if not bridge.transition.adapts:
        return widths
    target, u = bridge.transition.target, bridge.sample(chains)
    for _ in range(burn_in):  # at the first temperature above 0
        for moment in anneal(bridge, betas[[0, 1]], widths[[0, 1]], u):
            widths *= (moment.acceptance.mean() - target).exp()
            u = moment.u
    for t, moment in enumerate(anneal(bridge, betas, widths, u), 1):
        widths[t + 1 :] = widths[t] * (moment.acceptance.mean() - target).exp()
    return widths


def summed_up(moments: Iterator[Moment]) -> Annealed:
    """The weights at the end of a run, and its mean acceptance."""
    acceptances = []
    for moment in moments:
        acceptances.append(moment.acceptance.mean(0))
    return Annealed(moment.log_weights, torch.stack(acceptances).mean(0))
