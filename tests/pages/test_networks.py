"""Networks in a page compute what torch does, from float16 weights."""

import json

import pytest
import torch
from browser import opened
from combining import composed

from vae.pages.networks import (
    Decoder,
    export_decoder,
    scripts,
)
from vae.pages.page import page, write_page

RUN = """([spec, given]) => {
    const numbers = Object.fromEntries(given.map(([name, a]) => [name, Float32Array.from(a)]));
    const found = new Network(spec).run(numbers);
    return Object.entries(found).map(([name, a]) => [name, Array.from(a, String)]);
}"""


@pytest.fixture(scope="module")
def run(browser, tmp_path_factory):
    """Runs a network in a page, on tensors; its outputs come back in the shapes of others."""
    path = tmp_path_factory.mktemp("networks") / "page.html"
    write_page(path, page("Networks", "", script=scripts() + "window.Network = Network;"))
    with opened(browser, path) as seen:

        def ask(spec, like, **given):
            numbers = [(name, x.flatten().tolist()) for name, x in given.items()]
            found = dict(seen.evaluate(RUN, [json.loads(json.dumps(spec)), numbers]))
            assert found.keys() == like.keys()
            flat = {name: torch.tensor([*map(float, found[name])]) for name in found}
            return {name: flat[name].view(x.shape) for name, x in like.items()}

        yield ask


def apart(found, wanted):
    """The largest difference, in parts of a number where that is more than 1."""
    differences = []
    for name, want in wanted.items():
        same = found[name] == want
        difference = (found[name] - want).abs() / want.abs().clamp_min(1)
        differences.append(difference.masked_fill(same, 0).max())
    return float(max(differences))


def model(latent="gaussian", likelihood="bernoulli", network="mlp", prior=None):
    return composed(latent, prior, likelihood, network).vae


DECODERS = [
    *(("gaussian", likelihood, "mlp") for likelihood in ("bernoulli", "gaussian")),
    ("gaussian", "continuous_bernoulli", "conv"),
    ("binary", "logistic_mixture", "residual"),
    ("one_hot", "beta_binomial", "mlp"),
    *((latent, "bernoulli", "mlp") for latent in ("gamma", "von_mises", "vq", "gaussian_layers")),
]


@torch.no_grad()
@pytest.mark.parametrize("parts", DECODERS, ids="-".join)
def test_decoders(run, parts):
    decoder = Decoder(model(*parts))
    z = decoder.vae.prior().sample((7,))  # another batch than the one that was traced
    wanted = decoder(z)
    assert apart(run(export_decoder(decoder.vae), wanted, z=z), wanted) < 1e-3
