"""Linear layers by oneDNN are torch's to rounding, with a gradient to what goes in."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vae.models import one_dnn
from vae.models.networks import MLPDecoder
from vae.models.one_dnn import OneDNN


@pytest.fixture
def calls(monkeypatch):
    """The shapes that oneDNN is given."""
    if not one_dnn.available():
        pytest.skip("this CPU, or this version of torch, has no use for oneDNN")
    seen, real = [], one_dnn._linear
    monkeypatch.setattr(
        one_dnn, "_linear", lambda x, *rest: seen.append(tuple(x.shape)) or real(x, *rest)
    )
    return seen


def test_a_decoder_says_the_same_to_rounding(calls):
    decoder = MLPDecoder(20, (1, 28, 28), hidden=(50, 40))
    z = torch.randn(40, 5, 20)
    with torch.no_grad():
        plain = decoder(z)
        assert calls == []
        with OneDNN():
            fast = decoder(z)
    assert calls == [(40, 5, 20), (40, 5, 40), (40, 5, 50)]
    truth = decoder.double()(z.double())
    assert (fast - truth).abs().max() < 3 * (plain - truth).abs().max()
    assert_close(fast, plain)


def test_the_gradient_in_the_latents_is_torchs_and_weights_get_none(calls):
    layers = nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 7, bias=False))
    z = torch.randn(100, 20, requires_grad=True)
    weight = torch.randn(100, 7)
    (plain,) = torch.autograd.grad((weight * layers(z)).sum(), z)
    with OneDNN():
        out = layers(z)
    (fast,) = torch.autograd.grad((weight * out).sum(), z)
    assert_close(fast, plain)
    assert len(calls) == 4


def test_what_it_does_not_fit_is_torchs(calls):
    few, double = nn.Linear(3, 4), nn.Linear(3, 4).double()
    with torch.no_grad(), OneDNN():
        few(torch.randn(one_dnn.ROWS - 1, 3))
        double(torch.randn(100, 3, dtype=torch.float64))
        nn.functional.linear(torch.randn(100, 3), weight=few.weight)
        assert few(torch.randn(0, 3)).shape == (0, 4)
    assert calls == []


def test_without_it_torch_computes_the_same(monkeypatch):
    monkeypatch.setattr(one_dnn, "available", lambda: False)
    layer, x = nn.Linear(3, 4), torch.randn(100, 3)
    with torch.no_grad(), OneDNN():
        assert torch.equal(layer(x), layer(x))
