"""Active units, the KL of each variable and the verdict on collapse, against known answers."""

import math

import pytest
import torch
from asked import asked
from every_part import FAMILIES, LATENTS
from known import linear_gaussian
from own_latents import SHAPE, BareLatent, MixturePrior, toy
from torch.distributions import Cauchy, Independent, MultivariateNormal, Normal, kl_divergence

from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.von_mises import VonMises
from vae.evaluation.collapse import collapse_verdict, is_collapsed
from vae.evaluation.latents import Units
from vae.evaluation.units import active_units, activity, unit_kl, unit_means
from vae.models.latents.binary import Binary
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.one_hot import OneHot
from vae.training.callbacks.collapse import CollapseWatch


def test_active_units():
    mean = torch.zeros(100, 3, 2)
    mean[:, 0, 0] = torch.linspace(-1, 1, 100)
    mean[:, 1, 1] = torch.linspace(-0.1, 0.1, 100)  # variance 0.0034
    mean[:, 2, 0] = 7.0
    assert active_units(mean) == 1
    assert active_units(mean, threshold=1e-3) == 2


def test_of_a_linear_gaussian_model_the_variance_of_the_means_is_known():
    model = linear_gaussian(3, 6)
    gain = model.gain.clone()
    gain[1] *= 0.02  # which hardly depends on x
    model.set_affine(gain, model.shift, model.spread)
    _, x = model.draw(5000)
    truth = (model.gain @ model.evidence().covariance_matrix @ model.gain.T).diagonal()
    means = unit_means(model.posterior(x))
    assert means.value.shape == (5000, 3, 1) and means.error is None
    found = activity(means.value)
    assert ((found / truth - 1).abs() < 4.9 * math.sqrt(2 / 5000)).all()
    number = asked(Units(), model, x).numbers["active_units"]
    assert number.value == 2 and number.labels["of"] == 3
    torch.testing.assert_close(
        torch.tensor(number.labels["activity"]), found.float(), rtol=1e-3, atol=0
    )
    assert asked(Units(threshold=1e-5), model, x).numbers["active_units"].value == 3


def test_a_one_hot_variable_is_one_unit_with_the_variance_of_its_probabilities():
    probs = torch.rand(500, 2, 4, dtype=torch.float64)
    probs = probs / probs.sum(-1, keepdim=True)
    probs[:, 1] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    means = unit_means(Independent(OneHotCategorical(probs=probs), 1))
    expected = (probs[:, 0] - probs[:, 0].mean(0)).square().sum() / 499
    torch.testing.assert_close(activity(means.value), torch.stack([expected, expected * 0]))


def test_an_angle_counts_by_its_resultant_vector():
    """A q that is uniform on the circle has no mean angle, whatever its parameter says."""
    loc = torch.linspace(-math.pi, math.pi, 401, dtype=torch.float64)[:-1, None].expand(-1, 3)
    concentration = torch.tensor([1e-6, 2.0, 1e5], dtype=torch.float64).expand(400, 3)
    q = Independent(VonMises(loc, concentration), 1)
    found = activity(unit_means(q).value)
    length = torch.special.i1e(concentration[0]) / torch.special.i0e(concentration[0])
    torch.testing.assert_close(found, length.square() * 400 / 399, rtol=1e-4, atol=1e-9)
    few = Independent(VonMises(loc[::50], concentration[::50]), 1)
    z = few.sample((2000,))
    directions = torch.stack([z.cos(), z.sin()], -1).mean(0)
    torch.testing.assert_close(unit_means(few).value, directions, rtol=0, atol=0.1)
    wrapped = VonMises(torch.tensor([[math.pi - 0.01], [0.01 - math.pi]]), torch.tensor(1e5))
    assert active_units(wrapped.mean) == 1  # of the bare angles
    assert int((activity(unit_means(Independent(wrapped, 1)).value) > 0.01).sum()) == 0


def test_means_by_samples_do_not_take_their_own_noise_for_activity():
    vae = toy(BareLatent, 3, sharp=1.0)
    with torch.no_grad():
        vae.latent.loc.weight[1:] = 0
        vae.latent.loc.weight[0] *= 3
    x = torch.rand(2000, *SHAPE).round()
    q = vae.posterior(x)
    truth = activity(q.base_dist.normal.loc[..., None])
    means = unit_means(q, num_samples=8)
    noise = 0.25 / 8
    assert means.error is not None and activity(means.value)[1] > 0.8 * noise > 0.01
    found = activity(means.value, means.error)
    assert ((found - truth).abs() < 4.9 * 2 * noise * math.sqrt(2 / 2000) + 0.05 * truth).all()
    first, again, other = (asked(Units(samples=8), vae, x, seed=seed) for seed in (3, 3, 4))
    number = first.numbers["active_units"]
    assert number.value == 1 and number.labels["of"] == 3 and number.bound == "estimate"
    assert torch.equal(first.values["mean"], again.values["mean"])
    assert not torch.equal(first.values["mean"], other.values["mean"])


@pytest.mark.parametrize("name", [*LATENTS, *FAMILIES])
def test_the_kl_of_each_variable_sums_to_the_rate_and_is_that_of_its_samples(name):
    options = {"prior_concentration": 0.5} if name == "von_mises" else {}
    vae = toy((LATENTS | FAMILIES)[name], 3, learned_prior=True, **options).hard
    with torch.no_grad():
        for parameter in vae.latent.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    q = vae.posterior(torch.rand(4, *SHAPE))
    found = unit_kl(vae, q)
    assert found.value.shape == (4, 3) and not found.monte_carlo
    torch.testing.assert_close(found.value.sum(-1), vae.kl(q).detach())
    z = q.sample((4_000,))
    with torch.no_grad():
        ratios = q.base_dist.log_prob(z) - vae.prior().base_dist.log_prob(z)
    error = ratios.std(0) / 4_000**0.5
    assert ((ratios.mean(0) - found.value).abs() < 6 * error + 1e-5).all()


def test_without_a_closed_form_it_is_estimated():
    vae = toy(BareLatent, 3)
    q = vae.posterior(torch.rand(4, *SHAPE))
    found = unit_kl(vae, q, num_samples=20_000)
    assert found.monte_carlo
    truth = kl_divergence(q.base_dist.normal, Normal(0.0, 1.0)).detach()
    torch.testing.assert_close(found.value, truth, rtol=0.02, atol=0.02)


def test_it_is_undefined_where_the_prior_or_q_is_no_product():
    vae = toy(DiagonalGaussian, 3, prior=MixturePrior(3))
    x = torch.rand(50, *SHAPE)
    assert unit_kl(vae, vae.posterior(x)) is None
    answer = asked(Units(), vae, x)
    assert "kl_per_variable" not in answer.numbers and "active_units" in answer.numbers
    assert "undefined" in answer.remarks[0] and "MixtureSameFamily" in answer.remarks[0]
    assert "the rate is" in answer.remarks[1]
    whole = MultivariateNormal(torch.zeros(5, 3), torch.eye(3))
    assert unit_kl(toy(DiagonalGaussian, 3), whole) is None
    assert unit_means(whole).value.shape == (5, 3, 1)


@pytest.mark.parametrize("name", [*LATENTS, *FAMILIES, "own"])
def test_of_every_family(name):
    vae = toy((LATENTS | FAMILIES | {"own": BareLatent})[name], 3)
    answer = asked(Units(), vae, torch.rand(120, *SHAPE).round())
    numbers = answer.numbers
    assert numbers["active_units"].labels["of"] == 3
    assert 0 <= numbers["active_units"].value <= 3
    assert numbers["kl_per_variable"].bound == ("estimate" if name == "own" else "exact")
    rate = answer.values["rate"].mean().item()
    assert numbers["kl_per_variable"].value == pytest.approx(rate / 3) and rate > 0
    discrete = name in ("binary", "one_hot", "relaxed_one_hot")
    assert ("perplexity" in numbers) == discrete
    assert len(answer.remarks) == 1 and "collapse" in answer.remarks[0]


def test_of_a_posterior_with_correlations_the_whole_kl_is_closed_and_no_variables_is():
    class Correlated(BareLatent):
        def forward(self, features):
            return MultivariateNormal(self.loc(features), torch.eye(3) / 4 + 0.1)

        def prior(self):
            return MultivariateNormal(self.zeros, torch.eye(3))

    vae, x = toy(Correlated, 3), torch.rand(60, *SHAPE).round()
    answer = asked(Units(), vae, x)
    rate = kl_divergence(vae.posterior(x), vae.prior()).detach().double()
    torch.testing.assert_close(answer.values["rate"], rate)
    assert answer.numbers["active_units"].labels["of"] == 3 and "kl" not in answer.values


def test_units_without_a_mean_are_told():
    class CauchyLatent(BareLatent):
        def forward(self, features):
            return Independent(Cauchy(self.loc(features), torch.tensor(1.0)), 1)

        def prior(self):
            return Independent(Cauchy(self.zeros, torch.tensor(1.0)), 1)

    answer = asked(Units(), toy(CauchyLatent, 3), torch.rand(60, *SHAPE).round())
    number = answer.numbers["active_units"]
    assert number.value == 0 and number.labels["activity"] == [None] * 3
    assert number.warning == "3 units have no finite mean, and count as inactive"
    assert not answer.remarks[0].startswith("posterior collapse")


def test_of_one_image_there_is_no_variance():
    answer = asked(Units(), toy(DiagonalGaussian, 3), torch.rand(1, *SHAPE))
    assert set(answer.numbers) == {"kl_per_variable", "collapsed_variables"}
    assert answer.numbers["kl_per_variable"].se is None and not answer.remarks


def test_a_dead_variable_is_counted():
    vae = toy(DiagonalGaussian, 3)
    with torch.no_grad():
        layer = vae.latent.parameters_of
        layer.weight[[1, 4]] = 0
        layer.bias[[1, 4]] = 0  # the prior
    answer = asked(Units(), vae, torch.rand(60, *SHAPE).round())
    assert answer.numbers["collapsed_variables"].value == 1
    assert answer.remarks[0].startswith("1 of 3 variables collapsed: KL < 0.01 nats each; 2 of 3")


@pytest.mark.parametrize(
    ("latent", "sizes"), [(Binary, (4,)), (OneHot, (3, 5)), (DiagonalGaussian, (3,))]
)
def test_a_model_that_says_the_same_of_every_image_has_collapsed(latent, sizes):
    vae = toy(latent, *sizes)
    with torch.no_grad():
        for parameter in vae.latent.parameters():
            parameter.zero_()
    x = torch.rand(60, *SHAPE).round()
    said = asked(Units(), vae, x).remarks
    assert said == [
        "posterior collapse: the rate is 0 nats (< 0.01): the decoder ignores the latents"
    ]
    with torch.no_grad():
        list(vae.latent.parameters())[-1].fill_(1.0)[:1] = -2.0
    (said,) = asked(Units(), vae, x).remarks
    units = sizes[0]
    assert said.startswith(f"posterior collapse: 0 of {units} units active (Var[E_q[z]] > 0.01)")


def test_verdicts():
    some, none = torch.tensor([0.5, 0.4]), torch.zeros(2)
    kl = torch.tensor([1.0, 2.0])
    said = collapse_verdict(3.0, kl, some)
    assert (
        said
        == "no variable collapsed: KL >= 0.01 nats in each of 2 variables, 2 of 2 units active (Var[E_q[z]] > 0.01)"
    )
    assert "no posterior collapse" in collapse_verdict(3.0, None, some)
    assert collapse_verdict(3.0, kl, none).startswith("posterior collapse: 0 of 2 units")
    assert is_collapsed(0.0099) and not is_collapsed(0.01) and not is_collapsed(math.nan)


def test_the_watch_in_training_goes_by_the_same_number():
    watch = CollapseWatch()
    verdict = collapse_verdict(watch.rate * 0.99, None, torch.ones(2))
    assert verdict.startswith("posterior collapse")
    assert not collapse_verdict(watch.rate, None, torch.ones(2)).startswith("posterior")


@pytest.mark.parametrize("options", [{"threshold": -1.0}, {"samples": 1}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match="units_"):
        Units(**options)
