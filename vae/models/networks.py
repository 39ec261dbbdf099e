"""Bodies of encoders and decoders: plain modules between an image and a flat vector of features.

An encoder maps ``(B, *image)`` to ``(B, H)``; a decoder maps ``(*, D)``, with any leading sample
dimensions, to ``(*, *image)`` times the number of parameters that a likelihood asks for a pixel.
Shapes come from the data; nothing here is particular to MNIST.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = [
    "ACTIVATIONS",
    "NETWORKS",
    "ConvDecoder",
    "ConvEncoder",
    "MLPDecoder",
    "MLPEncoder",
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
    """Casts to float32 what is narrower: under autocast, distributions and their noise stay in
    full precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _activation(name: str) -> nn.Module:
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}: choose from {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def _mlp(widths: Sequence[int], activation: str) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(before, after), _activation(activation)]
    return layers


class MLPEncoder(nn.Sequential):
    """Creates a fully connected encoder, ``(B, *image)`` to ``(B, hidden[-1])``; with no hidden
    layer, the flat image itself."""

    def __init__(
        self, image_shape: Sequence[int], hidden: Sequence[int], activation: str = "relu"
    ) -> None:
        widths = [math.prod(image_shape), *hidden]
        super().__init__(nn.Flatten(), *_mlp(widths, activation))
        self.out_features: int = widths[-1]


class MLPDecoder(nn.Sequential):
    """Creates a fully connected decoder, ``(*, D)`` to ``(*, channels, *image)``, with the hidden
    layers in reverse."""

    def __init__(
        self,
        in_features: int,
        image_shape: Sequence[int],
        hidden: Sequence[int],
        activation: str = "relu",
        channels: int = 1,
    ) -> None:
        widths = [in_features, *reversed(hidden)]
        shape = (channels, *image_shape)
        super().__init__(
            *_mlp(widths, activation),
            nn.Linear(widths[-1], math.prod(shape)),
            nn.Unflatten(-1, shape),
        )


class ConvEncoder(nn.Sequential):
    """Creates an encoder of stride-two convolutions, one for each entry of ``hidden``, its
    channels.

    Raises:
        ValueError: If the image's sides cannot be halved that often.
    """

    def __init__(
        self, image_shape: Sequence[int], hidden: Sequence[int], activation: str = "relu"
    ) -> None:
        channels, height, width = _check_conv(image_shape, hidden)
        layers: list[nn.Module] = []
        for before, after in zip([channels, *hidden], hidden, strict=False):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), _activation(activation)]
        super().__init__(*layers, nn.Flatten())
        scale = 2 ** len(hidden)
        self.out_features: int = hidden[-1] * (height // scale) * (width // scale)


class ConvDecoder(nn.Module):
    """Creates the mirror image of :class:`ConvEncoder`, ``(*, D)`` to ``(*, channels,
    *image)``."""

    def __init__(
        self,
        in_features: int,
        image_shape: Sequence[int],
        hidden: Sequence[int],
        activation: str = "relu",
        channels: int = 1,
    ) -> None:
        super().__init__()
        image_channels, height, width = _check_conv(image_shape, hidden)
        scale = 2 ** len(hidden)
        start = (hidden[-1], height // scale, width // scale)
        layers: list[nn.Module] = [
            nn.Linear(in_features, math.prod(start)),
            nn.Unflatten(-1, start),
        ]
        widths = [*reversed(hidden), channels * image_channels]
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [
                _activation(activation),
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1),
            ]
        self.net = nn.Sequential(*layers)
        self.shape = (channels, *image_shape)

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z.reshape(-1, z.shape[-1])).view(
            *z.shape[:-1], *self.shape
        )  # convolutions take one batch dimension


def _check_conv(image_shape: Sequence[int], hidden: Sequence[int]) -> Sequence[int]:
    scale = 2 ** len(hidden)
    if len(image_shape) != 3 or not hidden or image_shape[1] % scale or image_shape[2] % scale:
        raise ValueError(
            f"network conv halves the image {len(hidden)} times: {tuple(image_shape)} (channels, height, width)"
            f" must be divisible by {scale}; shorten hidden or use network mlp"
        )
    return image_shape


NETWORKS: dict[
    str, tuple[type[MLPEncoder] | type[ConvEncoder], type[MLPDecoder] | type[ConvDecoder]]
] = {
    "mlp": (MLPEncoder, MLPDecoder),
    "conv": (ConvEncoder, ConvDecoder),
}
