"""Traversals: sorted by KL, one variable at a time, through the values that the prior has."""

import math

import pytest
import torch
from drawn import NAMES, WITH_CATEGORIES, images, model
from torch.distributions import Independent, Normal

from vae.distributions.conditional_bernoulli import ConditionalBernoulli
from vae.pictures.codes import center
from vae.pictures.kl import mean_variance, variable_kl
from vae.pictures.traverse import draw, traverse
from vae.pictures.variables import levels_of, values_of


@pytest.mark.parametrize("name", [*NAMES, "own"])
def test_rows_are_sorted_by_kl_and_change_one_variable(name, monkeypatch):
    vae, x = model(name, num=3), images()
    kl = torch.tensor([0.5, 2.0, 1.0])
    codes = []
    decode = type(vae).decode
    monkeypatch.setattr(type(vae), "decode", lambda self, z: codes.append(z) or decode(self, z))
    torch.manual_seed(0)
    found = traverse(vae, x[0], kl, rows=3, columns=5)
    assert found.variables == [1, 2, 0] and found.score.tolist() == [2.0, 1.0, 0.5]
    z, code = codes[0], codes[1][0]
    inner = 1 if name in WITH_CATEGORIES else 0
    assert vae.hard.prior().support.check(z).all()
    for row, variable in enumerate(found.variables):
        differs = (z[row] != code).flatten(2).any(-1) if inner else z[row] != code  # (V, L)
        others = [i for i in range(3) if i != variable]
        assert not differs[:, others].any() and differs[:, variable].any()
        if found.own[row] >= 0:
            assert torch.equal(z[row, found.own[row]], code)
        assert len({tuple(v.flatten().tolist()) for v in z[row, :, variable]}) == len(
            found.columns
        )
    assert torch.equal(found.images, vae.hard.decode(z).mean)
    draw(found)


def test_categories_are_columns_and_the_codes_own_is_framed():
    vae, x = model("one_hot", num=3), images()
    found = traverse(vae, x[0], torch.tensor([3.0, 2.0, 1.0]))
    assert found.columns == ["0", "1", "2", "3"] and found.what == "category"
    assert found.own == center(vae.posterior(x[:1]))[0].argmax(-1).tolist()
    for row, column in enumerate(found.own):
        assert torch.allclose(found.images[row, column], found.reconstruction)
    assert len(draw(found).axes[0].patches) == 3
    assert len(traverse(vae, x[0], torch.ones(3), columns=3).columns) == 3


def test_quantiles_are_the_priors():
    prior = Independent(Normal(torch.tensor([1.0, -1.0]), torch.tensor([1.0, 3.0])), 1)
    levels = levels_of(5)
    values = values_of(prior, levels)
    assert torch.allclose(prior.base_dist.cdf(values.z), levels[:, None].expand(-1, 2), atol=1e-5)
    assert values.labels[0] == "1 %" and values.labels[-1] == "99 %"


@pytest.mark.parametrize("name", ["gamma", "beta", "own"])
def test_quantiles_of_a_prior_that_does_not_know_them_are_those_of_its_samples(name):
    prior = model(name).prior()
    levels = torch.tensor([0.1, 0.5, 0.9])
    z = values_of(prior, levels).z
    drawn = prior.sample((20_000,))
    below = (drawn[:, None] <= z).double().mean(0)  # (V, L)
    # 5.3 standard errors of two independent estimates: one of nine wrong once in a million
    error = 5.3 * (levels * (1 - levels) * (1 / 20_000 + 1 / 10_000)).sqrt()
    assert ((below - levels[:, None]).abs() < error[:, None]).all()


def test_angles_go_round_and_counts_are_counts():
    values = values_of(model("von_mises").prior(), levels_of(8))
    steps = values.z.diff(dim=0)
    assert torch.allclose(steps, torch.tensor(2 * math.pi / 8)) and values.labels[0] == "-180°"
    counts = values_of(model("poisson", prior_rate=2.0).prior(), levels_of(4)).z
    assert torch.equal(counts, counts.round()) and counts.min() == 0 and counts.max() == 6


def test_a_share_of_a_simplex_goes_to_each_corner():
    z = values_of(model("dirichlet").prior(), levels_of(9)).z  # (C, L, C)
    assert torch.allclose(z.sum(-1), torch.ones(4, 3), atol=1e-6) and (z > 0).all()
    assert torch.equal(z.argmax(-1), torch.arange(4)[:, None].expand(4, 3))


@pytest.mark.parametrize("name", NAMES)
def test_kl_of_variables_sums_to_the_rate(name):
    vae, x = model(name), images(5)
    found = variable_kl(vae, [x[:2], x[2:]])
    rate = vae.hard.kl(vae.hard.posterior(x)).double()
    assert found.mean.sum().item() == pytest.approx(rate.mean().item(), rel=1e-4)
    assert found.images == 5 and found.exact and found.mean.shape == (3,)
    part = variable_kl(vae, [x[:1]])
    assert part.se is None
    singles = torch.stack([variable_kl(vae, [one[None]]).mean for one in x])
    assert torch.allclose(found.se, singles.std(0) / math.sqrt(5))


def test_kl_of_variables_without_a_closed_form_is_estimated(monkeypatch):
    import vae.evaluation.units as units

    model_, x = model("gaussian"), images(4)
    exact = variable_kl(model_, [x])

    def none(p, q):
        raise NotImplementedError

    monkeypatch.setattr(units, "kl_divergence", none)
    torch.manual_seed(0)
    estimated = [variable_kl(model_, [x]) for _ in range(100)]
    assert not estimated[0].exact
    means = torch.stack([found.mean for found in estimated])
    z = (means.mean(0) - exact.mean) / (means.std(0) / 10)
    assert z.abs().max() < 5.1  # of three: once in a million


def test_variables_of_a_dependent_prior_are_sorted_by_how_their_means_vary():
    model_, x = model("own"), images(40)
    assert variable_kl(model_, [x]) is None
    torch.manual_seed(0)
    loc = model_.latent.loc(model_.encoder(x))
    found = mean_variance(model_, [x[:20], x[20:]])
    assert torch.allclose(found, loc.var(0).double(), rtol=0.02)
    with pytest.raises(ValueError, match="takes two"):
        mean_variance(model_, [x[:1]])


def test_no_item_of_a_subset_can_change_alone():
    prior = ConditionalBernoulli(2, torch.zeros(5))
    with pytest.raises(
        NotImplementedError, match="no entry of Cond.* the number of ones is fixed"
    ):
        values_of(prior, levels_of(3))
