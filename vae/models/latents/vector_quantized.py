"""Codes of a learned codebook: the VQ-VAE's."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.distributions.quantised import Quantised
from vae.models.latents.quantised import QuantisedLatent

__all__ = ["VectorQuantized"]


SMOOTHING = 1e-5
"""Added to the count of each code, so that none is zero."""


class VectorQuantized(QuantisedLatent):
    r"""Creates N codes, each the nearest of a codebook of C vectors that follows the encoder.

    The features become N vectors e of width d, by a linear map. The codebook vector of a code is the
    mean of the vectors that fell to it, as moving averages over the training steps,

    .. math:: n_c \leftarrow \gamma n_c + (1 - \gamma) \sum_i [c_i = c], \qquad
        m_c \leftarrow \gamma m_c + (1 - \gamma) \sum_{i: c_i = c} e_i, \qquad v_c = m_c / n_c,

    with n smoothed; it has no gradient. The encoder is held near the codebook by the commitment loss
    :math:`\beta \lVert e - \mathrm{sg}(v) \rVert^2`, summed over the codes of an image. It is the
    layer's own loss, beside the bound and not in it: ``train/bound`` stays an ELBO, and what is
    minimised is none. The codebook starts from vectors of the first batch, and so does again, at any
    step, a code that is hardly used. All of this is in checkpoints.

    Its estimators are ``straight_through_codes`` and ``rotation_trick``. q(z|x) is a point mass: see
    :class:`vae.models.latents.quantised.QuantisedLatent`.

    References:
        | Neural Discrete Representation Learning (van den Oord et al., 2017), equation 3 and
        | appendix A.1 (https://arxiv.org/abs/1711.00937).
        | Robust Training of Vector Quantized Bottleneck Models (Lancucki et al., 2020), where batch
        | normalisation standardises, and codes start anew (https://arxiv.org/abs/2005.08520).

    Arguments:
        in_features: The width H of the features.
        num_variables: N.
        num_categories: C, the size of the codebook, which all N share.
        code_dim: d, the width of its vectors.
        learned_prior: Whether the probabilities of the codes, independent ones, are trained.
        commitment: The weight :math:`\beta` of the commitment loss.
        decay: The weight :math:`\gamma` of the past in the moving averages.
        dead_below: A code that is used less than this part of an even share starts anew, from a
            vector of the batch; 0 for never.
        standardise: Whether the vectors' numbers are brought to mean 0 and spread 1.

    Raises:
        ValueError: If a number is out of its range.
    """

    vectors: Tensor
    sums: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int = 20,
        num_categories: int = 64,
        code_dim: int = 8,
        learned_prior: bool = False,
        commitment: float = 0.25,
        decay: float = 0.99,
        dead_below: float = 0.02,
        standardise: bool = True,
    ) -> None:
        super().__init__(
            in_features, num_variables, num_categories, code_dim, learned_prior, decay, standardise
        )
        for name, value in (("commitment", commitment), ("dead_below", dead_below)):
            if not 0 <= value < torch.inf:
                raise ValueError(f"{name} must be finite and not negative, got {value}")
        self.commitment, self.dead_below = commitment, dead_below
        vectors = torch.randn(num_categories, code_dim)
        self.register_buffer("vectors", vectors)
        self.register_buffer("sums", vectors.clone())

    @property
    def codebook(self) -> Tensor:
        return self.vectors

    def quantise(self, features: Tensor, train: bool) -> Quantised:
        first = ~self.started  # a new tensor: encode() fills this one
        encoded = self.encode(features, train)
        if not train:
            return Quantised(encoded, self.vectors)
        seen = encoded.detach().flatten(0, 1)
        self._restart(seen, first.expand(self.num_categories))
        q = Quantised(encoded, self.vectors.clone())  # which is moved beneath
        sums = q.codes.flatten(0, 1).T @ seen
        self.sums.lerp_(sums.to(self.sums.dtype), 1 - self.decay)
        return q

    def forward(self, features: Tensor) -> Distribution:
        q = super().forward(features)  # takes in the counts
        if self.training and torch.is_grad_enabled():
            assert isinstance(q, Quantised)
            self._follow()
            even = q.codes.sum() / self.num_categories
            self._restart(q.encoded.detach().flatten(0, 1), self.counts < self.dead_below * even)
        return q

    def auxiliary(self, q: Distribution) -> Tensor:
        """The commitment loss, summed over the codes of an image and averaged over images."""
        assert isinstance(q, Quantised)
        away = q.encoded - q.vectors.detach()
        return self.commitment * away.square().sum((-2, -1)).mean()

    def _follow(self) -> None:
        """Brings the codebook to the moving averages."""
        total = self.counts.sum()
        smoothed = (self.counts + SMOOTHING) / (total + SMOOTHING * len(self.counts)) * total
        self.vectors.copy_(self.sums / smoothed[:, None])

    def _restart(self, seen: Tensor, which: Tensor) -> None:
        """Puts some codes where vectors of the batch are, as if used once."""
        drawn = seen[torch.randint(len(seen), (self.num_categories,), device=seen.device)]
        new = torch.where(which[:, None], drawn.to(self.vectors.dtype), self.vectors)
        self.counts.copy_(torch.where(which, torch.ones_like(self.counts), self.counts))
        self.sums.copy_(torch.where(which[:, None], new, self.sums))
        self.vectors.copy_(new)
