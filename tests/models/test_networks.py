"""Bodies of encoders and decoders: shapes from the data, and loud refusals."""

from __future__ import annotations

import pytest
import torch
from every_part import NETWORKS
from torch import nn
from torch.testing import assert_close

from vae.models.networks import (
    ACTIVATIONS,
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    widen,
)

IMAGES = [(1, 28, 28), (1, 8, 8), (3, 8, 8)]


@pytest.fixture(params=NETWORKS)
def bodies(request):
    return NETWORKS[request.param]


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("hidden", [[6], [4, 6]])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_encoder_maps_images_to_features(bodies, image, hidden, activation):
    encoder = bodies[0](image, hidden, activation)
    assert encoder(torch.rand(3, *image)).shape == (3, encoder.out_features)
    assert any(isinstance(m, ACTIVATIONS[activation]) for m in encoder.modules())


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (2, 1, 3)])
def test_a_decoder_takes_any_leading_dimensions(bodies, image, channels, leading):
    decoder = bodies[1](5, image, channels, [4, 6])
    z = torch.randn(*leading, 5)
    x = decoder(z)
    assert x.shape == (*leading, channels, *image)
    assert_close(decoder(z.reshape(-1, 5)).reshape(x.shape), x)  # each sample on its own


@pytest.mark.parametrize("image", IMAGES)
def test_gradients_reach_every_weight(bodies, image):
    hidden = [4, 6]
    encoder = bodies[0](image, hidden, "tanh")
    decoder = bodies[1](encoder.out_features, image, 1, hidden, "tanh")
    decoder(encoder(torch.rand(2, *image))).square().sum().backward()
    for p in [*encoder.parameters(), *decoder.parameters()]:
        assert p.grad is not None and (p.grad != 0).any()
    assert hidden == [4, 6]  # a decoder reverses a copy


def test_hidden_layers_are_mirrored():
    widths = [
        [(m.in_features, m.out_features) for m in net if isinstance(m, nn.Linear)]
        for net in (
            MLPEncoder((1, 2, 3), [8, 7]),
            MLPDecoder(4, (1, 2, 3), hidden=[8, 7], channels=2),
        )
    ]
    assert widths == [[(6, 8), (8, 7)], [(4, 7), (7, 8), (8, 12)]]


def test_no_hidden_layer_leaves_the_flat_image():
    x = torch.rand(3, 1, 2, 3)
    encoder = MLPEncoder((1, 2, 3), [])
    assert encoder.out_features == 6
    assert_close(encoder(x), x.flatten(1))


@pytest.mark.parametrize("part", [0, 1], ids=["encoder", "decoder"])
def test_an_unknown_activation_raises(bodies, part):
    size = () if part == 0 else (5,)
    with pytest.raises(ValueError, match="unknown activation 'sinc'.*relu"):
        bodies[part](*size, (1, 8, 8), hidden=[4], activation="sinc")


@pytest.mark.parametrize(
    ("image", "hidden"),
    [((1, 28, 28), [2, 2, 2]), ((1, 8, 6), [2, 2]), ((1, 8, 8), []), ((64,), [2])],
    ids=["indivisible", "one side indivisible", "no layer", "no image"],
)
@pytest.mark.parametrize("part", [0, 1], ids=["encoder", "decoder"])
def test_an_image_that_cannot_be_halved_raises(image, hidden, part):
    size = () if part == 0 else (5,)
    with pytest.raises(ValueError, match="divisible by .* use network mlp"):
        NETWORKS["conv"][part](*size, image, hidden=hidden)


def test_conv_pixels_depend_on_every_variable():
    decoder = ConvDecoder(5, (1, 8, 8), 1, [4], "tanh")
    jacobian = torch.autograd.functional.jacobian(
        lambda z: decoder(z)[0].flatten(), torch.ones(1, 5)
    )
    assert (jacobian != 0).all()


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_widen(narrow, wide):
    assert widen(torch.ones(2, dtype=narrow)).dtype == wide


@pytest.mark.parametrize("network", [MLPEncoder, ConvEncoder, MLPDecoder, ConvDecoder])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": [4, 0]}, r"hidden widths must be at least 1, got \[4, 0\]"),
        ({"image_shape": (1, 0, 8)}, r"image_shape must be positive, got \(1, 0, 8\)"),
        ({"in_features": 0}, "in_features must be an integer, 1 or more, got 0"),
        ({"channels": [16]}, r"channels must be an integer, 1 or more, got \[16\]"),
    ],
)
def test_sizes_that_make_no_network_are_refused_in_one_line(network, options, message):
    decoder = network in (MLPDecoder, ConvDecoder)
    if not decoder and options.keys() & {"in_features", "channels"}:
        return  # a decoder's
    arguments = {"image_shape": (1, 8, 8)} | ({"in_features": 5} if decoder else {}) | options
    with pytest.raises(ValueError, match=message) as error:
        network(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("network", [MLPEncoder, ConvEncoder])
def test_an_encoder_says_what_images_it_takes(network):
    assert network((1, 28, 28)).image_shape == (1, 28, 28)  # with the default layers


STATE = {
    MLPEncoder: ["1.weight", "1.bias", "3.weight", "3.bias"],
    MLPDecoder: ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"],
    ConvEncoder: ["0.weight", "0.bias", "2.weight", "2.bias"],
    ConvDecoder: [f"net.{n}.{kind}" for n in (0, 3, 5) for kind in ("weight", "bias")],
}


@pytest.mark.parametrize("network", STATE)
def test_checkpoints_name_the_weights_as_they_always_have(network):
    size = (5,) if network in (MLPDecoder, ConvDecoder) else ()
    assert list(network(*size, (1, 8, 8), hidden=[4, 6]).state_dict()) == STATE[network]
