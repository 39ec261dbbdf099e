"""Convolutional bodies, for images of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from vae.models.networks.base import Network

__all__ = ["ConvDecoder", "ConvEncoder", "ConvNetwork", "halving", "doubling"]

Sides = tuple[int, int]


class ConvNetwork(Network):
    """What bodies of strided convolutions share.

    Each layer of stride two halves a side of n pixels, rounded down: 105, 52, 26, 13. A side of one
    pixel stays. A decoder goes the same way back, to the pixel.

    Attributes:
        sides: Height and width before every layer, and after the last.
    """

    def __init__(
        self, image_shape: Sequence[int], hidden: Sequence[int], activation: str, **sizes: int
    ) -> None:
        super().__init__(image_shape, hidden, activation, **sizes)
        if len(image_shape) != 3 or not hidden:
            raise ValueError(
                "convolutions need an image (channels, height, width) and a hidden layer, got"
                f" {tuple(image_shape)} and hidden {list(hidden)}: use network mlp"
            )
        self.sides: list[Sides] = [(image_shape[1], image_shape[2])]
        for _ in hidden:
            height, width = self.sides[-1]
            self.sides.append((max(height // 2, 1), max(width // 2, 1)))
        self.smallest = (hidden[-1], *self.sides[-1])


def halving(before: int, after: int, sides: Sides, kernel: int = 4) -> nn.Conv2d:
    """A convolution that halves images of height and width ``sides``, where they can be.

    Arguments:
        before: Channels that it reads.
        after: Channels that it makes.
        sides: Height and width of what it reads.
        kernel: Its height and width, 2 or 4.
    """
    return nn.Conv2d(before, after, **_strided(sides, kernel))


def doubling(before: int, after: int, sides: Sides, kernel: int = 4) -> nn.ConvTranspose2d:
    """The way back from :func:`halving`, to images of height and width ``sides``.

    Arguments: As of :func:`halving`.
    """
    height, width = sides
    odd = (height % 2 if height > 1 else 0, width % 2 if width > 1 else 0)
    return nn.ConvTranspose2d(before, after, output_padding=odd, **_strided(sides, kernel))


def _strided(sides: Sides, kernel: int) -> dict[str, Any]:
    """Kernel, stride and padding: a side of one pixel cannot be halved."""

    def each(many: int, one: int) -> Sides:
        height, width = (many if side > 1 else one for side in sides)
        return height, width

    padding = (kernel - 2) // 2
    return {"kernel_size": each(kernel, 1), "stride": each(2, 1), "padding": each(padding, 0)}


class ConvEncoder(ConvNetwork):
    """Creates an encoder of convolutions of stride two, each of which halves the image.

    A side of n pixels becomes one of n / 2, rounded down; a side of one pixel stays.

    Arguments:
        hidden: Channels of each convolution, from the image to the latents.

    Example:
        >>> import torch
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
        layers = zip(pairwise([image_shape[0], *hidden]), self.sides, strict=False)
        for (before, after), sides in layers:
            self.append(halving(before, after * self.factor, sides))
            self.append(self.activation(-3))
        self.append(nn.Flatten())
        self.out_features: int = math.prod(self.smallest)


class ConvDecoder(ConvNetwork):
    """Creates the mirror image of :class:`ConvEncoder`, ``(*, D)`` to ``(*, channels, *image)``.

    Arguments:
        hidden: Channels of each convolution, from the image to the latents; they are reversed.

    Example:
        >>> import torch
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
        net = first(self, in_features)
        read = [*reversed(hidden)]
        made = [width * self.factor for width in read[1:]] + [channels * image_shape[0]]
        for before, after, sides in zip(read, made, reversed(self.sides[:-1]), strict=True):
            net.append(self.activation(-3))
            net.append(doubling(before, after, sides))
        self.net = net
        self.shape = (channels, *image_shape)

    def forward(self, z: Tensor) -> Tensor:
        return unfolded(self.net, z).view(*z.shape[:-1], *self.shape)


def first(network: ConvNetwork, in_features: int) -> nn.Sequential:
    """From codes ``(B, D)`` to what the first activation of a decoder reads, ``(B, C, h, w)``."""
    channels, *sides = network.smallest
    shape = (channels * network.factor, *sides)
    return nn.Sequential(nn.Linear(in_features, math.prod(shape)), nn.Unflatten(-1, shape))


def unfolded(net: nn.Module, z: Tensor) -> Tensor:
    """What convolutions, which take one batch dimension, make of codes ``(*, D)``."""
    made: Tensor = net(z.reshape(-1, z.shape[-1]))
    return made
