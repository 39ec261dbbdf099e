r"""Score function with a relaxation as its control variate: REBAR and RELAX.

A discrete sample :math:`b` is what perturbed logits :math:`s` harden to; :math:`z =
\mathrm{soft}_\tau(s)` relaxes it. Let :math:`h_k(a)` be the objective with :math:`f_k` replaced
by :math:`a`, and :math:`c(z)` any stand-in for :math:`f`. The score function with :math:`h(c(z))`
in the place of the objective has a mean that is known in another way, by the path of :math:`z`;
but :math:`\nabla \log q(b)` can be averaged over :math:`s` given :math:`b` first, and the
remainder is a path derivative of :math:`\tilde z`, the relaxation *given* :math:`b`. So

.. math::
    g = \sum_k \big(R - \eta\, h_k(c(\tilde z_k))\big) \nabla_\theta \log q(b_k)
        + \eta\, \nabla_\theta h_k(c(z_k)) - \eta\, \nabla_\theta h_k(c(\tilde z_k))

is unbiased whatever :math:`\eta, \tau, c` are, which are trained to lower its variance:
:math:`\nabla \mathbb{E}|g|^2`, since the mean is fixed.

Given :math:`b`, the draw :math:`s` is itself a draw from the conditional law: :math:`\tilde z`
takes the *value* of :math:`z`, by other noise and so with another derivative in the logits
(:func:`vae.couplings.condition`). These common random numbers are Tucker et al.'s; here they save
an evaluation, at a variance within some tenth of that of independent ones on the problems of
``vae.testing``, for with one :math:`\zeta = z = \tilde z`

.. math:: g = \sum_k \big(R - \eta\, h_k(c(\zeta_k))\big) \nabla_\theta \log q(b_k)
        + \eta\, \nabla_\zeta h_k(c(\zeta_k))\, (\nabla_\theta z_k - \nabla_\theta \tilde z_k)
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Size, Tensor, nn
from torch.distributions import Bernoulli, Distribution
from torch.func import functional_call, vjp

from vae.couplings import condition, differential, harden, perturb, soften
from vae.distributions import OneHotCategorical, detach, logits_of, with_logits
from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.objectives import Objective

__all__ = ["REBAR", "RELAX", "Relaxed"]


class Relaxed(Estimator):
    r"""Base of the estimators with a relaxed control variate.

    ``auxiliary`` has the value :math:`|g|^2`, averaged over images, and trains the estimator's
    own parameters. Under importance weights :math:`g` leaves out the direct gradient of
    :math:`-\log q` inside f, which is in the bound's.

    Arguments:
        eta: The scale :math:`\eta` of the control variate, where its training starts.
        temperature: The temperature :math:`\tau > 0`, where its training starts.
    """

    families = (OneHotCategorical, Bernoulli)

    def __init__(self, eta: float = 1.0, temperature: float = 0.5) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        self.eta = nn.Parameter(torch.tensor(float(eta)))
        self.log_temperature = nn.Parameter(torch.tensor(float(temperature)).log())

    @abstractmethod
    def stand_in(
        self,
        own: dict[str, Tensor],
        z: Tensor,
        f: Integrand,
        frozen: Distribution,
        context: Tensor | None,
    ) -> Tensor:
        """c: of relaxed samples (K, B, *event), with these parameters, to (K, B)."""

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        logits, frozen = logits_of(q), detach(q)
        perturbed = perturb(frozen, Size([objective.num_samples]))  # (K, B, *event)
        hard = harden(q, perturbed)
        # Under an average the score of -log q has mean zero: dropping it costs no bias.
        f_hard = f(hard, frozen if objective.linear else q)  # (K, B)
        bound, fixed = objective.reduce(f_hard), f_hard.detach()

        def gradient(own: dict[str, Tensor]) -> Tensor:  # g, shaped as the logits
            def samples(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
                p, temperature = with_logits(q, logits), own["log_temperature"].exp()
                soft = soften(p, perturbed + differential(p), temperature)
                given_hard = soften(p, condition(p, perturbed), temperature)
                return soft, given_hard, p.log_prob(hard)

            def swapped(z: Tensor) -> Tensor:
                alternative = self.stand_in(own, z, f, frozen, context)
                return objective.swap_one_out(fixed, alternative)

            (soft, _, _), to_logits = vjp(samples, logits.detach())
            h, to_soft = vjp(swapped, soft)
            (slope,) = to_soft(own["eta"] * torch.ones_like(h))
            signal = bound.detach() - own["eta"] * h  # (K, B)
            return to_logits((slope, -slope, signal))[0]

        own = dict(self.named_parameters())
        with torch.no_grad():  # no graph to the parameters of the model, inside f
            g, pull = vjp(gradient, {name: value.detach() for name, value in own.items()})
            (slopes,) = pull(2 * g / g.shape[0])
        variance = (g.square().sum() / g.shape[0]).detach()
        surrogate = sum((slopes[name].detach() * own[name]).sum() for name in own)
        path = (g.detach() * logits).flatten(1).sum(1)  # (B,)
        return Estimate(attach(bound, path), attach(variance, surrogate))


class REBAR(Relaxed):
    """Creates the REBAR estimator: f itself at the relaxed sample is the control variate.

    f must be defined, and differentiable, inside the simplex.

    References:
        | REBAR: Low-variance, Unbiased Gradient Estimates for Discrete Latent Variable Models
        | (Tucker et al., 2017).

    Arguments:
        eta: The scale of the control variate, where its training starts.
        temperature: The temperature, where its training starts.
    """

    needs_gradient = True
    evaluations = "2*K"
    paper = "Tucker et al. 2017"

    def stand_in(
        self,
        own: dict[str, Tensor],
        z: Tensor,
        f: Integrand,
        frozen: Distribution,
        context: Tensor | None,
    ) -> Tensor:
        return f(z, frozen)


class RELAX(Relaxed):
    """Creates the RELAX estimator: the control variate is a network of the relaxed sample, so that
    f is never evaluated off the vertices, nor differentiated.

    References:
        | Backpropagation through the Void: Optimizing Control Variates for Black-box Gradient
        | Estimation (Grathwohl et al., 2018).

    Arguments:
        hidden: The width of the hidden layer; the input's width is taken from the first sample
            and image seen. The critic sees both: f is another function for each image.
        eta: The scale of the control variate, where its training starts.
        temperature: The temperature, where its training starts.
    """

    paper = "Grathwohl et al. 2018"

    def __init__(self, hidden: int = 100, eta: float = 1.0, temperature: float = 0.5) -> None:
        super().__init__(eta, temperature)
        self.critic = nn.Sequential(nn.LazyLinear(hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def stand_in(
        self,
        own: dict[str, Tensor],
        z: Tensor,
        f: Integrand,
        frozen: Distribution,
        context: Tensor | None,
    ) -> Tensor:
        critic = {name[7:]: v for name, v in own.items() if name.startswith("critic.")}
        return functional_call(self.critic, critic, (_features(z, context),)).squeeze(-1)

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        if isinstance(self.critic[0], nn.LazyLinear):  # becomes a Linear when it takes its width
            self.critic(_features(q.sample(Size([objective.num_samples])), context))
        return super().estimate(q, f, objective, context)


def _features(z: Tensor, context: Tensor | None) -> Tensor:
    """Samples (K, B, *event), each beside its image, to (K, B, H)."""
    flat = z.flatten(2)
    if context is None:
        return flat
    image = context.flatten(1).to(flat.dtype)
    return torch.cat([flat, image.expand(flat.shape[0], *image.shape)], -1)
