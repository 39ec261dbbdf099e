"""Residual bodies: strided blocks whose skips are linear, for images of any size.

Each block is ``skip(x) + strided(activation(convolution(x)))``. There is no batch normalisation: it
would make the bound of one image depend on the others of its batch.

References:
    | Identity Mappings in Deep Residual Networks (He et al., 2016)
    | (https://arxiv.org/abs/1603.05027).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from vae.models.networks.conv import ConvNetwork, doubling, first, halving, unfolded

__all__ = ["ResidualDecoder", "ResidualEncoder"]


class Residual(nn.Module):
    """The sum of two modules of the same input and output."""

    def __init__(self, skip: nn.Module, branch: nn.Module) -> None:
        super().__init__()
        self.skip, self.branch = skip, branch

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.skip(x) + self.branch(x)
        return found


def _inner(network: ConvNetwork, width: int, blocks: int) -> list[nn.Module]:
    """The blocks of a size that do not change it."""

    def block() -> nn.Module:
        branch = nn.Sequential(
            nn.Conv2d(width, width * network.factor, 3, padding=1),
            network.activation(-3),
            nn.Conv2d(width, width, 3, padding=1),
        )
        return Residual(nn.Identity(), branch)

    return [block() for _ in range(blocks - 1)]


class ResidualEncoder(ConvNetwork):
    """Creates an encoder of residual blocks of stride two, each of which halves the image.

    Arguments:
        hidden: Channels after each halving, from the image to the latents.
        blocks: Residual blocks of each size.

    Example:
        >>> import torch
        >>> from vae import ResidualEncoder
        >>> encoder = ResidualEncoder((3, 33, 17), hidden=(8, 16))
        >>> encoder(torch.rand(5, 3, 33, 17)).shape  # 16 x 8 x 4
        torch.Size([5, 512])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        hidden: Sequence[int] = (32, 64),
        activation: str = "relu",
        blocks: int = 1,
    ) -> None:
        super().__init__(image_shape, hidden, activation, blocks=blocks)
        self.append(nn.Conv2d(image_shape[0], hidden[0], 3, padding=1))
        widths = pairwise([hidden[0], *hidden])
        for (before, after), sides in zip(widths, self.sides, strict=False):
            branch = nn.Sequential(
                nn.Conv2d(before, after * self.factor, 3, padding=1),
                self.activation(-3),
                halving(after, after, sides),
            )
            self.append(Residual(halving(before, after, sides, kernel=2), branch))
            self.extend(_inner(self, after, blocks))
        self.append(nn.Flatten())
        self.out_features: int = math.prod(self.smallest)


class ResidualDecoder(ConvNetwork):
    """Creates the mirror image of :class:`ResidualEncoder`, ``(*, D)`` to ``(*, channels, *image)``.

    Arguments:
        hidden: Channels after each halving, from the image to the latents; they are reversed.
        blocks: Residual blocks of each size.

    Example:
        >>> import torch
        >>> from vae import ResidualDecoder
        >>> decoder = ResidualDecoder(20, (3, 33, 17), hidden=(8, 16))
        >>> decoder(torch.randn(7, 5, 20)).shape
        torch.Size([7, 5, 1, 3, 33, 17])
    """

    def __init__(
        self,
        in_features: int,
        image_shape: Sequence[int],
        channels: int = 1,
        hidden: Sequence[int] = (32, 64),
        activation: str = "relu",
        blocks: int = 1,
    ) -> None:
        sizes = {"in_features": in_features, "channels": channels, "blocks": blocks}
        super().__init__(image_shape, hidden, activation, **sizes)
        net = first(self, in_features)
        net.append(self.activation(-3))
        widths = pairwise([*reversed(hidden), hidden[0]])
        for (before, after), sides in zip(widths, reversed(self.sides[:-1]), strict=True):
            net.extend(_inner(self, before, blocks))
            branch = nn.Sequential(
                doubling(before, before * self.factor, sides),
                self.activation(-3),
                nn.Conv2d(before, after, 3, padding=1),
            )
            net.append(Residual(doubling(before, after, sides, kernel=2), branch))
        net.append(nn.Conv2d(hidden[0], channels * image_shape[0], 3, padding=1))
        self.net = net
        self.shape = (channels, *image_shape)

    def forward(self, z: Tensor) -> Tensor:
        return unfolded(self.net, z).view(*z.shape[:-1], *self.shape)
