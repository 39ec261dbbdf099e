"""Objectives with another KL term: free bits, capacity, total correlation."""

import math

import pytest
import torch
from test_objectives import images, model
from torch import Size
from torch.testing import assert_close

from vae.estimators import RLOO, Pathwise, named
from vae.models.bound import bound
from vae.objectives import ELBO, BetaTC, Capacity, FreeBits

LATENTS = ["gaussian", "binary", "one_hot"]


def pictures(n):
    torch.manual_seed(3)
    return torch.bernoulli(torch.full((n, 1, 2, 3), 0.5, dtype=torch.float64))


@pytest.mark.parametrize("latent", LATENTS)
def test_the_kl_of_each_variable_sums_to_the_kl(latent):
    vae = model(latent)
    q = vae.posterior(pictures(5))
    each = vae.kl_per_variable(q)
    assert each.shape == (5, q.base_dist.batch_shape[1])
    assert_close(each.sum(1), vae.kl(q))


@pytest.mark.parametrize("latent", LATENTS)
def test_free_bits(latent):
    vae, x = model(latent), pictures(5)
    q = vae.posterior(x)
    each = vae.kl_per_variable(q).detach()
    floor = each.mean(0).sort().values[0].item() * 1.5  # above one variable at least
    assert_close(FreeBits(free_nats=0).penalty(vae, q), each.mean(0).sum().expand(5))
    assert_close(FreeBits(free_nats=0, per_image=True).penalty(vae, q), vae.kl(q))
    expected = each.mean(0).clamp_min(floor).sum()
    assert_close(FreeBits(free_nats=floor).penalty(vae, q), expected.expand(5))
    expected = each.clamp_min(floor).sum(1)
    assert_close(FreeBits(free_nats=floor, per_image=True).penalty(vae, q), expected)
    # below the floor a variable has no gradient of its KL, which is what the floor is for
    inputs = list(vae.encoder.parameters()) + list(vae.latent.parameters())
    total = FreeBits(free_nats=1e3).penalty(vae, vae.posterior(x)).sum()
    found = torch.autograd.grad(total, inputs, allow_unused=True, materialize_grads=True)
    assert all((g == 0).all() for g in found)


@pytest.mark.parametrize("latent", LATENTS)
def test_capacity(latent):
    vae, x = model(latent), pictures(5)
    q = vae.posterior(x)
    kl = vae.kl(q)
    assert_close(Capacity(capacity=0, gamma=1).penalty(vae, q), kl)
    assert_close(Capacity(capacity=2.5, gamma=3).penalty(vae, q), 3 * (kl - 2.5).abs())
    mean = Capacity(capacity=2.5, gamma=3, per_image=False).penalty(vae, q)
    assert_close(mean, (3 * (kl.mean() - 2.5).abs()).expand(5))
    assert Capacity().state_dict().keys() == {"capacity", "gamma"}


@pytest.mark.parametrize("latent", LATENTS)
@pytest.mark.parametrize("sampling", ["weighted", "stratified"])
def test_total_correlation_of_weights_one_is_the_elbo(latent, sampling):
    vae, x = model(latent), pictures(5)
    q = vae.posterior(x)
    z = q.sample(Size([3]))
    one = BetaTC(100, 3, beta=1, sampling=sampling).integrand(vae, x, z, q)
    assert_close(one, ELBO(3, analytic_kl=False).integrand(vae, x, z, q))
    objective = BetaTC(100, 3, beta=6, alpha=0.5, gamma=2, sampling=sampling)
    own, joint, product = objective._log_densities(z, q)
    parts = 0.5 * (own - joint) + 6 * (joint - product) + 2 * (product - vae.prior().log_prob(z))
    assert_close(objective.integrand(vae, x, z, q), vae.decode(z).log_prob(x) - parts)


def test_the_log_density_of_the_aggregate_by_hand():
    vae, x = model("gaussian"), pictures(4)
    q = vae.posterior(x)
    z = q.sample(Size([2]))
    own, joint, product = BetaTC(9)._log_densities(z, q)
    assert_close(own, q.log_prob(z))
    for k in range(2):
        for b in range(4):
            each = q.base_dist.log_prob(z[k, b])  # (B', D)
            assert_close(joint[k, b], (each.sum(1).exp().sum() / (9 * 4)).log())
            assert_close(product[k, b], (each.exp().sum(0) / (9 * 4)).log().sum())


def test_stratified_weights_are_those_of_the_paper():
    # 1/N of the image itself, (N - M) / (N M) of one other, 1/M of the rest, M others
    w = BetaTC(10, sampling="stratified")._log_weights(4, torch.zeros(1).double()).exp()
    assert_close(w.sum(1), torch.ones(4).double())
    assert_close(w.diagonal(), torch.full((4,), 0.1).double())
    assert_close(w[0], torch.tensor([0.1, 7 / 30, 1 / 3, 1 / 3]).double())
    # unbiased for q(z) itself: over all batches that hold an image, the mean weight of each other
    density = torch.tensor([1.0, 2.0, 3.0, 4.0]).double()  # of z of image 0, N = 4, batches of 3
    total = [
        (
            BetaTC(4, sampling="stratified")._log_weights(3, density).exp()[0] * density[[0, i, j]]
        ).sum()
        for i in (1, 2, 3)
        for j in (1, 2, 3)
        if i != j
    ]
    assert_close(torch.stack(total).mean(), density.mean())


def test_what_couples_images_takes_the_whole_derivative():
    vae, x = model("gaussian"), pictures(4)
    objective = BetaTC(100)
    bound(vae, objective, Pathwise(), x).loss.backward()
    for name in ("stl", "reinforce", "measure_valued"):
        with pytest.raises(NotImplementedError, match="takes pathwise") as error:
            bound(vae, objective, named(name), x)
        assert "\n" not in str(error.value)
    with pytest.raises(NotImplementedError, match="takes pathwise"):
        bound(model("binary"), BetaTC(100, 2), RLOO(), x)
    # the pathwise gradient is that of the value: images are coupled
    values = vae.posterior(x).base_dist
    loc = values.loc.detach().requires_grad_()
    noise = torch.randn(1, *loc.shape, dtype=loc.dtype)

    def value(loc):
        q = torch.distributions.Independent(
            torch.distributions.Normal(loc, values.scale.detach()), 1
        )
        z = loc + values.scale.detach() * noise
        return objective.integrand(vae, x, z, q).sum()

    assert torch.autograd.gradcheck(value, (loc,))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: FreeBits(free_nats=-1), "free_nats must be finite and not negative"),
        (lambda: Capacity(gamma=math.inf), "gamma must be finite"),
        (lambda: BetaTC(1), "num_images must be at least 2"),
        (lambda: BetaTC(5, sampling="all"), "sampling must be weighted or stratified"),
    ],
)
def test_what_makes_no_sense_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_more_images_than_there_are():
    vae, x = model("gaussian"), pictures(4)
    with pytest.raises(ValueError, match="num_images of BetaTC is 3, and a minibatch has 4"):
        bound(vae, BetaTC(3), Pathwise(), x)
    assert images(3).shape[0] == 3
