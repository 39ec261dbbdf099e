r"""Relaxed and straight-through samplers of subsets, by Gumbel noise.

The k largest of the logits with Gumbel noise are a draw from :class:`PlackettLuceSubset`. In their
place k softmaxes are added up, each of the scores that the one before it leaves,

.. math:: z = \sum_{j=1}^k a^j, \quad a^j = \mathrm{softmax}(s^j / \tau), \quad
    s^{j+1} = s^j + \log(1 - a^j), \quad s^1 = l + g,

whose sum is k, and which becomes the subset as the temperature falls.
"""

from __future__ import annotations

from torch import Size, Tensor
from torch.distributions import Distribution

from vae.distributions.couplings import harden, perturb, soften
from vae.distributions.plackett_luce import PlackettLuceSubset
from vae.estimators.straight_through import Tempered

__all__ = ["GumbelTopK", "StraightThroughGumbelTopK"]


class GumbelTopK(Tempered):
    r"""Creates the relaxed sampler of Plackett-Luce subsets.

    The log-probability of a set has no derivative in z: the KL is to be in closed form.

    References:
        | Reparameterizable Subset Sampling via Continuous Relaxations (Xie & Ermon, 2019), section 3
        | (https://arxiv.org/abs/1901.10517).

    Arguments:
        temperature: The temperature :math:`\tau > 0`.
    """

    families = (PlackettLuceSubset,)
    bias = "of the relaxed model, not the discrete one"
    paper = "Xie & Ermon 2019"

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        return soften(q, perturb(q, sample_shape), self.temperature)


class StraightThroughGumbelTopK(Tempered):
    """Creates the straight-through sampler: a subset forward, the relaxed one's derivative backward.

    References:
        | Reparameterizable Subset Sampling via Continuous Relaxations (Xie & Ermon, 2019)
        | (https://arxiv.org/abs/1901.10517).
        | Categorical Reparameterization with Gumbel-Softmax (Jang et al., 2017), section 2.2
        | (https://arxiv.org/abs/1611.01144).

    Arguments:
        temperature: The temperature of the relaxation.
    """

    families = (PlackettLuceSubset,)
    bias = "derivative of the relaxation, at a vertex"
    paper = "Xie & Ermon 2019"

    def forward(self, q: Distribution, sample_shape: Size) -> Tensor:
        perturbed = perturb(q, sample_shape)
        soft = soften(q, perturbed, self.temperature)
        return harden(q, perturbed) + (soft - soft.detach())
