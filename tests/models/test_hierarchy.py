"""Stochastic layers as a latent layer: composition, training, evaluation, and what is refused."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from combining import composed, gain, images
from torch import Size

from vae.distributions.chain import Chain
from vae.estimators import PerLayer, named
from vae.evaluation.best_posterior import free_parameters
from vae.evaluation.densities import log_densities
from vae.evaluation.encoding import parameters_of
from vae.evaluation.exact import exact_log_likelihood
from vae.evaluation.latents import Units
from vae.evaluation.units import layer_rates, unit_means
from vae.evaluation.usage import category_probs
from vae.models.composition import compose
from vae.models.latents import Binary, DiagonalGaussian, Hierarchy, OneHot, RelaxedOneHot
from vae.models.parts import describe
from vae.objectives import ELBO, IWAE
from vae.pictures.codes import center, ways
from vae.pictures.traverse import traverse

KINDS = ["gaussian_layers", "binary_layers", "one_hot_layers"]


def model(kind, **parts):
    return composed(kind, None, "bernoulli", **parts)


def layers(*sizes, make=Binary, **options):
    return [partial(make, num_variables=size, **options) for size in sizes]


def monte_carlo(num_samples):
    return ELBO(num_samples, analytic_kl=False)


@pytest.mark.parametrize(
    "kind, make, objective",
    [
        ("gaussian_layers", partial(named, "stl"), monte_carlo(1)),
        ("gaussian_layers", partial(named, "dreg"), IWAE(3)),
        ("binary_layers", partial(named, "nvil"), monte_carlo(1)),
        ("binary_layers", partial(named, "vimco"), IWAE(3)),
        ("binary_layers", lambda: PerLayer(["rebar", "rebar"]), monte_carlo(1)),
        ("binary_layers", lambda: PerLayer(["disarm", "local_expectation"]), monte_carlo(1)),
        ("one_hot_layers", lambda: PerLayer(["gumbel_softmax", "reinmax"]), monte_carlo(1)),
    ],
)
def test_it_trains_by_one_estimator_and_by_one_a_layer(kind, make, objective):
    x = images("binary")
    trained = model(kind, estimator=make, objective=objective)
    untrained = {name: p.detach().clone() for name, p in trained.named_parameters()}
    raised, error = gain(trained, x)
    assert raised > 5 * error and raised > 0.5
    still = [n for n, p in trained.vae.named_parameters() if torch.equal(p, untrained[f"vae.{n}"])]
    assert not still, still


def test_three_layers_of_other_widths():
    latent = Hierarchy(9, layers(5, 4, 2), hidden=[[8, 6], []])
    q, p = latent(torch.randn(3, 9)), latent.prior()
    assert isinstance(q, Chain) and q.sizes == p.sizes == latent.sizes == (5, 4, 2)
    z = p.sample(Size([6]))
    assert p.log_prob(z).shape == (6,) and latent.code(z).shape == (6, 5)
    widths = [m.weight.shape for m in latent.down.modules() if isinstance(m, torch.nn.Linear)]
    assert widths == [(4, 2), (6, 4), (8, 6), (5, 8)]  # p(z_2 | z_3), then p(z_1 | z_2)


def test_the_decoder_reads_the_lowest_layer_alone():
    vae = model("one_hot_layers").vae
    z = vae.prior().sample(Size([2]))
    other = torch.cat([z[:, :2], z[:, 2:].roll(1, -1)], 1)
    assert not torch.equal(z, other)
    torch.testing.assert_close(vae.decode(z).mean, vae.decode(other).mean)


@pytest.mark.parametrize(
    "made, message",
    [
        (lambda: Hierarchy(4, layers(3)), "two layers or more, got 1"),
        (
            lambda: Hierarchy(4, [*layers(3), partial(DiagonalGaussian, latent_dim=2)]),
            "of one kind: Binary has binary variables .*, DiagonalGaussian real variables",
        ),
        (
            lambda: Hierarchy(4, [partial(OneHot, num_categories=c) for c in (3, 4)]),
            "OneHot has one-hot variables of 3 entries .*, OneHot one-hot variables of 4 entries",
        ),
        (lambda: Hierarchy(4, layers(3, 3), hidden=[[5], [5]]), "2 lists of widths, for 1 pairs"),
        (lambda: Hierarchy(4, layers(3, 3), hidden=[0]), "at least 1"),
        (lambda: Hierarchy(4, layers(3, 3), activation="foo"), "unknown activation 'foo'"),
        (lambda: Hierarchy(4, layers(3, 3), activation="relu"), "no hidden layers to have an"),
        (
            lambda: Hierarchy(4, layers(3, 3, learned_prior=True)),
            "learned_prior of a Binary below",
        ),
        (lambda: Hierarchy(4, [RelaxedOneHot] * 2), "use OneHot, and a relaxation as estimator"),
    ],
)
def test_layers_that_do_not_go_together_are_one_line(made, message):
    with pytest.raises(ValueError, match=message) as error:
        made()
    assert "\n" not in str(error.value)


def test_a_closed_form_kl_and_another_prior_are_refused():
    latent = partial(Hierarchy, layers=layers(3, 3))
    with pytest.raises(
        NotImplementedError, match=r"Chain.* has no closed form: .*analytic_kl=False"
    ):
        compose((1, 8, 8), latent=latent, estimator="rloo", objective=ELBO(2))
    with pytest.raises(ValueError, match="DisARM is not defined for Chain"):
        try:
            compose((1, 8, 8), latent=latent, estimator="disarm", objective=monte_carlo(1))
        except NotImplementedError as error:
            raise ValueError(str(error)) from None


def test_a_checkpoint_can_say_how_it_is_made():
    latent = Hierarchy(4, layers(3, 2), hidden=[5])
    said = describe(latent)
    assert said["class_path"] == "vae.Hierarchy"
    assert said["init_args"]["layers"][1] == {
        "class_path": "vae.Binary",
        "init_args": {"num_variables": 2},
    }
    assert describe(PerLayer(["rloo", "disarm"]))["init_args"] == {"layers": ["rloo", "disarm"]}


# Evaluation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_each_layer_adds_sums_to_the_rate(kind):
    vae, x = model(kind).vae, images("binary")[:5]
    q = vae.posterior(x)
    torch.manual_seed(1)
    rates = layer_rates(vae, q, 8)
    torch.manual_seed(1)
    z = q.sample(Size([8]))
    total = (q.log_prob(z) - vae.prior().log_prob(z)).mean(0)
    torch.testing.assert_close(rates.sum(1), total)
    below, above = q.split(z)
    top = q.links[0](below).log_prob(above) - vae.prior().first.log_prob(above)
    torch.testing.assert_close(rates[:, 1], top.mean(0))
    assert rates.shape == (5, 2)


def test_the_rate_of_a_layer_by_enumeration():
    """E_q[log q(z_2 | z_1) - log p(z_2)] of the top layer is a mean of divergences: never negative."""
    vae, x = model("binary_layers").vae, images("binary")[:4]
    with torch.no_grad():
        q = vae.posterior(x)
        rates = layer_rates(vae, q, 20_000)
    assert (rates[:, 1] > -0.01).all()


def test_active_units_are_told_a_layer():
    trained, x = model("gaussian_layers"), images("binary")
    gain(trained, x)
    part = Units(samples=8)
    subject = SimpleNamespace(vae=trained.vae.eval(), seed=0)
    values = {k: v.double() for k, v in part.measure(subject, x, 0).items()}
    numbers = {number.name: number for number in part.numbers(subject, values)}
    each = [numbers[f"active_units_layer_{i}"] for i in (1, 2)]
    assert sum(n.value for n in each) == numbers["active_units"].value > 0
    assert [n.labels["of"] for n in each] == [2, 2]
    assert numbers["rate_layer_1"].value + numbers["rate_layer_2"].value == pytest.approx(
        float(values["rate"].mean()), abs=1.0
    )


@pytest.mark.parametrize("kind", ["binary_layers", "one_hot_layers"])
def test_the_use_of_categories_is_that_of_samples(kind, assert_mean):
    vae, x = model(kind).vae, images("binary")[:2]
    with torch.no_grad():
        for p in vae.latent.up.parameters():
            p.mul_(5)  # so that the upper layer depends on the lower one
        q = vae.posterior(x)
    probs, z = category_probs(q), q.sample(Size([4000]))
    shares = z if probs.shape[-1] > 2 else torch.stack([1 - z, z], -1)
    first = q.sizes[0]
    assert_mean(shares[:, :, :first], probs[:, :first])
    assert (shares.mean(0) - probs).abs().max() < 0.2  # the second layer's: of 64 draws below
    torch.testing.assert_close(probs.sum(-1), torch.ones_like(probs[..., 0]))
    means = unit_means(q, 500)
    assert (means.value.squeeze(-1) - z.mean(0)).abs().max() < 0.1
    assert means.error[:, :first].abs().max() == 0 < means.error[:, first:].max()


@pytest.mark.parametrize("kind", KINDS)
def test_densities_of_pairs_are_the_joint_ones(kind):
    vae, x = model(kind).vae, images("binary")[:4]
    with torch.no_grad():
        q = vae.posterior(x)
        z = q.sample()
        expected = q.log_prob(z[:, None].expand(-1, 4, *q.event_shape))
        torch.testing.assert_close(log_densities(q)(z), expected.double(), rtol=1e-4, atol=1e-4)


def test_parameters_of_an_image_are_not_the_networks():
    vae = model("gaussian_layers").vae
    width = vae.latent.up[0].layer.parameters_of.weight.shape[0]  # as many images as rows
    q = vae.posterior(images("binary")[:width])
    assert set(parameters_of(q)) == {"loc", "scale"}
    with pytest.raises(NotImplementedError, match="networks of its own for each"):
        free_parameters(q)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures(kind):
    trained, x = model(kind), images("binary")
    gain(trained, x, steps=20)
    vae = trained.vae.eval()
    with torch.no_grad():
        q, prior = vae.posterior(x[:2]), vae.prior()
    a, b = center(q)
    torch.testing.assert_close(center(q), center(q))  # nothing is drawn
    way = next(iter(ways(q, prior).values()))
    codes = way(a, b, torch.linspace(0, 1, 3))
    torch.testing.assert_close(torch.stack([codes[0], codes[-1]]), torch.stack([a, b]))
    number = sum(prior.sizes)
    found = traverse(vae, x[0], torch.arange(number).float(), rows=number, columns=3)
    assert found.variables[0] == number - 1  # of the upper layer, which the decoder does not read
    assert found.images[0].std(0).max() > 0 or kind != "gaussian_layers"


def test_a_small_net_of_three_layers_is_summed_exactly():
    torch.manual_seed(0)
    latent = partial(Hierarchy, layers=layers(3, 2, 2))
    vae = compose((1, 8, 8), latent=latent, estimator="rloo", objective=monte_carlo(2)).vae.eval()
    x = images("binary")[:3]
    exact = exact_log_likelihood(vae, x)
    many = vae.log_likelihood(x, 20_000, seed=0)
    assert (many - exact).abs().max() < 0.02
