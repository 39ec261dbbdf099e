r"""Between the ELBO and the importance-weighted bound: MIWAE, CIWAE and PIWAE.

More samples make the importance-weighted bound tighter, and the signal-to-noise ratio of its
gradient in q worse. These keep some of both: an average of bounds of fewer samples (MIWAE), a convex
combination with the ELBO (CIWAE), the tight bound for the model and the noise-free one for q (PIWAE).

References:
    | Tighter Variational Bounds are Not Necessarily Better (Rainforth et al., 2018), section 4
    | (https://arxiv.org/abs/1802.04537).
"""

from __future__ import annotations

import torch
from torch import Tensor

from vae.objectives.base import ImportanceWeighted
from vae.objectives.iwae import IWAE
from vae.objectives.reductions import log_mean_exp, normalized, swap_in_log_mean_exp
from vae.objectives.separate import Separate

__all__ = ["CIWAE", "MIWAE", "PIWAE"]


class MIWAE(ImportanceWeighted):
    r"""The mean of M importance-weighted bounds, each of its own K / M samples.

    .. math:: \mathbb{E} \, \frac1M \sum_{m=1}^{M} \log \frac{M}{K} \sum_{k \in m} \frac{p(x, z_k)}{q(z_k|x)}

    The authors' MIWAE(M, k) has k samples a group: K = M k here, of which they take 64 in all, in
    4, 8 or 16 groups.

    References:
        | Tighter Variational Bounds are Not Necessarily Better (Rainforth et al., 2018), equation 8
        | (https://arxiv.org/abs/1802.04537).

    Arguments:
        num_samples: K, all samples, a multiple of M.
        groups: M. One is the importance-weighted bound, K the ELBO.
    """

    def __init__(self, num_samples: int = 8, groups: int = 2) -> None:
        super().__init__(num_samples)
        if groups < 1 or num_samples % groups:
            raise ValueError(
                f"groups must divide num_samples, got {groups} and {num_samples}: each has as many"
                " samples"
            )
        self.groups = groups

    @property
    def bounds(self) -> str:
        return "a lower bound of log p(x)"

    def reduce(self, f: Tensor, dim: int = 0) -> Tensor:
        return log_mean_exp(self._grouped(f.movedim(dim, 0))).mean(0)

    def swap_one_out(self, f: Tensor, alternative: Tensor) -> Tensor:
        return self.reduce(f) - self.own(f) + self.share(f, alternative)

    def share(self, f: Tensor, value: Tensor) -> Tensor:
        swapped = swap_in_log_mean_exp(self._grouped(f), self._grouped(value))
        return self._ungrouped(swapped) / self.groups

    def own(self, f: Tensor) -> Tensor:
        grouped = self._grouped(f)
        return self._ungrouped(log_mean_exp(grouped).expand_as(grouped)) / self.groups

    def path_weights(self, f: Tensor) -> Tensor:
        return self._ungrouped(normalized(self._grouped(f)).square()) / self.groups

    def _grouped(self, f: Tensor) -> Tensor:  # (K, *) to (K / M, M, *)
        return f.unflatten(0, (self.groups, -1)).transpose(0, 1)

    def _ungrouped(self, f: Tensor) -> Tensor:
        return f.transpose(0, 1).flatten(0, 1)


class CIWAE(ImportanceWeighted):
    r"""A convex combination of the ELBO and the importance-weighted bound, of the same samples.

    .. math:: \mathbb{E} \Big[\frac{\beta}{K} \sum_k f_k + (1 - \beta) \log \frac1K \sum_k e^{f_k}\Big]

    References:
        | Tighter Variational Bounds are Not Necessarily Better (Rainforth et al., 2018), equation 9
        | (https://arxiv.org/abs/1802.04537).

    Arguments:
        num_samples: K.
        beta: The weight of the ELBO, from 0 to 1; a buffer, so that a schedule can change it. The
            authors take 0.05, 0.5 and others.
    """

    beta: Tensor

    def __init__(self, num_samples: int = 8, beta: float = 0.5) -> None:
        super().__init__(num_samples)
        if not 0 <= beta <= 1:
            raise ValueError(f"beta of CIWAE must be from 0 to 1, got {beta}")
        self.register_buffer("beta", torch.tensor(float(beta)))

    @property
    def bounds(self) -> str:
        return "a lower bound of log p(x)"

    def reduce(self, f: Tensor, dim: int = 0) -> Tensor:
        return self.beta * f.mean(dim) + (1 - self.beta) * log_mean_exp(f, dim)

    def swap_one_out(self, f: Tensor, alternative: Tensor) -> Tensor:
        return self.beta * (f.sum(0) - f) / f.shape[0] + self.share(f, alternative)

    def share(self, f: Tensor, value: Tensor) -> Tensor:
        swapped = swap_in_log_mean_exp(f, value)
        return self.beta * value / f.shape[0] + (1 - self.beta) * swapped

    def own(self, f: Tensor) -> Tensor:
        return self.beta * f / f.shape[0] + (1 - self.beta) * log_mean_exp(f).expand_as(f)

    def path_weights(self, f: Tensor) -> Tensor:
        return self.beta / f.shape[0] + (1 - self.beta) * normalized(f).square()


class PIWAE(Separate):
    """The model follows the importance-weighted bound of K samples, q the mean of M smaller ones.

    :class:`Separate` of :class:`IWAE` and :class:`MIWAE`, each with K samples of its own, where the
    authors' share them: each gradient is the same in the mean.

    References:
        | Tighter Variational Bounds are Not Necessarily Better (Rainforth et al., 2018), section 4
        | (https://arxiv.org/abs/1802.04537).

    Arguments:
        num_samples: K.
        groups: M.
    """

    def __init__(self, num_samples: int = 8, groups: int = 2) -> None:
        super().__init__(for_q=MIWAE(num_samples, groups), for_model=IWAE(num_samples))
