r"""Local expectation gradients: one variable at a time is summed over, the others are sampled.

.. math:: \nabla_{\phi_d} \mathbb{E}[f(z)] =
    \mathbb{E}_{z_{-d}} \Big[ \sum_c \nabla_{\phi_d} q(z_d = c) \, f(z_{-d}, c) \Big]

The score function's gradient in :math:`\phi_d`, averaged over :math:`z_d` given the rest: of one
sample of an average, the variance is not above REINFORCE's, with any constant baseline, in any
coordinate. It costs D (C - 1) further evaluations of f a sample.

With several samples each sees the objective :math:`h_k`, as a function of its own f alone. The
probabilities of a variable sum to one, so :math:`f(z)` itself may be subtracted from every term:
the category that was drawn drops out.
"""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Size, Tensor
from torch.distributions import Bernoulli, Distribution

from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import base_of, describe, detach
from vae.estimators.base import Estimate, Estimator, Integrand, attach, without_score
from vae.objectives import Objective

__all__ = ["LocalExpectation", "local_gain", "one_at_a_time", "other_values"]


@singledispatch
def other_values(q: Distribution, z: Tensor) -> tuple[Tensor, Tensor]:
    """The values that each variable does not have in ``z``, and their probabilities.

    Values have the shape ``(C - 1, *z.shape)``; probabilities, which carry the gradient,
    ``(C - 1, K, *q.batch_shape)``.

    Raises:
        NotImplementedError: If the family is not a finite one.
    """
    raise NotImplementedError(f"{describe(q)} cannot be summed over one variable at a time")


@other_values.register
def _(q: Bernoulli, z: Tensor) -> tuple[Tensor, Tensor]:
    flipped = (1 - z)[None]
    return flipped, ((2 * flipped - 1) * q.logits).sigmoid()


@other_values.register
def _(q: OneHotCategorical, z: Tensor) -> tuple[Tensor, Tensor]:
    rolled = torch.stack([z.roll(c, -1) for c in range(1, z.shape[-1])])
    return rolled, (rolled * q.probs).sum(-1)


def one_at_a_time(z: Tensor, values: Tensor, event_shape: Size) -> Tensor:
    """Copies of ``z`` in which one variable has another value.

    Arguments:
        z: The samples, with shape ``(K, B, *event)``.
        values: What to put in, with shape ``(J, *z.shape)``.
        event_shape: The event shape of *one* variable.

    Returns:
        The copies, with shape ``(J * D * K, B, *event)``: the slowest index is that of the
        values, then that of the variable, then that of the sample.
    """
    flat = z.reshape(*z.shape[:2], -1, event_shape.numel())  # (K, B, D, C)
    D = flat.shape[2]
    own = torch.eye(D, dtype=torch.bool, device=z.device).view(D, 1, 1, D, 1)
    copies = torch.where(own, values.reshape(-1, 1, *flat.shape), flat)  # (J, D, K, B, D, C)
    return copies.reshape(-1, *z.shape[1:])


def local_gain(
    q: Distribution, z: Tensor, values: Tensor, fz: Tensor, f: Integrand, objective: Objective
) -> Tensor:
    """The gain of the objective, h_k - R, by each copy of :func:`one_at_a_time`.

    The copy takes the place of its sample; the shape is (J, K, B, D).

    No graph is built: the parameters of the model get their gradient from the K samples of the
    bound.
    """
    with torch.no_grad():
        copies = one_at_a_time(z, values, base_of(q).event_shape)
        f_copies = f(copies, detach(q)).unflatten(0, (len(values), -1, z.shape[0]))
        alternative = f_copies.permute(2, 0, 1, 3)  # (K, J, D, B)
        fixed = fz.detach()[:, None, None].expand_as(alternative)
        return -objective.signal(fixed, alternative).permute(1, 0, 3, 2)


class LocalExpectation(Estimator):
    """Creates the local expectation gradient estimator, for binary and one-hot variables.

    The latent variables being independent, it is also the reparameterization-and-marginalization
    estimator (RAM).

    References:
        | Local Expectation Gradients for Black Box Variational Inference (Titsias &
        | Lazaro-Gredilla, 2015; https://arxiv.org/abs/1503.01494).
        | Evaluating the Variance of Likelihood-Ratio Gradient Estimators (Tokui & Sato, 2017),
        | https://proceedings.mlr.press/v70/tokui17a.html.
    """

    families = (Bernoulli, OneHotCategorical)
    paper = "Titsias & Lazaro-Gredilla 2015; Tokui & Sato 2017"

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        return K * (1 + D * (C - 1))

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        z = q.sample(Size([objective.num_samples]))  # (K, B, *event)
        fz = f(z, without_score(q, objective))  # (K, B)
        bound = objective.reduce(fz)
        values, probs = other_values(base_of(q), z)
        gain = local_gain(q, z, values, fz, f, objective)  # (C - 1, K, B, D)
        probs = probs.reshape(gain.shape)
        gain = gain.masked_fill(probs == 0, 0)  # 0 log 0 = 0
        return Estimate(attach(bound, (gain * probs).sum((0, 1, 3))))
