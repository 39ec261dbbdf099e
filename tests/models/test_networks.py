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
    ResidualDecoder,
    ResidualEncoder,
    widen,
)

IMAGES = [(1, 28, 28), (1, 8, 8), (3, 7, 9)]


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


CONVOLUTIONAL = ["conv", "residual"]
SIDES = [(1, 1), (1, 9), (2, 3), (8, 8), (15, 28), (28, 28), (33, 17), (105, 105)]


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("activation", ["tanh", "gated"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_fits_images_of_any_size(name, activation, colours, sides):
    image, hidden = (colours, *sides), [3, 4, 3]
    encoder = NETWORKS[name][0](image, hidden, activation)
    decoder = NETWORKS[name][1](encoder.out_features, image, 2, hidden, activation)
    x = torch.rand(2, *image)
    weights = [*encoder.parameters(), *decoder.parameters()]

    def loss():
        made = decoder(encoder(x))
        assert made.shape == (2, 2, *image)
        return (made[:, 0] - x).square().mean() + made[:, 1].square().mean()

    before = loss()
    gradients = torch.autograd.grad(before, weights)
    assert all(gradient.isfinite().all() for gradient in gradients)
    with torch.no_grad():
        size = sum(g.square().sum() for g in gradients).sqrt()
        for weight, gradient in zip(weights, gradients, strict=True):
            weight -= 1e-3 * gradient / size
        assert loss() < before


@pytest.mark.parametrize("side", range(1, 34))
def test_halving_loses_no_pixel_and_doubling_leaves_none_out(side):
    encoder = ConvEncoder((1, side, 7), [1, 1], "tanh")
    x = torch.rand(1, 1, side, 7, requires_grad=True)
    encoder(x).sum().backward()
    assert (x.grad != 0).all()  # every pixel is looked at
    decoder = ConvDecoder(1, (1, side, 7), hidden=[1, 1], activation="tanh")
    nn.init.constant_(decoder.net[-1].bias, 0.0)
    assert (decoder(torch.ones(1, 1)) != 0).all()  # and every one is drawn


def test_a_gated_layer_is_a_map_times_a_gate():
    encoder = MLPEncoder((1, 2, 3), [4], "gated")
    x = torch.rand(5, 1, 2, 3)
    h, g = (x.flatten(1) @ encoder[1].weight.T + encoder[1].bias).chunk(2, -1)
    assert_close(encoder(x), h * torch.sigmoid(g))
    conv = ConvEncoder((1, 4, 4), [3], "gated")
    h, g = conv[0](x := torch.rand(5, 1, 4, 4)).chunk(2, 1)
    assert_close(conv(x), (h * torch.sigmoid(g)).flatten(1))


def test_blocks_of_a_residual_body_are_counted():
    sizes = [
        sum(p.numel() for p in ResidualEncoder((1, 9, 9), [4], blocks=n).parameters())
        for n in (1, 2, 3)
    ]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] == 2 * (4 * 4 * 9 + 4)
    with pytest.raises(ValueError, match="blocks must be an integer, 1 or more, got 0"):
        ResidualDecoder(3, (1, 9, 9), blocks=0)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize(
    ("image", "hidden"), [((1, 8, 8), []), ((64,), [2])], ids=["no layer", "no image"]
)
@pytest.mark.parametrize("part", [0, 1], ids=["encoder", "decoder"])
def test_what_is_no_image_for_convolutions_is_refused(name, image, hidden, part):
    size = () if part == 0 else (5,)
    with pytest.raises(ValueError, match=r"convolutions need an image .*: use network mlp"):
        NETWORKS[name][part](*size, image, hidden=hidden)


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
