"""The ways between two codes: they begin and end at the codes, and stay in the family's own terms."""

import math

import pytest
import torch
from drawn import NAMES, SHAPE, images, model
from torch.distributions import Independent, Normal, VonMises

from vae.distributions.conditional_bernoulli import ConditionalBernoulli
from vae.pictures.codes import center, ways
from vae.pictures.interpolate import draw, interpolate

T = torch.linspace(0, 1, 9)


@pytest.mark.parametrize("name", [*NAMES, "own"])
def test_the_ends_are_reconstructions_and_all_codes_are_the_familys(name):
    vae, x = model(name), images()
    torch.manual_seed(0)
    found = interpolate(vae, x[::2], x[1::2], steps=7)
    hard = vae.hard
    q = hard.posterior(x)
    if name != "own":  # whose code is a sample
        z = center(q)
        assert torch.allclose(found.codes[:, 0], z[::2], atol=1e-5)
        assert torch.allclose(found.codes[:, -1], z[1::2], atol=1e-5)
    for codes, shown in (
        (found.codes[:, 0], found.between[:, 0]),
        (found.codes[:, -1], found.between[:, -1]),
    ):
        assert torch.allclose(hard.decode(codes).mean, shown, atol=1e-6)
    assert torch.equal(found.starts, x[::2]) and torch.equal(found.ends, x[1::2])
    assert found.between.shape == (3, 7, *SHAPE)
    support = hard.prior().support
    assert support.check(found.codes).all(), "codes that are none of the family's"
    assert not torch.allclose(found.codes[:, 0], found.codes[:, -1])
    figure = draw(found)
    assert len(figure.axes) == 1


def test_a_gaussian_goes_along_an_arc_around_the_prior():
    prior = Independent(Normal(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 1.0])), 1)
    way = ways(prior, prior)["spherical"]
    a, b = torch.tensor([3.0, 0.0]), torch.tensor([1.0, 1.0])  # standardised: (1, 0) and (0, 1)
    standard = (way(a, b, T) - prior.mean) / prior.stddev
    angle = T * math.pi / 2
    assert torch.allclose(standard, torch.stack([angle.cos(), angle.sin()], -1), atol=1e-6)
    assert list(ways(prior, prior)) == ["spherical", "linear"]
    opposite = way(a, 2 * prior.mean - a, T)  # through the middle: no arc is the shortest
    assert opposite.isfinite().all() and torch.allclose(opposite[4], prior.mean)
    assert torch.equal(way(a, a, T), a.expand(9, 2))


def test_an_angle_takes_the_shorter_arc():
    q = Independent(VonMises(torch.zeros(2), torch.ones(2)), 1)
    (way,) = ways(q, q).values()
    a, b = torch.tensor([3.0, -1.0]), torch.tensor([-3.0, 1.0])
    z = way(a, b, T)
    assert (z[:, 0].abs() >= 3.0 - 1e-5).all()  # across the seam, and not through zero
    assert torch.allclose(z[:, 1], torch.linspace(-1, 1, 9), atol=1e-6)
    turned = torch.stack([z.cos(), z.sin()], -1).diff(dim=0).norm(dim=-1)
    assert torch.allclose(turned, turned[0].expand_as(turned), atol=1e-5)


@pytest.mark.parametrize("name", ["one_hot", "binary"])
def test_discrete_variables_change_one_after_the_other(name):
    vae, x = model(name, num=12), images()
    codes = interpolate(vae, x[::2], x[1::2], steps=30).codes
    codes = codes.unflatten(2, (12, -1)) if name == "binary" else codes  # (R, T, L, *)
    changed = (codes[:, 1:] != codes[:, :-1]).any(-1).sum(-1)
    whole = (codes[:, -1] != codes[:, 0]).any(-1).sum(-1)
    assert (whole > 1).any() and changed.max() == 1
    assert torch.equal(changed.sum(1), whole)
    mixed = interpolate(vae, x[:1], x[1:2], 3, "mix").codes[0]
    assert torch.equal(mixed[1], (mixed[0] + mixed[2]) / 2)


def test_a_way_that_the_family_has_not_is_named():
    with pytest.raises(ValueError, match="no way 'arc' .*: choose from spherical, linear"):
        interpolate(model("gaussian"), images()[:1], images()[1:2], 3, "arc")


def test_the_code_of_a_bernoulli_of_probability_one_half_is_a_code():
    q = Independent(torch.distributions.Bernoulli(logits=torch.tensor([[0.0, 3.0]])), 1)
    assert center(q).tolist() == [[0.0, 1.0]]
    heavy = Independent(torch.distributions.Cauchy(torch.tensor([[2.0, 3.0]]), 1.0), 1)
    assert center(heavy).tolist() == [[2.0, 3.0]]  # which has a mode, and no mean


def test_colour_and_wide_images_keep_their_shape():
    shape = (3, 8, 12)
    vae, x = model("gaussian", shape=shape), images(4, shape)
    figure = draw(interpolate(vae, x[:2], x[2:], 3))
    (shown,) = figure.axes[0].images
    first = torch.tensor(shown.get_array()[:40, :60])[::5, ::5]  # magnified five times
    assert torch.equal(first.movedim(-1, 0), x[0]) and (first[..., 0] != first[..., 1]).any()


def test_a_subset_changes_by_one_swap_at_a_time():
    prior = ConditionalBernoulli(3, torch.zeros(7))
    way = ways(prior, prior)["swaps"]
    a, b = torch.tensor([1.0, 1, 1, 0, 0, 0, 0]), torch.tensor([0.0, 1, 0, 0, 1, 0, 1])
    codes = way(a, b, torch.linspace(0, 1, 9))
    assert torch.equal(codes[0], a) and torch.equal(codes[-1], b)
    assert (codes.sum(-1) == 3).all()
    assert codes.diff(dim=0).abs().sum(-1).tolist().count(2) == 2  # of 2 items that differ
    assert codes.diff(dim=0).abs().sum(-1).max() == 2
