"""Shapes on the meta device are those of the layers."""

import pytest
import torch
from torch import nn

from vae.models.networks import (
    ACTIVATIONS,
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    ResidualDecoder,
)
from vae.models.shapes import RULES, ShapesOnly

LAYERS = {
    "linear": (lambda: nn.Linear(6, 5), (3, 2, 6)),
    "linear of one vector": (lambda: nn.Linear(6, 5, bias=False), (6,)),
    "convolution": (lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2), (5, 4, 9, 8)),
    "convolution of one image": (lambda: nn.Conv2d(4, 6, 3), (4, 9, 8)),
    "convolution, padded by a word": (lambda: nn.Conv2d(4, 6, 3, padding="same"), (5, 4, 9, 8)),
    "transposed": (
        lambda: nn.ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 0), (1, 2), 2, dilation=(2, 3)),
        (5, 4, 9, 8),
    ),
    "mlp decoder": (lambda: MLPDecoder(5, (2, 8, 8), 2, hidden=(7, 6)), (3, 2, 5)),
    "mlp encoder": (lambda: MLPEncoder((2, 8, 8), hidden=(7, 6)), (3, 2, 8, 8)),
    "conv decoder": (lambda: ConvDecoder(5, (2, 8, 8), 2, hidden=(7, 6)), (3, 2, 5)),
    "conv encoder": (lambda: ConvEncoder((2, 8, 8), hidden=(7, 6)), (3, 2, 8, 8)),
    "residual decoder, gated": (
        lambda: ResidualDecoder(5, (2, 9, 7), 2, (7, 6), "gated", 2),
        (3, 2, 5),
    ),
    "others": (lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Sigmoid()), (3, 6)),
    **{name: (kind, (3, 6)) for name, kind in ACTIVATIONS.items()},
}


@pytest.mark.parametrize("name", LAYERS)
def test_shapes_are_those_of_the_layer(name):
    make, shape = LAYERS[name]
    real = make()(torch.zeros(shape))
    with torch.device("meta"):
        layer, x = make(), torch.zeros(shape)
    with ShapesOnly():
        found = layer(x)
    assert found.is_meta and found.shape == real.shape


def test_off_the_meta_device_nothing_changes():
    torch.manual_seed(0)
    network, z = MLPDecoder(5, (2, 8, 8), 2, hidden=(7, 6)), torch.randn(3, 5)
    with ShapesOnly():
        found = network(z)
    assert torch.equal(found, network(z))


def test_what_does_not_fit_is_left_to_torch():
    with torch.device("meta"):
        layer, x = nn.Linear(6, 5), torch.zeros(3, 5)
    with pytest.raises(RuntimeError), ShapesOnly():
        layer(x)


def test_every_rule_is_looked_at():
    seen = set()

    class Seen(ShapesOnly):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.add(func)
            return super().__torch_function__(func, types, args, kwargs)

    with torch.device("meta"), Seen():
        for make, shape in LAYERS.values():
            make()(torch.zeros(shape))
        nn.functional.softplus(torch.zeros(3))
    assert seen >= set(RULES)
