"""Fully connected bodies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from vae.models.networks.base import Network

__all__ = ["MLPDecoder", "MLPEncoder"]


class MLPEncoder(Network):
    """Creates a fully connected encoder, ``(B, *image)`` to ``(B, hidden[-1])``.

    Without hidden layers it returns the flat image itself.

    Example:
        >>> import torch
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
            self.extend([nn.Linear(before, after * self.factor), self.activation()])
        self.out_features: int = widths[-1]


class MLPDecoder(Network):
    """Creates a fully connected decoder, ``(*, D)`` to ``(*, channels, *image)``.

    Example:
        >>> import torch
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
            self.extend([nn.Linear(before, after * self.factor), self.activation()])
        self.extend([nn.Linear(widths[-1], math.prod(shape)), nn.Unflatten(-1, shape)])
