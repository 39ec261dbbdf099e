"""Networks in a page compute what torch does, from float16 weights."""

import importlib
import itertools
import json
from pathlib import Path

import pytest
import torch
from browser import opened
from combining import composed
from torch import nn

from vae.models.catalogue import LATENTS, LIKELIHOODS, NETWORKS
from vae.models.composition import compose
from vae.pages.networks import (
    Decoder,
    Encoder,
    NetworkError,
    export_decoder,
    export_encoder,
    export_network,
    scripts,
)
from vae.pages.networks.elementwise import BINARY, UNARY
from vae.pages.page import page
from vae.whole_files import replace_text

RUN = """([spec, given]) => {
    const numbers = Object.fromEntries(given.map(([name, a]) => [name, Float32Array.from(a)]));
    const others = Object.fromEntries(given.map(([name, a]) => [name, Float32Array.from(a).reverse()]));
    const network = new Network(spec);
    network.run(others); // of which nothing may be left
    const found = network.run(numbers);
    network.run(others); // which may not change what was returned
    return Object.entries(found).map(([name, a]) => [name, Array.from(a, String)]);
}"""


@pytest.fixture(scope="module")
def run(browser, tmp_path_factory):
    """Runs a network in a page, on tensors; its outputs come back in the shapes of others."""
    path = tmp_path_factory.mktemp("networks") / "page.html"
    replace_text(path, page("Networks", "", script=scripts() + "window.Network = Network;"))
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
    ("gaussian", "bernoulli", "mlp"),
    ("gaussian", "continuous_bernoulli", "conv"),
    ("binary", "logistic_mixture", "residual"),
    ("one_hot", "beta_binomial", "mlp"),
    ("gamma", "gaussian", "mlp"),
    ("von_mises", "gaussian_per_pixel", "mlp"),
    ("vq", "bernoulli", "mlp"),
    ("gaussian_layers", "bernoulli", "mlp"),
]
"""Each likelihood, each network, and latents that become codes in different ways."""


@torch.no_grad()
@pytest.mark.parametrize("parts", DECODERS, ids="-".join)
def test_a_page_decodes_as_torch_does(run, parts):
    decoder = Decoder(model(*parts))
    z = decoder.vae.prior().sample((7,))  # another batch than those that were traced
    wanted = decoder(z)
    assert apart(run(export_decoder(decoder.vae), wanted, z=z), wanted) < 1e-3


ENCODERS = {
    "gaussian": ("conv", {"loc", "scale", "mean", "kl"}),
    "one_hot": ("mlp", {"logits", "mean", "kl"}),
    "full_gaussian": ("mlp", {"loc", "scale_tril", "mean"}),
    "misvae": ("mlp", {"loc", "scale", "mean"}),
    "fsq": ("mlp", {"logits", "mean", "kl"}),
    "conditional_bernoulli": ("mlp", {"logits", "mean"}),
    "von_mises": ("mlp", {"loc", "concentration", "mean", "kl"}),
}


@torch.no_grad()
@pytest.mark.parametrize("latent", ENCODERS)
def test_a_page_encodes_as_torch_does(run, latent):
    network, names = ENCODERS[latent]
    encoder = Encoder(model(latent, network=network))
    spec, x = export_encoder(encoder.vae), torch.rand(5, 1, 8, 8)
    assert {output["name"] for output in spec["outputs"]} == names
    wanted = {name: value for name, value in encoder(x).items() if name in names}
    assert apart(run(spec, wanted, x=x), wanted) < 2e-3


ALL = [
    *((latent, "bernoulli", "mlp") for latent in LATENTS),
    *(("gaussian", *pair) for pair in itertools.product(LIKELIHOODS, NETWORKS)),
]


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.parametrize("parts", ALL, ids="-".join)
def test_every_part_in_a_page(run, parts):
    """Of what cannot be encoded there, stochastic layers and flows, the decoder."""
    test_a_page_decodes_as_torch_does(run, parts)
    vae, x = model(*parts), torch.rand(5, 1, 8, 8)
    try:
        encoder = Encoder(vae)
    except NetworkError:
        assert parts[0] == "flow" or parts[0].endswith("layers")
        return
    spec = export_encoder(vae)
    wanted = {output["name"]: encoder(x)[output["name"]] for output in spec["outputs"]}
    assert apart(run(spec, wanted, x=x), wanted) < 2e-3


@torch.no_grad()
def test_parts_of_ones_own(run, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "experiments" / "own_parts"))
    mine = importlib.import_module("mine")
    own = {"encoder": mine.Wide, "latent": mine.LaplaceLatent, "likelihood": mine.SoftBernoulli}
    objective = mine.TemperedELBO(num_samples=2)
    vae = compose((1, 8, 8), **own, prior=mine.Clusters, objective=objective).vae.eval()
    x, z = torch.rand(2, 1, 8, 8), torch.randn(2, 4)
    wanted = {name: Encoder(vae)(x)[name] for name in ("loc", "scale", "mean")}
    assert apart(run(export_encoder(vae), wanted, x=x), wanted) < 2e-3
    assert apart(run(export_decoder(vae), Decoder(vae)(z), z=z), Decoder(vae)(z)) < 1e-3


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_one_z_of_a_model_shipped_as_float16_is_exact(run, dtype):
    decoder = Decoder(model())
    if dtype == torch.float16:
        decoder.half().float()
    z = decoder.vae.prior().sample((1,))
    spec, wanted = export_decoder(decoder.vae), decoder(z)
    assert (apart(run(spec, wanted, z=z), wanted) < 1e-6) == (dtype == torch.float16)
    assert (spec["error"] == 0) == (dtype == torch.float16)


class Own(nn.Module):
    """Layers that the library's networks do not have, in place and by indices too."""

    def __init__(self):
        super().__init__()
        self.normal = nn.BatchNorm2d(4)
        self.body = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=2, dilation=2, groups=2),
            self.normal,
            nn.ELU(inplace=True),
            nn.Upsample(scale_factor=2),
            nn.ConstantPad2d((1, 0, 2, 0), 1.5),
            nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, groups=2),
            nn.GroupNorm(3, 6),
            nn.GELU(),
            nn.AvgPool2d(2),
            nn.MaxPool2d(3, stride=1, padding=1),
        )
        self.last = nn.Linear(12, 5)

    def forward(self, x, y):
        h = self.body(x)
        h.clamp_(-0.5, 2)
        attention = (h @ h.mT).softmax(-1) @ h
        mixed = self.last(attention).flip(-1).roll(1, -2)
        return mixed[..., [0, 2, 2]].log_softmax(2), mixed.logsumexp(1).cumsum(-1)[:, -1] * y


@torch.no_grad()
def test_a_module_of_ones_own(run):
    torch.manual_seed(0)
    own = Own().eval()
    own.normal.running_mean.normal_()
    own.normal.running_var.uniform_(0.5, 2)
    x, y = torch.randn(2, 2, 5, 5), torch.randn(2, 1)
    first, second = own(x, y)
    wanted = {"output_0": first, "output_1": second}
    assert apart(run(export_network(own, x, y), wanted, x=x, y=y), wanted) < 1e-3


class Looked(nn.Module):
    """What flows, subsets and full covariances need: places that depend on the input."""

    def forward(self, x):
        top = x.topk(2, 1)
        lower, upper = x @ x.mT + torch.eye(3), torch.ones(3, 3).triu() + torch.eye(3)
        return {
            "values": top.values,
            "taken": x.gather(1, top.indices),
            "others": x.scatter(1, top.indices, -7.0),
            "solved": torch.linalg.solve_triangular(lower, x, upper=False),
            "too": torch.linalg.solve_triangular(upper.expand(len(x), 3, 3), x, upper=True),
            "any": (x > 1).any(-1).to(x.dtype),
        }


@torch.no_grad()
def test_places_that_depend_on_the_input(run):
    x = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    wanted = Looked()(x)
    assert wanted["any"].any() and not wanted["any"].all()
    assert apart(run(export_network(Looked(), x), wanted, x=x), wanted) < 1e-5


class Sorting(nn.Module):
    def forward(self, x):
        return x.sort(-1).values


class Looking(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Pooling(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


@pytest.mark.parametrize(
    "module, said",
    [
        (Sorting(), "pages know no operation aten.sort"),
        (Looking(), "what Looking computes is no fixed list of operations"),
        (Pooling(), "aten.mean.dim over the images of a batch"),
    ],
)
def test_what_a_page_cannot_run_is_refused_in_a_line(module, said):
    with pytest.raises(NetworkError, match=said) as refusal:
        export_network(module, torch.rand(3, 4))
    assert "--onnx" in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("latent, said", [("binary_layers", "networks"), ("flow", "a flow")])
def test_a_posterior_that_is_more_than_its_parameters_is_refused(latent, said):
    with pytest.raises(
        NetworkError, match=rf"not known by its parameters: it has .*{said} beside"
    ):
        export_encoder(model(latent))


class Shifted(nn.Module):
    def __init__(self, by):
        super().__init__()
        self.register_buffer("by", by)

    def forward(self, x):
        return x + self.by


def test_numbers_of_16_bits_are_read_exactly(run):
    by = torch.tensor([65504.0, -1.5, 2.0**-14, 2.0**-24, -3 * 2.0**-20, 0.0, torch.inf])
    spec = export_network(Shifted(by), torch.zeros(1, 7))
    assert {entry["type"] for entry in spec["tensors"].values()} == {"float16"}
    found = run(spec, {"output": by}, x=torch.zeros(7))["output"]
    assert torch.equal(found, by)


class Cancelling(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.00012, 1.0]]))

    def forward(self, x):
        return 1000 * (x @ self.weight.T)


def test_weights_that_16_bits_spoil_stay_wide_and_that_is_said(run):
    x = torch.tensor([[1.0, -1.0]])
    with pytest.warns(UserWarning, match="Cancelling: .* kept in 32 bits, as 16 would change"):
        spec = export_network(Cancelling(), x)
    wanted = {"output": Cancelling()(x).detach()}
    assert apart(run(spec, wanted, x=x), wanted) < 1e-3


class Everything(nn.Module):
    """Each function of one number, and of two."""

    def forward(self, x, y):
        one = [getattr(torch, name, None) or getattr(torch.special, name[8:]) for name in ONE]
        two = [getattr(torch, name) for name in TWO]
        found = [f(x) for f in one] + [f(x.abs(), y) for f in two]
        return torch.stack([each.float() for each in found], 1)


ONE, TWO = sorted(UNARY), sorted(BINARY - {"floor_div"}) + ["floor_divide"]


@torch.no_grad()
def test_each_function_is_torchs(run):
    x = torch.tensor(
        [-20.0, -2.5, -0.5, -0.1, 0.0, 0.01, 0.3, 0.5, 0.95, 1.5, 2.5, 3.9, 7.2, 30.0]
    )
    positive = ("lgamma", "digamma")  # of negative numbers the page knows neither
    wanted = Everything()(x[None], torch.tensor([[2.5]]))
    found = run(
        export_network(Everything(), x[None], torch.tensor([[2.5]])),
        {"output": wanted},
        x=x[None],
        y=torch.tensor([2.5]),
    )["output"]
    for name, got, want in zip(ONE + TWO, found[0], wanted[0], strict=True):
        some = x > 0 if name in positive else x == x
        torch.testing.assert_close(
            got[some], want[some], rtol=2e-6, atol=2e-7, equal_nan=True, msg=name
        )


def test_numbers_that_do_not_fit_are_refused(run):
    spec = export_decoder(model())
    with pytest.raises(Exception, match="z takes a multiple of 3 numbers, not 4"):
        run(spec, {}, z=torch.zeros(4))
    with pytest.raises(Exception, match="no z was given"):
        run(spec, {})
    spec["operations"][0]["op"] = "unheard"
    with pytest.raises(Exception, match="this page knows no operation unheard"):
        run(spec, {}, z=torch.zeros(3))
