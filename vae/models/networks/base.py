"""What all bodies share: checked arguments, activations, and gated layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vae.models.no_effect import refuse

__all__ = ["ACTIVATIONS", "Network", "widen"]


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "gated": nn.GLU,
}
"""Activations by name. ``gated`` is h * sigmoid(g) of two linear maps h and g of the same input."""


def widen(x: Tensor) -> Tensor:
    """Casts half precision to float32: distributions and their noise need full precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Network(nn.Sequential):
    """What the bodies share: their arguments, checked.

    References:
        | Gated layers: VAE with a VampPrior (Tomczak & Welling, 2018), section 5
        | (https://arxiv.org/abs/1705.07120).

    Arguments:
        in_features: The width D of what a decoder reads.
        image_shape: Channels, height and width of an image.
        channels: Parameters of the likelihood for each pixel; what a decoder returns.
        hidden: Widths of the hidden layers from the image to the latents; decoders reverse them.
        activation: relu, leaky_relu, tanh, gelu, silu, or gated (h * sigmoid(g), twice the
            weights).

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
        self.factor = 2 if activation == "gated" else 1  # of the outputs that an activation reads
        self._kind = ACTIVATIONS[activation]

    def activation(self, dim: int = -1) -> nn.Module:
        """The activation.

        Arguments:
            dim: Where a gated one finds h and g side by side: -1, or -3 after a convolution.
        """
        return nn.GLU(dim) if self._kind is nn.GLU else self._kind()
