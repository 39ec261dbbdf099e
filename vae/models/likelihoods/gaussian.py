r"""Gaussian pixels, with one scale for all, stated or learned, or with one for each pixel.

The best single scale of a model is the root of its mean squared error. That of a batch of images,
which Rybkin et al. call optimal, is a function of the images: with it there would be no p(x|z). A
learned scale has the same optimum.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch import distributions as D
from torch.nn.functional import softplus

from vae.distributions.normal import Normal
from vae.distributions.special import sigmoid
from vae.models.likelihoods.base import Likelihood
from vae.ranges import assert_positive

__all__ = ["Gaussian", "HeteroscedasticGaussian"]


class Gaussian(Likelihood):
    """Creates independent Gaussian pixels with one scale for all.

    A learned scale needs no limit: it is at its best the root mean squared error of all pixels of
    all images, which is 0 only where every one of them is reconstructed exactly.

    References:
        | Simple and Effective VAE Training with Calibrated Decoders (Rybkin et al., 2021), section
        | 4.1 (https://arxiv.org/abs/2006.13202).

    Arguments:
        scale: The standard deviation, or the initial one, in units of the pixel range [0, 1].
        learned: Whether it is trained.

    Raises:
        ValueError: If the scale is not positive.
    """

    log_scale: Tensor

    def __init__(self, decoder: nn.Module, scale: float = 0.1, learned: bool = True) -> None:
        super().__init__(decoder)
        assert_positive("scale", scale)
        log_scale = torch.tensor(math.log(scale))
        if learned:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)

    def pixels(self, parameters: Tensor) -> D.Distribution:
        return Normal(sigmoid(parameters[0]), self.log_scale.exp(), validate_args=False)


class HeteroscedasticGaussian(Likelihood):
    r"""Creates independent Gaussian pixels, each with a scale of its own that the decoder gives.

    .. math:: \sigma = \sigma_\min + \mathrm{softplus}(s - 2)

    The scale has a least value, since a pixel that is the same in all images, as those in the
    corners of MNIST are, would have a density that grows without limit.

    References:
        | Simple and Effective VAE Training with Calibrated Decoders (Rybkin et al., 2021), section
        | 4.2 (https://arxiv.org/abs/2006.13202).

    Arguments:
        min_scale: The least standard deviation, in units of the pixel range [0, 1].

    Raises:
        ValueError: If it is not positive.
    """

    channels = 2

    def __init__(self, decoder: nn.Module, min_scale: float = 0.01) -> None:
        super().__init__(decoder)
        assert_positive("min_scale", min_scale)
        self.min_scale = min_scale

    def pixels(self, parameters: Tensor) -> D.Distribution:
        loc, scale = parameters  # each (*, *image)
        return Normal(sigmoid(loc), self.min_scale + softplus(scale - 2), validate_args=False)
