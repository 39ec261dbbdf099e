r"""Centring by the mean of the training images.

The encoder reads :math:`x - \bar x`, and pixels start from :math:`\mathrm{logit}(\bar x)`: a decoder's
output is added to it. As what is added never changes, training is that of an output bias which
starts there. Both means are buffers: a checkpoint holds them, and needs no data.

References:
    | Importance Weighted Autoencoders (Burda et al., 2016; the authors' code)
    | (https://arxiv.org/abs/1509.00519),
    | DisARM (Dong et al., 2020), appendix: the recipe of the score-function literature
    | (https://arxiv.org/abs/2006.10680).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from vae.models.likelihoods import Likelihood

__all__ = [
    "CenteredEncoder",
    "DecoderFromMean",
    "assert_starts_at_mean",
    "center",
    "lacks_mean",
]


LEAST = 1e-3
"""How near a mean pixel may come to 0 and 1, as in Burda et al.'s code: logits stay finite."""


class CenteredEncoder(nn.Module):
    """An encoder that reads images less their mean.

    Arguments:
        encoder: Images ``(B, *image_shape)`` to features.
        image_shape: Channels, height and width.

    Attributes:
        mean: The mean image; 0 until it is known.
    """

    mean: Tensor

    def __init__(self, encoder: nn.Module, image_shape: Sequence[int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.image_shape = torch.Size(image_shape)
        self.register_buffer("mean", torch.zeros(self.image_shape))
        self.out_features = getattr(encoder, "out_features", None)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.encoder(x - self.mean)
        return features

    def set_mean(self, mean: Tensor) -> None:
        """Takes the mean image, with values in [0, 1]."""
        self.mean.copy_(mean)

    @property
    def is_known(self) -> bool:
        return bool(self.mean.any())


class DecoderFromMean(nn.Module):
    """A decoder whose output is added to the logit of the mean image.

    Arguments:
        decoder: Codes ``(*, D)`` to ``(*, channels, *image_shape)``.
        image_shape: Channels, height and width.

    Attributes:
        logit: Of the mean image; 0 until it is known.
    """

    logit: Tensor

    def __init__(self, decoder: nn.Module, image_shape: Sequence[int], channels: int) -> None:
        super().__init__()
        self.decoder = decoder
        self.register_buffer("logit", torch.zeros(channels, *image_shape))

    def forward(self, z: Tensor) -> Tensor:
        parameters: Tensor = self.decoder(z) + self.logit
        return parameters

    def set_mean(self, mean: Tensor) -> None:
        """Takes the mean image, with values in [0, 1], which it brings into [0.001, 0.999]."""
        self.logit[0].copy_(mean.clamp(LEAST, 1 - LEAST).logit())

    @property
    def is_known(self) -> bool:
        return bool(self.logit.any())


def _centered(model: nn.Module) -> Iterator[CenteredEncoder | DecoderFromMean]:
    kinds = (CenteredEncoder, DecoderFromMean)
    return (part for part in model.modules() if isinstance(part, kinds))


def lacks_mean(model: nn.Module) -> bool:
    """Whether a model is to be centred, and does not know the mean image yet."""
    return any(not part.is_known for part in _centered(model))


def center(model: nn.Module, mean: Callable[[], Tensor]) -> None:
    """Gives a model that is to be centred the mean image, if it does not know it yet.

    Arguments:
        model: A model, which may have nothing to centre.
        mean: Returns the mean image, with values in [0, 1]; called only where it is needed.
    """
    if lacks_mean(model):
        image = mean()
        for part in _centered(model):
            if not part.is_known:
                part.set_mean(image)


@torch.no_grad()
def assert_starts_at_mean(likelihood: Likelihood, image_shape: Sequence[int]) -> None:
    """Tries whether a pixel's mean is the sigmoid of its first parameter.

    Raises:
        ValueError: If it is not, so that the logit of the mean pixel is no start for it.
    """
    p = torch.linspace(LEAST, 1 - LEAST, 9).view(-1, *(1 for _ in image_shape))
    p = p.expand(-1, *image_shape)
    parameters = p.new_zeros(likelihood.channels, *p.shape)
    parameters[0] = p.logit()
    try:
        found = likelihood.pixels(parameters).mean
        fits = found.shape == p.shape and torch.allclose(found, p, atol=1e-4)
    except NotImplementedError:
        fits = False
    if not fits:
        raise ValueError(
            "bias_at_mean starts pixels from the logit of their mean, and of likelihood"
            f" {type(likelihood).__name__} a pixel's mean is not the sigmoid of its first"
            " parameter: leave it out, or use Bernoulli or Gaussian"
        )
