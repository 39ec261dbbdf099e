"""What the explorer's scripts know of a model without a page: every latent layer, as torch has it."""

import json
import math

import pytest
import torch
from browser import opened
from combining import composed, images

from vae.distributions.operations import base_of
from vae.models.catalogue import LATENTS
from vae.pages.explorer import gather
from vae.pages.explorer.write import model_scripts
from vae.pages.page import page
from vae.pictures.codes import center, ways
from vae.whole_files import replace_text

DRAWS = 2000
T = [0.0, 0.13, 0.5, 0.77, 1.0]

ASK = """([held, x, y, draws, t]) => {
    const model = new Model(held), {space} = model, random = new Random(1);
    const q = model.encode(x), z = Float64Array.from(q.center()), end = Float64Array.from(model.encode(y).center());
    const about = {middle: held.middle, scale: held.scale, width: space.width, layers: space.layers};
    return {
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
    names = "FAMILIES, Model, Random, WAYS"
    replace_text(
        path, page("t", "", script=f"{model_scripts()}\nObject.assign(window, {{{names}}});")
    )
    with opened(browser, path) as seen:
        yield lambda *given, of=ASK: seen.evaluate(of, json.loads(json.dumps(given)))


numbers = lambda values: torch.tensor(values, dtype=torch.float32)

NO_ENCODER = {"flow"}
WITHOUT_KL = {"plackett_luce", "von_mises"}
"""Families whose KL takes operations that pages may not know."""


QUICK = {"gaussian", "one_hot", "binary_layers", "power_spherical", "conditional_bernoulli"}
"""Of each kind of latents one; the others are as thorough as they are slow."""

EVERY = [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
    for name in sorted(LATENTS.keys() - NO_ENCODER)
]


@torch.no_grad()
@pytest.mark.parametrize("name", EVERY)
def test_every_latent_layer(ask, name):
    model = composed(name, None, "bernoulli").eval()
    vae, x = model.vae.hard, images("binary")
    held = gather(model, name)
    found = ask(held, x[0].flatten().tolist(), x[1].flatten().tolist(), DRAWS, T)
    q = vae.posterior(x[:2])
    random_center = name == "logistic_normal"  # torch knows no mean: there, a sample stands for q
    if not random_center:
        assert torch.allclose(numbers(found["center"]), center(q)[0].flatten(), atol=1e-3)
    check_kl(vae, q, found["kl"], held["posterior"]["whyNoKL"], name)
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


def check_kl(vae, q, kl, why, name):
    try:
        exact = vae.kl(q)[0]
    except NotImplementedError:
        assert kl is None and "has no closed form" in why
        return
    if kl is None:  # torch has it in operations that pages do not know
        assert name in WITHOUT_KL and "pages know no operation" in why
        return
    each = vae.kl_per_variable(q)[0].tolist() if len(kl) > 1 else [exact.item()]
    assert kl == pytest.approx(each, abs=1e-3) and sum(each) == pytest.approx(
        exact.item(), rel=1e-5
    )


def same_mean(ours, theirs):
    """How many standard errors the means are apart at most, of each entry and of its square."""
    ours, theirs = (torch.cat([z, z.square()], 1).double() for z in (ours, theirs))
    error = ((ours.var(0) + theirs.var(0)) / DRAWS).sqrt()
    return ((ours.mean(0) - theirs.mean(0)).abs() / error.clamp_min(1e-4 / math.sqrt(DRAWS))).max()


def test_a_flow_has_no_encoder_and_says_so():
    pytest.importorskip("zuko")
    held = gather(composed("flow", None, "bernoulli").eval(), "flow")
    assert held["encoder"] is None and "cannot draw from Flow" in held["whyNoEncoder"]
