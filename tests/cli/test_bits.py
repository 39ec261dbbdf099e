"""Bits a dimension of log p(x), where pixels are grey levels."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from vae.cli.asking import Asking
from vae.cli.evaluation_file import entry
from vae.data.images.digits import Digits
from vae.evaluation.part import Number
from vae.models.likelihoods import Bernoulli, BetaBinomial


def bits(number, pixels=64, of_log_p=True):
    part = SimpleNamespace(of_log_p=of_log_p, name="part")
    found = SimpleNamespace(part=part, images=3, asked=3, seconds=1.0)
    return entry(number, found, "none", 0, pixels=pixels).get("bits_a_dimension")


def test_numbers_of_log_p_are_said_in_bits_too():
    nats = -64 * 3.5 * math.log(2)
    for name in ("elbo", "log_likelihood_100", "ais", "log_likelihood_exact"):
        assert bits(Number(name, nats)) == pytest.approx(3.5)
        assert bits(Number(name, nats), pixels=None) is None
    for name in ("rate", "distortion", "ais_minus_log_likelihood_100", "inference_gap"):
        assert bits(Number(name, nats)) is None
    assert bits(Number("elbo_change", nats, unit="%")) is None
    assert bits(Number("elbo", nats), of_log_p=False) is None


@pytest.mark.parametrize(("kind", "pixels"), [(BetaBinomial, 64), (Bernoulli, None)])
def test_only_a_likelihood_of_levels_has_bits(kind, pixels, tmp_path):
    checkpoint = tmp_path / "best.ckpt"
    checkpoint.write_bytes(b"weights")
    data = Digits(binarization="none")
    data.setup()
    model = SimpleNamespace(likelihood=kind(nn.Identity()))
    subject = SimpleNamespace(vae=model, data=data, split="test", device=torch.device("cpu"))
    assert Asking(subject, {"checkpoint": checkpoint}, checkpoint, 1, False).pixels == pixels
