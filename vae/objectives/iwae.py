"""The importance-weighted bound."""

from __future__ import annotations

from vae.objectives.base import LogMeanExp

__all__ = ["IWAE"]


class IWAE(LogMeanExp):
    r"""The importance-weighted bound, which rises to :math:`\log p(x)` with K.

    .. math:: \mathbb{E} \log \frac1K \sum_k \frac{p(x, z_k)}{q(z_k|x)}

    References:
        | Importance Weighted Autoencoders (Burda, Grosse & Salakhutdinov, 2016), equation 8
        | (https://arxiv.org/abs/1509.00519).

    Arguments:
        num_samples: K.
    """

    def __init__(self, num_samples: int = 5) -> None:
        super().__init__(num_samples)

    @property
    def bounds(self) -> str:
        return "a lower bound of log p(x)"
