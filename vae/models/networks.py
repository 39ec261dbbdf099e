"""Encoder and decoder networks: plain modules between an image and a flat vector of features.

An encoder maps ``(B, *image)`` to ``(B, H)``, and says what H is: ``out_features``. A decoder maps
``(*, D)``, with any leading sample dimensions, to ``(*, channels, *image)``, with as many channels
as the likelihood needs parameters for each pixel. Nothing here is particular to MNIST.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from vae.models.no_effect import refuse

__all__ = [
    "ACTIVATIONS",
    "ConvDecoder",
    "ConvEncoder",
    "MLPDecoder",
    "MLPEncoder",
    "Network",
    "widen",
]


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


def widen(x: Tensor) -> Tensor:
    """Casts half precision to float32: distributions and their noise need full precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Network(nn.Sequential):
    """What the four networks share: their arguments, checked.

    Arguments:
        in_features: The width D of what a decoder reads.
        image_shape: Channels, height and width of an image.
        channels: Parameters of the likelihood for each pixel; what a decoder returns.
        hidden: Widths of the hidden layers from the image to the latents; decoders reverse them.
        activation: relu, leaky_relu, tanh, gelu or silu.

    Raises:
        ValueError: If no network can be made of them.
    """

    def __init__(
        self, image_shape: Sequence[int], hidden: Sequence[int], activation: str, **sizes: int
    ) -> None:
        super().__init__()
        if any(size < 1 for size in image_shape):
            raise ValueError(f"image_shape must be positive, got {tuple(image_shape)}")
        if any(width < 1 for width in hidden):
            raise ValueError(f"hidden widths must be at least 1, got {list(hidden)}")
        for name, size in sizes.items():
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"{name} must be an integer, 1 or more, got {size}")
        if activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ValueError(f"unknown activation {activation!r}: choose from {known}")
        if not hidden and activation != "relu":
            refuse("there are no hidden layers to have an activation: leave it out")
        self.image_shape = torch.Size(image_shape)
        self.activation = ACTIVATIONS[activation]


class MLPEncoder(Network):
    """Creates a fully connected encoder, ``(B, *image)`` to ``(B, hidden[-1])``.

    Without hidden layers it returns the flat image itself.

    Example:
        >>> from vae import MLPEncoder
        >>> encoder = MLPEncoder((1, 28, 28), hidden=(400, 200))
        >>> encoder(torch.rand(5, 1, 28, 28)).shape
        torch.Size([5, 200])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        hidden: Sequence[int] = (400,),
        activation: str = "relu",
    ) -> None:
        super().__init__(image_shape, hidden, activation)
        widths = [math.prod(image_shape), *hidden]
        self.append(nn.Flatten())
        for before, after in pairwise(widths):
            self.extend([nn.Linear(before, after), self.activation()])
        self.out_features: int = widths[-1]


class MLPDecoder(Network):
    """Creates a fully connected decoder, ``(*, D)`` to ``(*, channels, *image)``.

    Example:
        >>> from vae import MLPDecoder
        >>> decoder = MLPDecoder(20, (1, 28, 28), hidden=(400, 200))
        >>> decoder(torch.randn(7, 5, 20)).shape
        torch.Size([7, 5, 1, 1, 28, 28])
    """

    def __init__(
        self,
        in_features: int,
        image_shape: Sequence[int],
        channels: int = 1,
        hidden: Sequence[int] = (400,),
        activation: str = "relu",
    ) -> None:
        super().__init__(
            image_shape, hidden, activation, in_features=in_features, channels=channels
        )
        widths, shape = [in_features, *reversed(hidden)], (channels, *image_shape)
        for before, after in pairwise(widths):
            self.extend([nn.Linear(before, after), self.activation()])
        self.extend([nn.Linear(widths[-1], math.prod(shape)), nn.Unflatten(-1, shape)])


class ConvEncoder(Network):
    """Creates an encoder of convolutions of stride two, each of which halves the image.

    Arguments:
        hidden: Channels of each convolution, from the image to the latents.

    Raises:
        ValueError: If the image's sides cannot be halved that often.

    Example:
        >>> from vae import ConvEncoder
        >>> encoder = ConvEncoder((1, 28, 28), hidden=(32, 64))
        >>> encoder(torch.rand(5, 1, 28, 28)).shape  # 64 x 7 x 7
        torch.Size([5, 3136])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        hidden: Sequence[int] = (32, 64),
        activation: str = "relu",
    ) -> None:
        super().__init__(image_shape, hidden, activation)
        smallest = _halved(image_shape, hidden)
        for before, after in pairwise([image_shape[0], *hidden]):
            self.append(nn.Conv2d(before, after, 4, stride=2, padding=1))
            self.append(self.activation())
        self.append(nn.Flatten())
        self.out_features: int = math.prod(smallest)


class ConvDecoder(Network):
    """Creates the mirror image of :class:`ConvEncoder`, ``(*, D)`` to ``(*, channels, *image)``.

    Arguments:
        hidden: Channels of each convolution, from the image to the latents; they are reversed.

    Raises:
        ValueError: If the image's sides cannot be halved that often.

    Example:
        >>> from vae import ConvDecoder
        >>> decoder = ConvDecoder(20, (1, 28, 28), hidden=(32, 64))
        >>> decoder(torch.randn(7, 5, 20)).shape
        torch.Size([7, 5, 1, 1, 28, 28])
    """

    def __init__(
        self,
        in_features: int,
        image_shape: Sequence[int],
        channels: int = 1,
        hidden: Sequence[int] = (32, 64),
        activation: str = "relu",
    ) -> None:
        super().__init__(
            image_shape, hidden, activation, in_features=in_features, channels=channels
        )
        smallest = _halved(image_shape, hidden)
        net = nn.Sequential(
            nn.Linear(in_features, math.prod(smallest)), nn.Unflatten(-1, smallest)
        )
        for before, after in pairwise([*reversed(hidden), channels * image_shape[0]]):
            net.append(self.activation())
            net.append(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1))
        self.net = net
        self.shape = (channels, *image_shape)

    def forward(self, z: Tensor) -> Tensor:
        flat = z.reshape(-1, z.shape[-1])  # convolutions take one batch dimension
        return self.net(flat).view(*z.shape[:-1], *self.shape)


def _halved(image_shape: Sequence[int], hidden: Sequence[int]) -> tuple[int, int, int]:
    """Channels, height and width after all convolutions."""
    scale = 2 ** len(hidden)
    if len(image_shape) != 3 or not hidden or image_shape[1] % scale or image_shape[2] % scale:
        raise ValueError(
            f"convolutions halve the image {len(hidden)} times: {tuple(image_shape)} (channels,"
            f" height, width) must be divisible by {scale}; shorten hidden or use network mlp"
        )
    return hidden[-1], image_shape[1] // scale, image_shape[2] // scale
