"""The weights that a model starts with."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.parameter import is_lazy

__all__ = ["INITIALIZATIONS", "initialize"]


LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
"""The layers that are initialised anew."""


def _glorot(layer: nn.Module) -> None:
    """Glorot & Bengio (2010), equation 16; biases 0."""
    nn.init.xavier_uniform_(layer.weight)  # type: ignore[arg-type]
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


INITIALIZATIONS = {"torch": None, "glorot": _glorot}
"""What is done to each layer; None to leave it as torch has made it."""


def _layers(parts: tuple[nn.Module, ...]) -> Iterator[nn.Module]:
    for part in parts:
        for layer in part.modules():
            if type(layer) in LAYERS and not any(map(is_lazy, layer.parameters())):
                yield layer


def initialize(name: str, *parts: nn.Module) -> None:
    """Draws the weights of linear and convolutional layers anew.

    A layer of a user's own class, and one that does not know its size yet, are left alone.

    Raises:
        ValueError: If there is no initialisation of that name.
    """
    if name not in INITIALIZATIONS:
        raise ValueError(
            f"unknown initialization {name!r}: choose from {', '.join(INITIALIZATIONS)}"
        )
    if (draw := INITIALIZATIONS[name]) is not None:
        for layer in _layers(parts):
            draw(layer)
