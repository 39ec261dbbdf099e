r"""Score function with a relaxation as its control variate: REBAR and RELAX.

A discrete sample :math:`b` is what perturbed logits :math:`s` harden to; :math:`z =
\mathrm{soft}_\tau(s)` relaxes it. Let :math:`\bar h_k(a)` be sample k's own share of the
objective if :math:`f_k` were :math:`a` (:meth:`vae.objectives.Objective.share`), and :math:`c(z)`
any stand-in for :math:`f`. The score function with :math:`\bar h_k(c(z))` in the place of
:math:`\bar h_k(f_k)` has a mean that is known in another way, by the path of :math:`z`; but
:math:`\nabla \log q(b)` can be averaged over :math:`s` given :math:`b` first, and the remainder is
a path derivative of :math:`\tilde z`, the relaxation *given* :math:`b`. So

.. math::
    g = \sum_k \big(\bar h_k(f_k) - \eta\, \bar h_k(c(\tilde z_k))\big) \nabla_\theta \log q(b_k)
        + \eta\, \nabla_\theta \bar h_k(c(z_k)) - \eta\, \nabla_\theta \bar h_k(c(\tilde z_k))

is unbiased whatever :math:`\eta, \tau, c` are, which are trained to lower its variance:
:math:`\nabla \mathbb{E}|g|^2`, since the mean is fixed. Under an average :math:`\bar h_k(a) = a / K`:
the mean of K one-sample estimates, whose variance falls as 1 / K at every :math:`\eta`.

Given :math:`b`, the draw :math:`s` is itself a draw from the conditional law: :math:`\tilde z`
takes the *value* of :math:`z`, by other noise and so with another derivative in the logits
(:func:`vae.distributions.couplings.condition`). These common random numbers are Tucker et al.'s; here they save
an evaluation, at a variance within some tenth of that of independent ones on the problems of
``vae.certify``, for with one :math:`\zeta = z = \tilde z`

.. math:: g = \sum_k \big(\bar h_k(f_k) - \eta\, \bar h_k(c(\zeta_k))\big) \nabla_\theta \log q(b_k)
        + \eta\, \nabla_\zeta \bar h_k(c(\zeta_k))\, (\nabla_\theta z_k - \nabla_\theta \tilde z_k)
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Size, Tensor, nn
from torch.distributions import Bernoulli, Distribution
from torch.func import functional_call, vjp

from vae.distributions.couplings import condition, differential, harden, perturb, soften
from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import detach, logits_of, with_logits
from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.objectives import Average, Objective
from vae.ranges import assert_at_least_one, assert_finite, assert_positive

__all__ = ["REBAR", "RELAX", "Relaxed"]


class Relaxed(Estimator):
    r"""Base of the estimators with a relaxed control variate.

    ``auxiliary`` has the value :math:`|g|^2`, averaged over images, of the whole gradient in the
    logits of q, and trains the estimator's own parameters.

    Arguments:
        eta: The scale :math:`\eta` of the control variate, where its training starts.
        temperature: The temperature :math:`\tau > 0`, where its training starts.
    """

    families = (OneHotCategorical, Bernoulli)

    def __init__(self, eta: float = 1.0, temperature: float = 0.5) -> None:
        super().__init__()
        assert_finite("eta", eta)
        assert_positive("temperature", temperature)
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
        f_hard, pull_f = vjp(lambda logits: f(hard, with_logits(q, logits)), logits.detach())
        bound, fixed = objective.reduce(f_hard), f_hard.detach()  # of (K, B)

        def gradient(own: dict[str, Tensor]) -> Tensor:  # g, shaped as the logits
            def samples(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
                p, temperature = with_logits(q, logits), own["log_temperature"].exp()
                soft = soften(p, perturbed + differential(p), temperature)
                given_hard = soften(p, condition(p, perturbed), temperature)
                return soft, given_hard, p.log_prob(hard)

            def swapped(z: Tensor) -> Tensor:
                return objective.share(fixed, self.stand_in(own, z, f, frozen, context))

            (soft, _, _), to_logits = vjp(samples, logits.detach())
            h, to_soft = vjp(swapped, soft)
            (slope,) = to_soft(own["eta"] * torch.ones_like(h))
            signal = objective.signal(fixed) - own["eta"] * h  # (K, B)
            return to_logits((slope, -slope, signal))[0]

        own = dict(self.named_parameters())
        with torch.no_grad():  # no graph to the parameters of the model, inside f
            g, pull = vjp(gradient, {name: value.detach() for name, value in own.items()})
            if not isinstance(objective, Average):  # else the score of -log q has mean zero
                g = g + pull_f(objective.weights(fixed))[0]
            (slopes,) = pull(2 * g / g.shape[0])
        variance = (g.square().sum() / g.shape[0]).detach()
        surrogate = sum((slopes[name].detach() * own[name]).sum() for name in own)
        path = (g.detach() * differential(q)).flatten(1).sum(1)  # (B,)
        return Estimate(attach(bound, path), attach(variance, surrogate))


class REBAR(Relaxed):
    """Creates the REBAR estimator: f itself at the relaxed sample is the control variate.

    f must be defined, and differentiable, inside the simplex. The authors evaluate f three times
    (at both relaxed samples, of one value), subtract a learned baseline of the image from f in the
    score's term, and train all that is the estimator's own at ten times the model's rate
    (``--model.estimator_lr``); here there is no baseline.

    References:
        | REBAR: Low-variance, Unbiased Gradient Estimates for Discrete Latent Variable Models
        | (Tucker et al., 2017; https://arxiv.org/abs/1703.07370).

    Arguments:
        eta: The scale of the control variate, where its training starts.
        temperature: The temperature, where its training starts.
    """

    needs_gradient = True
    paper = "Tucker et al. 2017"

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        return 2 * K

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
    r"""Creates the RELAX estimator: REBAR, with a network (the critic) in its control variate.

    .. math:: c(z) = f(z) + r(z)

    That is the form of the authors' experiments with VAEs: the critic starts from REBAR, and learns
    what is left. For a black box f, which is defined on the vertices only or has no derivative,
    the critic stands alone; on a VAE it then has all of f to learn, and is behind REBAR. Their
    critic has two hidden layers of 200 and reads the perturbed logits beside the image, ours has
    one and reads the relaxed sample; they evaluate f three times, and train what is the
    estimator's own at ten times the model's rate (``--model.estimator_lr``).

    References:
        | Backpropagation through the Void: Optimizing Control Variates for Black-box Gradient
        | Estimation (Grathwohl et al., 2018; https://arxiv.org/abs/1711.00123).

    Arguments:
        hidden: The width of the hidden layer; the input's width is taken from the first sample
            and image seen. The critic sees both: f is another function for each image.
        eta: The scale of the control variate, where its training starts.
        temperature: The temperature, where its training starts.
        relax_f: Whether f at the relaxed sample is part of the control variate. If not, f is never
            evaluated off the vertices, nor differentiated.
    """

    paper = "Grathwohl et al. 2018"

    def __init__(
        self,
        hidden: int = 100,
        eta: float = 1.0,
        temperature: float = 0.5,
        relax_f: bool = True,
    ) -> None:
        super().__init__(eta, temperature)
        assert_at_least_one("hidden", hidden)
        self.relax_f = self.needs_gradient = relax_f
        self.critic = nn.Sequential(nn.LazyLinear(hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        return 2 * K if self.relax_f else K

    def stand_in(
        self,
        own: dict[str, Tensor],
        z: Tensor,
        f: Integrand,
        frozen: Distribution,
        context: Tensor | None,
    ) -> Tensor:
        critic = {name[7:]: v for name, v in own.items() if name.startswith("critic.")}
        r = functional_call(self.critic, critic, (_features(z, context),)).squeeze(-1)  # (K, B)
        return f(z, frozen) + r if self.relax_f else r

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
