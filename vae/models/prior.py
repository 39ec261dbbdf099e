r"""Priors :math:`p(z)` of one's own, in place of the latent layer's.

A prior is given the map from images to :math:`q(z|x)`, because some are made of it: a VampPrior is
a mixture of posteriors at learned images (Tomczak & Welling, 2018;
https://arxiv.org/abs/1705.07120). Most do not look at it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.distributions import Distribution

from vae.recorded import Recorded

__all__ = ["Posterior", "Prior"]

Posterior = Callable[[Tensor], Distribution]
"""Images ``(B, *image)`` to q(z|x), with batch shape (B,)."""


class Prior(nn.Module, metaclass=Recorded):
    """The distribution p(z) of the latents, with parameters of its own.

    It needs ``log_prob`` and ``sample``, and the event shape of q(z|x). Without a closed-form KL
    (a mixture has none) the ELBO needs ``analytic_kl=False``, and the rate in validation and test
    is a Monte-Carlo estimate, logged as ``rate_mc``.

    Example:
        >>> import torch
        >>> from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
        >>> from vae import DiagonalGaussian
        >>> class Mixture(Prior):
        ...     def __init__(self, latent, num_components=10):
        ...         super().__init__()
        ...         (size,) = latent.prior().event_shape
        ...         self.loc = nn.Parameter(torch.randn(num_components, size))
        ...         self.weights = nn.Parameter(torch.zeros(num_components))
        ...
        ...     def forward(self, posterior):
        ...         components = Independent(Normal(self.loc, 1.0), 1)
        ...         return MixtureSameFamily(Categorical(logits=self.weights), components)
        >>> prior = Mixture(DiagonalGaussian(in_features=400, latent_dim=8))
        >>> prior(None).sample((5,)).shape
        torch.Size([5, 8])
    """

    @abstractmethod
    def forward(self, posterior: Posterior) -> Distribution:
        """p(z), with batch shape ().

        Arguments:
            posterior: Images ``(B, *image)`` to q(z|x), with the gradient of the encoder.
        """

    def build(self, image_shape: Sequence[int]) -> None:  # noqa: B027  # there may be nothing
        """Makes the parameters that depend on the shape of the images, once; most have none."""

    def needed_images(self) -> int:
        """How many training images :meth:`start_from` still waits for, before the first step."""
        return 0

    def start_from(self, images: Tensor) -> None:
        """Takes in the first training images ``(M, *image)``, where :meth:`needed_images` asks."""
        raise NotImplementedError(f"{type(self).__name__} starts from no images")
