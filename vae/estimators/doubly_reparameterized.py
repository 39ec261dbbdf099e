r"""Path derivatives only: sticking the landing, and its counterpart for importance weights.

The pathwise derivative of :math:`R(f_1, \dots, f_K)`, :math:`f = \log p(x, z) - \log q(z)`, is a
path term and the score :math:`-\sum_k \partial_k R\, \nabla_\phi \log q(z_k)` of the explicit
:math:`\log q`, which has noise even where :math:`q` is the posterior. Under an average the score
has mean zero: it is dropped (Roeder et al.). Otherwise its weight depends on :math:`z_k`, and

.. math:: \mathbb{E}_q[g(z) \nabla_\phi \log q(z)] = \mathbb{E}_\epsilon[\nabla_z g \, \nabla_\phi z(\epsilon, \phi)], \qquad \nabla_{z_k} \partial_k R = \partial_k^2 R \, \nabla_z f_k

turn it into a path term too (Tucker et al.; :math:`\nabla_z` sees :math:`\log q` with
:math:`\phi` frozen):

.. math:: \nabla_\phi \mathbb{E} R = \mathbb{E} \sum_k \big(\partial_k R - \partial_k^2 R\big) \nabla_z f_k \, \nabla_\phi z_k, \qquad \partial_k R - \partial_k^2 R = w_k^2 \text{ for log-mean-exp}

with :math:`w` the normalized importance weights.

The *prior's* parameters :math:`\theta` have a score of the same kind,
:math:`\sum_k w_k \nabla_\theta \log p_\theta(z_k)`, although :math:`z_k` was not drawn from the
prior. Let :math:`z = T(\epsilon; \theta)` reparameterize the prior. Then for any :math:`g`

.. math::
    \mathbb{E}_q[g \nabla_\theta \log p_\theta]
    = \nabla_\theta \int \tfrac{q g}{p}\, p_\theta \, dz
    = \mathbb{E}_p\big[\nabla_z \tfrac{q g}{p} \, \nabla_\theta T\big]
    = \mathbb{E}_q\big[\big(\nabla_z g + g \nabla_z \log \tfrac{q}{p}\big) \nabla_\theta T\big]

at :math:`\epsilon = T^{-1}(z; \theta)`, where :math:`q g / p` is held fixed under
:math:`\nabla_\theta`. With :math:`g = w_k = \partial_k R` and :math:`\nabla_z w_k = (w_k - w_k^2)
\nabla_z f_k` that is Bauer & Mnih's

.. math:: \sum_k \big(w_k \nabla_z \log p(x|z_k) - w_k^2 \nabla_z f_k\big) \nabla_\theta T(\epsilon_k; \theta)

The decoder runs backward once. A hook rescales what arrives at :math:`z_k`, :math:`\partial_k R
\nabla_z f_k`, after :math:`f` has been evaluated and its weights are known; the parameters inside
:math:`f` are not behind the hook and keep their plain gradient. (A ``torch.func.vjp`` for the path
alone takes a second backward pass, and 1.7 to 2.7 times as long.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vae.distributions.chain import Chain
from vae.distributions.operations import base_of, describe, detach, parameters
from vae.estimators.base import Estimate, Estimator, Integrand, Twin, assert_independent, attach
from vae.objectives import Average, ImportanceWeighted, LogMeanExp, Model, Objective

__all__ = [
    "DoublyReparameterized",
    "GeneralizedDReG",
    "StickingTheLanding",
    "reparameterize",
]


def _scale_gradient(z: Tensor, ratio: Tensor) -> None:
    """Multiplies the gradient that will arrive at z (K, B, *event) by ratio (K, B)."""
    ratio = ratio.reshape(*ratio.shape, *[1] * (z.dim() - ratio.dim()))
    if z.requires_grad:  # else it has no hooks either
        z.register_hook(lambda gradient: gradient * ratio)


class _Reparameterized(Estimator):
    needs_gradient = True

    def supports(self, q: Distribution) -> bool:
        return q.has_rsample

    def check(self, q: Distribution, objective: Objective) -> None:
        super().check(q, objective)
        assert_independent(self, q, objective)

    def hint(self) -> str:
        return ", which has no rsample"


class StickingTheLanding(_Reparameterized):
    """Creates the sticking-the-landing estimator: pathwise, without the score of log q.

    Exactly zero where q is the posterior. Under a closed-form KL there is no log q in f, and it is
    pathwise, bit for bit (:meth:`twin`).

    The authors leave the score out of the importance-weighted bound too, where its mean is not
    zero and the gradient becomes biased (Tucker et al.); here it is refused there, and
    :class:`DoublyReparameterized` is what is unbiased.

    References:
        | Sticking the Landing: Simple, Lower-Variance Gradient Estimators for Variational
        | Inference (Roeder, Wu & Duvenaud, 2017; https://arxiv.org/abs/1703.09194).
    """

    objectives = (Average,)
    paper = "Roeder et al. 2017"

    def twin(self, objective: Objective) -> Twin | None:
        if objective.holds_log_q:
            return None
        return Twin(
            "pathwise", "a closed-form KL leaves no log q in f; set --model.kl monte_carlo"
        )

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        z = q.rsample(Size([objective.num_samples]))  # (K, B, *event)
        return Estimate(objective.reduce(f(z, detach(q))))


class DoublyReparameterized(_Reparameterized):
    r"""Creates the doubly reparameterized estimator (DReG) for importance weights.

    .. math:: \sum_k w_k^2 \, \nabla_z \log \frac{p(x, z_k)}{q(z_k)} \, \nabla_\phi z_k

    Exactly zero where q is the posterior; its signal-to-noise ratio does not fall with K.

    The model's parameters keep the bound's plain gradient, as with the authors, whose VAE (of 50
    variables, 200-200 tanh) has K = 64 in training and evaluation, and a centred input.

    References:
        | Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives (Tucker et al.,
        | 2019), equation 8 (https://arxiv.org/abs/1810.04152).
    """

    objectives = (ImportanceWeighted,)
    paper = "Tucker et al. 2019"

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        z = q.rsample(Size([objective.num_samples]))  # (K, B, *event)
        fz = f(z, detach(q))  # (K, B)
        slopes, weights = objective.weights(fz.detach()), objective.path_weights(fz.detach())
        # where a slope underflowed, the path's weight did too
        _scale_gradient(z, weights / torch.where(slopes == 0, torch.ones_like(slopes), slopes))
        return Estimate(objective.reduce(fz))


class GeneralizedDReG(_Reparameterized):
    r"""Creates the generalized doubly reparameterized estimator: DReG, and the prior's too.

    The plain Monte Carlo gradient of the prior's parameters is replaced by the path derivative
    above; every other parameter's gradient is DReG's. It takes an integrand that has
    the term :math:`\log p_\theta(z)` once, of this very prior: the importance-weighted bound's. With
    a prior that is not trained it is DReG, bit for bit (:meth:`twin`).

    The authors' VAEs are hierarchical or conditional: their priors are networks of other variables.
    So may the prior be here, a chain of Gaussian layers, of which :math:`T` is the whole draw, from the
    top down; of one layer, its parameters are its own.

    References:
        | Generalized Doubly-Reparameterized Gradient Estimators (Bauer & Mnih, 2021).
        | https://proceedings.mlr.press/v139/bauer21a.html

    Arguments:
        prior: Returns the prior :math:`p_\theta(z)` with its live parameters: Gaussian, or a chain
            of Gaussian layers, with a batch shape that broadcasts with that of q. By default the prior of the model that the
            estimator is bound to.
    """

    objectives = (LogMeanExp,)
    trains_prior = True
    paper = "Bauer & Mnih 2021"

    def __init__(self, prior: Callable[[], Distribution] | None = None) -> None:
        super().__init__()
        self._prior = prior

    def bind(self, model: Model) -> None:
        if self._prior is None:
            self._prior = model.prior

    def prior(self) -> Distribution:
        """The prior.

        Raises:
            ValueError: If none was given, and the estimator is not bound to a model.
        """
        if self._prior is None:
            raise ValueError(
                "GeneralizedDReG needs a prior: give it one, or bind it to a model that has one"
            )
        return self._prior()

    def supports(self, q: Distribution) -> bool:
        if not q.has_rsample:
            return False
        prior = base_of(self.prior())
        law = base_of(prior.first) if isinstance(prior, Chain) else prior
        return isinstance(law, (Normal, MultivariateNormal))

    def twin(self, objective: Objective) -> Twin | None:
        if any(value.requires_grad for value in parameters(self.prior()).values()):
            return None
        return Twin("dreg", "the prior is not trained; set --model.learned_prior true")

    def hint(self) -> str:
        if self._prior is None:  # it was not looked at: q has no rsample
            return super().hint()
        return f" with a prior {describe(self.prior())}: it takes a Gaussian prior"

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        prior, frozen = self.prior(), detach(q)
        z = q.rsample(Size([objective.num_samples]))  # (K, B, *event)
        from_q = z - z.detach()  # zero: the path of the encoder
        fixed = z.detach()
        again = reparameterize(prior, fixed)
        from_prior = again - again.detach()  # zero: the path of the prior
        fz = f(fixed + from_q + from_prior, frozen)  # (K, B)
        slopes, weights = objective.weights(fz.detach()), objective.path_weights(fz.detach())
        ratio = weights / slopes.clamp_min(torch.finfo(slopes.dtype).tiny)
        _scale_gradient(from_q, ratio)
        # w grad log p(x|z) - w^2 grad f = (w - w^2) grad f + w grad log(q / p)
        _scale_gradient(from_prior, 1 - ratio)
        log_ratio = frozen.log_prob(again) - detach(prior).log_prob(again)
        replaced = log_ratio - prior.log_prob(fixed)  # the score in f, taken back
        return Estimate(attach(objective.reduce(fz), (slopes * replaced).sum(0)))


@singledispatch
def reparameterize(p: Distribution, z: Tensor) -> Tensor:
    """z itself, as a function of the parameters of ``p`` at the noise that gives z there.

    Raises:
        NotImplementedError: If the family is not Gaussian.
    """
    raise NotImplementedError(f"GeneralizedDReG takes a Gaussian prior, not {describe(p)}")


@reparameterize.register
def _(p: Independent, z: Tensor) -> Tensor:
    return reparameterize(p.base_dist, z)


@reparameterize.register
def _(p: Chain, z: Tensor) -> Tensor:
    # from the top down: the noise of a layer is fixed, and the layer above it moves with p
    layers = reversed(p.split(z)) if p.reverse else iter(p.split(z))
    return p.follow(
        lambda law: reparameterize(law, next(layers)), reparameterize(p.first, next(layers))
    )


@reparameterize.register
def _(p: Normal, z: Tensor) -> Tensor:
    noise = (z - p.loc) / p.scale
    return p.loc + p.scale * noise.detach()


@reparameterize.register
def _(p: MultivariateNormal, z: Tensor) -> Tensor:
    factor = p._unbroadcasted_scale_tril
    noise = torch.linalg.solve_triangular(factor, (z - p.loc)[..., None], upper=False).detach()
    return p.loc + (factor @ noise)[..., 0]
