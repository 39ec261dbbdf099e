"""What the explorer's scripts know of a model without a page: every latent layer, as torch has it."""

import json
import math
import re
import warnings
from functools import partial

import pytest
import torch
from browser import opened
from combining import composed, images

import vae
from vae.distributions.logistic_normal import LogisticNormal
from vae.distributions.operations import base_of, parameters
from vae.models.catalogue import combinations
from vae.models.composition import compose
from vae.pages.explorer import gather
from vae.pages.explorer.laws import first_of, log_ratio
from vae.pages.explorer.write import model_scripts
from vae.pages.page import page
from vae.pictures.codes import center, ways
from vae.whole_files import replace_text

DRAWS = 2000
T = [0.0, 0.13, 0.5, 0.77, 1.0]

ASK = """([held, x, y, draws, t, drawn, parameters]) => {
    const model = new Model(held), {space} = model, random = new Random(1);
    const q = model.encode(x), z = Float64Array.from(q.center()), end = Float64Array.from(model.encode(y).center());
    const about = {middle: held.middle, scale: held.scale, width: space.width, layers: space.layers};
    const estimate = model.ratio && new Estimate(q);
    while (estimate && !estimate.done) estimate.more();
    return {
        estimate: estimate && {mean: estimate.mean, error: estimate.error, n: estimate.n},
        ratio: model.ratio && [...model.ratio.run({drawn, ...parameters}).log_ratio],
        center: [...z], kl: q.kl(), probs: space.discrete ? [...q.probs()] : null,
        moments: space.discrete ? null : {mean: [...q.moments().mean], sd: [...q.moments().sd]},
        samples: Array.from({length: draws}, () => [...q.sample(random)]),
        ways: Object.fromEntries(held.ways.map(({name}) => [name, t.map((part) => [...WAYS[name](z, end, part, about)])])),
        moved: space.discrete ? [...model.switched(z, 1, 0)] : [...model.moved(z, [0, 1], [space.high[0], space.low[1] / 2])],
        low: space.low, high: space.high,
    };
}"""


@pytest.fixture(scope="module")
def ask(browser, tmp_path_factory):
    path = tmp_path_factory.mktemp("explorer") / "page.html"
    names = "FAMILIES, Model, Random, Estimate, WAYS"
    replace_text(
        path, page("t", "", script=f"{model_scripts()}\nObject.assign(window, {{{names}}});")
    )
    with opened(browser, path) as seen:
        yield lambda *given, of=ASK: seen.evaluate(of, json.loads(json.dumps(given)))


numbers = lambda values: torch.tensor(values, dtype=torch.float32)

QUICK = {
    *("gaussian", "one_hot", "binary_layers", "power_spherical", "conditional_bernoulli"),
    *("flow", "full_gaussian-mixture", "plackett_luce-vamp"),
}
"""Of each kind of latents one, and of what only a ratio takes; the others are as thorough as slow."""

PAIRS = sorted({(latent, prior or "") for latent, prior, _ in combinations()})

EVERY = [
    pytest.param(*pair, marks=[] if name in QUICK else pytest.mark.slow, id=name)
    for pair in PAIRS
    for name in ["-".join(filter(None, pair))]
]


@torch.no_grad()
@pytest.mark.parametrize("name, prior", EVERY)
def test_every_latent_layer(ask, name, prior):
    if "flow" in (name, prior):
        pytest.importorskip("zuko")
    check(ask, composed(name, prior or None, "bernoulli").eval())


MIXED = {
    "mixtures": [partial(vae.GaussianMixtureLatent, latent_dim=2, num_components=3)] * 2,
    "flows": [partial(vae.FlowLatent, latent_dim=2, hidden=[8])] * 2,
    "different": [
        partial(vae.LaplaceLatent, num_variables=3),
        partial(vae.DiagonalGaussian, latent_dim=2),
    ],
}


@torch.no_grad()
@pytest.mark.parametrize(
    "name", [*MIXED][:1] + [pytest.param(n, marks=pytest.mark.slow) for n in [*MIXED][1:]]
)
def test_layers_of_other_families(ask, name):
    if name == "flows":
        pytest.importorskip("zuko")
    torch.manual_seed(0)
    parts = {
        "encoder": partial(vae.MLPEncoder, hidden=[16]),
        "latent": partial(vae.Hierarchy, layers=MIXED[name], hidden=[8]),
        "decoder": partial(vae.MLPDecoder, hidden=[16]),
    }
    objective = vae.ELBO(1, analytic_kl=False)
    check(ask, compose((1, 8, 8), **parts, objective=objective, estimator="pathwise").eval())


def check(ask, model):
    vae, x = model.vae.hard, images("binary")
    held = gather(model, "small")
    q = vae.posterior(x[:2])
    drawn = q.sample()
    given = {key: value.flatten().tolist() for key, value in parameters(first_of(q)).items()}
    pictures = [x[n].flatten().tolist() for n in (0, 1)]
    found = ask(held, *pictures, DRAWS, T, drawn.flatten().tolist(), given)
    moved = [law["place"] is not None for law in held["posterior"]["laws"]]
    random_center = any(moved) or not has_center(q)
    if not random_center:
        assert torch.allclose(numbers(found["center"]), center(q)[0].flatten(), atol=1e-3)
    check_kl(vae, q, found, held["posterior"]["whyNoKL"], drawn)
    drawn = q.sample((DRAWS,))[:, 0].flatten(1)
    apart = same_mean(numbers(found["samples"]), drawn)
    assert apart < 6, f"{apart:.1f} standard errors"  # false alarm: 1e-7 of the widest codes
    if not random_center:
        codes = center(q)
        for way, move in ways(q, vae.prior()).items():
            exact = move(codes[0], codes[1], torch.tensor(T)).flatten(1)
            assert torch.allclose(numbers(found["ways"][way]), exact, atol=2e-3), way
    z = numbers(found["moved"]).view(1, *vae.prior().event_shape)
    assert base_of(vae.prior()).support.check(z).all()
    assert vae.decode(z).mean.isfinite().all()


EXTREME = """([name, parameters, shape]) => {
    const random = new Random(1);
    const held = Object.fromEntries(Object.entries(parameters).map(([n, v]) => [n, Float64Array.from(v)]));
    return Array.from({length: 500}, () => [...FAMILIES[name].sample(held, shape, random, 2)]);
}"""
SMALLEST = 1e-5


@pytest.mark.parametrize(
    "name, parameters, shape, mean",
    [
        (
            "beta",
            {"concentration1": [SMALLEST, 30], "concentration0": [SMALLEST, SMALLEST]},
            [2],
            0.5,
        ),
        ("dirichlet", {"concentration": [SMALLEST] * 4}, [1, 4], 0.25),
        ("one_hot", {"logits": [1e6, 1e6, -1e30]}, [1, 3], 0.5),
        ("conditional_bernoulli", {"logits": [800, 800, 800, -800]}, [4], 2 / 3),
        ("bernoulli", {"logits": [0, 1e30]}, [2], 0.5),
    ],
)
def test_samples_of_extreme_parameters(ask, name, parameters, shape, mean):
    """The first entry's mean, at 6 standard errors: false alarm 2e-9 each."""
    z = torch.tensor(ask(name, parameters, shape, of=EXTREME), dtype=torch.float64)
    assert z.isfinite().all() and (z >= 0).all() and (z <= 1).all()
    assert abs(z[:, 0].mean() - mean) < 6 * z[:, 0].std() / math.sqrt(len(z))


def has_center(q):
    """torch knows no mean of a logistic-normal variable: there, a sample stands for q."""
    return not isinstance(base_of(first_of(q)), LogisticNormal)


def check_kl(vae, q, found, why, drawn):
    """The closed form; without one an estimate, of terms that are torch's."""
    kl, prior = found["kl"], vae.prior()
    try:
        exact = vae.kl(q)[0]
    except NotImplementedError:
        assert kl is None and "has no closed form" in why
        wanted = log_ratio(q, prior, drawn)
        assert numbers(found["ratio"]) == pytest.approx(wanted, abs=2e-3, rel=1e-3)
        z = q.sample((DRAWS,))
        terms = (q.log_prob(z) - prior.log_prob(z))[:, 0]
        estimate = found["estimate"]
        error = (terms.var() / DRAWS + estimate["error"] ** 2).sqrt()
        assert estimate["n"] == 1000 and abs(estimate["mean"] - terms.mean()) < 6 * error
        assert 0.5 < estimate["error"] / (terms.std() / 1000**0.5) < 2
        return
    assert found["estimate"] is None
    each = vae.kl_per_variable(q)[0].tolist() if len(kl) > 1 else [exact.item()]
    assert kl == pytest.approx(each, abs=1e-3) and sum(each) == pytest.approx(
        exact.item(), rel=1e-5
    )


def same_mean(ours, theirs):
    """How many standard errors the means are apart at most, of each entry and of its square."""
    ours, theirs = (torch.cat([z, z.square()], 1).double() for z in (ours, theirs))
    error = ((ours.var(0) + theirs.var(0)) / DRAWS).sqrt()
    return ((ours.mean(0) - theirs.mean(0)).abs() / error.clamp_min(1e-4 / math.sqrt(DRAWS))).max()


LARGE = {"gaussian": 10.0, "binary": 50.0, "one_hot": 50.0}
"""Of log-scales (a log-variance of 20), and of logits."""


@torch.no_grad()
@pytest.mark.parametrize("name", LARGE)
def test_the_kl_of_extreme_parameters_is_torchs(ask, name):
    model = composed(name, None, "bernoulli").eval()
    for part in model.vae.latent.modules():
        if isinstance(part, torch.nn.Linear):
            signs = torch.arange(part.bias.numel()) % 2 * 2 - 1
            part.weight.zero_()
            part.bias.copy_(LARGE[name] * signs)
    x = images("binary")[:1]
    exact = model.vae.kl_per_variable(model.vae.posterior(x))[0]
    picture = x.flatten().tolist()
    found = numbers(ask(gather(model, "small"), picture, picture, 1, T, [], {})["kl"])
    assert found.isfinite().all() and (name != "gaussian" or exact.max() > 1e8)
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_flow_is_shown_at_what_it_moves_the_mean_to(ask):
    pytest.importorskip("zuko")
    model = composed("flow", None, "bernoulli").eval()
    x = images("binary")
    q = model.vae.posterior(x[:1])
    pictures = [x[n].flatten().tolist() for n in (0, 1)]
    given = {key: value.flatten().tolist() for key, value in parameters(q).items()}
    found = ask(gather(model, "small"), *pictures, 1, T, [0.0, 0.0, 0.0], given)
    assert torch.allclose(numbers(found["center"]), q.moved(q.loc)[0][0], atol=1e-3)
    assert not torch.allclose(numbers(found["center"]), q.loc[0], atol=1e-2)
    for part in q.moving.parameters():  # far from where they start, where volumes hardly change
        part.add_(torch.randn_like(part), alpha=0.3)
    z, log_density = q.moved(torch.randn(5, 1, 3))
    assert torch.allclose(log_density, q.log_prob(z), atol=1e-3)


def narrow(prior, scale):
    """A model whose q(z|x) is the same for every image, of so small a scale beside its mean."""
    model = composed("gaussian", prior, "bernoulli").eval()
    first = next(m for m in model.vae.encoder.modules() if isinstance(m, torch.nn.Linear))
    first.weight.zero_()
    layer = model.vae.latent.parameters_of
    layer.weight[:3] *= 20
    layer.weight[3:] = 0
    layer.bias.copy_(torch.tensor([0.7, -0.6, 0.5, *[math.log(scale)] * 3]))
    return model


def gathered(model):
    """What the page holds, and what is said of its weights."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        return gather(model, "small"), "\n".join(str(w.message) for w in heard)


@torch.no_grad()
def test_weights_that_scales_of_the_posterior_need_stay_wide(ask):
    """A VampPrior's KL is 0 where q(z|x) is the same for all images; 16 bits would make nats of it."""
    model = narrow("vamp", 3e-6)
    held, said = gathered(model)
    assert re.search(r"^the encoder: .* kept in 32 bits, as 16 .* by \d+ nats$", said, re.M)
    assert held["encoder"]["wide"] and "even with 32" not in said
    x = images("binary")[:1].flatten().tolist()
    q = model.vae.posterior(images("binary")[:1])
    given = {key: value.flatten().tolist() for key, value in parameters(q).items()}
    found = ask(held, x, x, 1, T, q.sample().flatten().tolist(), given)
    assert abs(found["estimate"]["mean"]) < 0.01  # nats


@torch.no_grad()
@pytest.mark.parametrize("prior, what", [("vamp", r"KL\(q\(z\|x\) .*"), (None, "the encoder")])
def test_scales_that_no_bits_are_enough_for_are_said(prior, what):
    said = gathered(narrow(prior, 3e-8))[1]
    assert re.search(
        f"{what}: even with 32 bits, rounding changes it by about .* nats$", said, re.M
    )
