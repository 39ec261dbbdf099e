r"""Relaxed and straight-through samplers for :class:`~vae.estimators.pathwise.Pathwise`.

Each draws a sample of a discrete family through which a gradient passes. The estimates are biased
for the discrete model: the Gumbel-softmax evaluates :math:`f` inside the simplex, a
straight-through sampler evaluates it at a vertex :math:`D` and pretends that the derivative there
is that of a relaxation:

.. math:: \nabla_\theta \mathbb{E}[f(D)] \approx \mathbb{E}\big[J^\top \nabla f(D)\big], \qquad J(s) = \mathrm{diag}(s) - s s^\top

with :math:`\theta` the logits and :math:`J(s)` the Jacobian of the softmax where its value is
:math:`s`. The choice of :math:`J` names the method:

=====================  ==================================================  =====================
sampler                J                                                   exact for
=====================  ==================================================  =====================
StraightThrough        J(softmax(theta))                                   f linear in each D
StraightThroughGumbel  J(softmax((theta + g) / tau)) / tau
GumbelRao              its average over g, given D
GappedStraightThrough  J(softmax((theta with D on top) / tau)) / tau
ReinMax                2 J((D + softmax(theta / tau)) / 2) - J(pi) / 2     f quadratic, tau = 1
=====================  ==================================================  =====================

A Bernoulli variable is two categories of logits :math:`(\theta, 0)`; then :math:`J(s) = s(1 - s)`.
"""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Bernoulli, Distribution

from vae.distributions.couplings import (
    harden,
    perturb,
    perturb_given,
    soft_differential,
    soften,
    with_margin,
)
from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import detach, logits_of
from vae.estimators.pathwise import Sampler
from vae.ranges import assert_at_least_one, assert_finite, assert_positive

__all__ = [
    "GappedStraightThrough",
    "GumbelRao",
    "GumbelSoftmax",
    "ReinMax",
    "StraightThrough",
    "StraightThroughGumbel",
    "Tempered",
]


class Tempered(Sampler):
    r"""A sampler of a discrete family with a temperature.

    The temperature is a buffer: a schedule fills it, a checkpoint keeps it.

    Arguments:
        temperature: The temperature :math:`\tau > 0`.
    """

    families: tuple[type[Distribution], ...] = (OneHotCategorical, Bernoulli)
    temperature: Tensor

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        assert_positive("temperature", temperature)
        self.register_buffer("temperature", torch.tensor(float(temperature)))


class GumbelSoftmax(Tempered):
    r"""Creates the Gumbel-softmax sampler; of Bernoulli variables, the binary Concrete.

    .. math:: z = \mathrm{softmax}((\log \pi + g) / \tau)

    Jang et al. anneal the temperature as ``DiscreteVAE`` does, max(0.5, exp(-r step)), take the KL of
    the discrete variables, and train the prior. Maddison et al. keep it fixed (2/3, with a prior of
    1/2, for binary variables), and the relaxation is their model: ``--model.kl relaxed``.

    References:
        | Categorical Reparameterization with Gumbel-Softmax (Jang et al., 2017), equation 2
        | (https://arxiv.org/abs/1611.01144).
        | The Concrete Distribution (Maddison et al., 2017), equation 10
        | (https://arxiv.org/abs/1611.00712).

    Arguments:
        temperature: The temperature :math:`\tau > 0`.
    """

    bias = "of the relaxed model, not the discrete one"
    paper = "Jang et al. 2017; Maddison et al. 2017"

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        return soften(q, perturb(q, sample_shape), self.temperature)


class StraightThrough(Sampler):
    """Creates the straight-through sampler: a vertex forward, the mean's derivative backward.

    This is the variant with the derivative of the sigmoid (or softmax); the paper also tries it
    without, the identity in its place.

    Exact for an f that is linear in each variable (products of different variables included):
    its derivative in a variable does not depend on that variable.

    The authors train no VAE with it; Jang et al. do, with the KL in closed form.

    References:
        | Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
        | Computation (Bengio, Leonard & Courville, 2013; https://arxiv.org/abs/1308.3432).
    """

    families = (OneHotCategorical, Bernoulli)
    bias = "derivative of f at a vertex, for a difference of f between vertices"
    exact_for = "linear"
    paper = "Bengio et al. 2013"

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        return q.sample(sample_shape) + soft_differential(q, soften(q, logits_of(q), 1.0))


class StraightThroughGumbel(Tempered):
    """Creates the straight-through Gumbel-softmax sampler.

    Forward it is a vertex; backward it has the derivative of the relaxed sample of the same noise.

    The authors' VAEs anneal the temperature as for the Gumbel-softmax; Paulus et al. find about 0.65
    best, fixed.

    References:
        | Categorical Reparameterization with Gumbel-Softmax (Jang et al., 2017), section 2.2
        | (https://arxiv.org/abs/1611.01144).

    Arguments:
        temperature: The temperature of the relaxation.
    """

    bias = "derivative of the relaxation, at a vertex"
    paper = "Jang et al. 2017"

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        perturbed = perturb(q, sample_shape)
        soft = soften(q, perturbed, self.temperature)
        return harden(q, perturbed) + (soft - soft.detach())


class GumbelRao(Tempered):
    r"""Creates the Gumbel-Rao sampler: the mean of straight-through Gumbel-softmax given the vertex.

    .. math:: J = \frac1M \sum_m \nabla_\theta\, \mathrm{softmax}((\theta + g_m) / \tau), \qquad g_m \sim p(g \mid D)

    The mean is that of the straight-through Gumbel-softmax, the variance no larger for any M
    (Rao-Blackwell). The noise :math:`g_m` is held fixed under the derivative, though it was drawn
    with the help of the logits. The paper contradicts itself here: it takes the total derivative,
    through the logits and through the noise given the vertex, and says that M = 1 is the
    straight-through Gumbel-softmax, whose noise depends on no logits. Both cannot be: through the
    conditional noise the mean is another (``tests/estimators/test_relaxed.py``). We keep the claim.

    The authors' VAEs have M = 10, 100 and 1000, and a fixed temperature from a random search: about
    0.35 at M = 1000.

    References:
        | Rao-Blackwellizing the Straight-Through Gumbel-Softmax Gradient Estimator (Paulus,
        | Maddison & Krause, 2021), section 3. https://arxiv.org/abs/2010.04838

    Arguments:
        temperature: The temperature of the relaxation.
        num_inner: The number M of draws given each vertex; f is evaluated at the vertex only.
    """

    bias = "derivative of the relaxation, at a vertex"
    paper = "Paulus et al. 2021"

    def __init__(self, temperature: float = 1.0, num_inner: int = 10) -> None:
        super().__init__(temperature)
        assert_at_least_one("num_inner", num_inner)
        self.num_inner = num_inner

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        z = q.sample(sample_shape)  # (K, B, *event)
        perturbed = perturb_given(detach(q), z, Size([self.num_inner]))  # (M, K, B, *event)
        soft = soften(q, perturbed, self.temperature)
        return z + soft_differential(q, soft).mean(0) / self.temperature


class GappedStraightThrough(Tempered):
    r"""Creates the gapped straight-through sampler.

    The derivative is that of a softmax of logits that agree with the vertex, instead of random ones
    that do.

    The logits are moved just as far as it takes for the chosen category to be the largest and for
    the others to lie at least a gap below it. Given the vertex nothing is random.

    The authors' code has a ReLU on the encoder's logits, and grey pixels as targets of the
    cross-entropy; here there is no ReLU.

    References:
        | Training Discrete Deep Generative Models via Gapped Straight-Through Estimator (Fan et
        | al., 2022), section 4 (https://arxiv.org/abs/2206.07235).

    Arguments:
        temperature: The temperature of the softmax.
        gap: The distance, in nats, between the chosen category and the others.
    """

    bias = "derivative of a relaxation, at a vertex"
    paper = "Fan et al. 2022"

    def __init__(self, temperature: float = 1.0, gap: float = 1.0) -> None:
        super().__init__(temperature)
        assert_finite("gap", gap)
        if gap < 0:
            raise ValueError(f"gap must not be negative, got {gap}")
        self.gap = gap

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        z = q.sample(sample_shape)
        soft = soften(q, with_margin(q, z, self.gap), self.temperature)
        return z + soft_differential(q, soft) / self.temperature


class ReinMax(Tempered):
    r"""Creates the ReinMax sampler, which is accurate to second order.

    It takes Heun's method for the difference of f between two vertices, where straight-through
    takes Euler's.

    .. math:: J = 2\, J\!\left(\tfrac12 (D + \mathrm{softmax}(\theta / \tau))\right) - \tfrac12 J(\pi)

    At :math:`\tau = 1` it is exact for quadratic f: the trapezoidal rule is.

    The authors choose the temperature by the training loss, 1.1 to 1.5 on their VAEs (a uniform
    prior, the KL in closed form, grey pixels as targets); here it starts at 1.

    References:
        | Bridging Discrete and Backpropagation: Straight-Through and Beyond (Liu et al., 2023),
        | algorithm 2 (https://arxiv.org/abs/2304.08612).

    Arguments:
        temperature: The temperature of what the vertex is averaged with; 1 is the derivation's.
    """

    bias = "derivatives of f at vertices, for a difference of f between them"
    exact_for: str | None = "quadratic"
    paper = "Liu et al. 2023"

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__(temperature)
        if temperature != 1:
            self.exact_for = None

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        z, logits = q.sample(sample_shape), logits_of(q)
        middle = (z + soften(q, logits, self.temperature)) / 2
        first_order = soft_differential(q, soften(q, logits, 1.0))
        return z + 2 * soft_differential(q, middle) - first_order / 2
