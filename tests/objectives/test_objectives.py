"""Bounds: values worked by hand, ``swap_one_out`` against its definition, the two forms of the
KL term against each other."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Size, Tensor
from torch.testing import assert_close

from vae.certify.exact import exact_gradient
from vae.certify.problems import bernoulli_problem
from vae.distributions.operations import logits_of, support
from vae.estimators import Enumerate
from vae.models.latents.binary import Binary
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.one_hot import OneHot
from vae.models.likelihoods import Bernoulli
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.models.vae import VAE
from vae.objectives import (
    CIWAE,
    CUBO,
    ELBO,
    IWAE,
    MIWAE,
    OBJECTIVES,
    TVO,
    Average,
    Objective,
    Renyi,
    VRMax,
)

REDUCTIONS = {
    "elbo": ELBO,
    "iwae": IWAE,
    "miwae": lambda K: MIWAE(2 * K, 2),
    "ciwae": lambda K: CIWAE(K, 0.3),
    "renyi": lambda K: Renyi(K, 0.4),
    "renyi_beyond": lambda K: Renyi(K, 1.7),
    "renyi_negative": lambda K: Renyi(K, -0.5),
    "renyi_one": lambda K: Renyi(K, 1.0),
    "cubo": lambda K: CUBO(max(2, K)),
    "vr_max": VRMax,
    "tvo": lambda K: TVO(K, 4, 0.1),
    "tvo_right": lambda K: TVO(K, 4, 0.1, "right"),
}
"""Every reduction, by a number of samples or groups."""

LATENT = {
    "gaussian": lambda: DiagonalGaussian(4, 2, learned_prior=True),
    "binary": lambda: Binary(4, 3, learned_prior=True),
    "one_hot": lambda: OneHot(4, 2, 3, learned_prior=True),
}
VALUES = {  # f_1, f_2, ... -> ELBO, IWAE
    "one": ([-2.0], -2.0, -2.0),
    "equal": ([-7.0, -7.0, -7.0], -7.0, -7.0),
    # log of (e^-1 + e^-2 + e^-3 + e^-4) / 4 = log 0.571317 / 4
    "spread": ([-1.0, -2.0, -3.0, -4.0], -2.5, -1.946105),
    # weights 1, 2, 3, 6: log of their mean; mean of their logs = log(36) / 4
    "weights": ([math.log(w) for w in (1, 2, 3, 6)], math.log(36) / 4, math.log(3)),
    # one weight is everything: f_max - log K
    "extreme": ([-1000.0, 0.0], -500.0, -math.log(2)),
    "impossible": ([-math.inf, 0.0], -math.inf, -math.log(2)),
}


def tensor(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def model(latent: str) -> VAE:
    image = (1, 2, 3)
    layer = LATENT[latent]()
    decoder = MLPDecoder(layer.code_features, image, hidden=[4])
    vae = VAE(MLPEncoder(image, [4], "tanh"), layer, Bernoulli(decoder)).double()
    for p in vae.parameters():  # away from the start, where posterior and prior are near
        torch.nn.init.normal_(p)
    return vae


def images(n: int) -> Tensor:
    return torch.bernoulli(torch.full((1, 1, 2, 3), 0.5, dtype=torch.float64)).expand(n, 1, 2, 3)


def naive_swap(objective: Objective, f: Tensor, alternative: Tensor) -> Tensor:
    """The definition, in O(K^2): R of f with its k-th entry replaced."""
    K = f.shape[0]
    own = torch.eye(K, dtype=torch.bool).view(K, K, *[1] * (f.dim() - 1))
    return objective.reduce(torch.where(own, alternative[:, None], f[None]), dim=1)


@pytest.mark.parametrize("name", VALUES)
def test_values_by_hand(name):
    f, elbo, iwae = VALUES[name]
    f = tensor(f)[:, None]
    K = len(f)
    assert_close(ELBO(K).reduce(f), tensor([elbo]), atol=1e-6, rtol=0)
    assert_close(IWAE(K).reduce(f), tensor([iwae]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reduce_over_any_dimension(name):
    objective = REDUCTIONS[name](3)
    f = torch.randn(objective.num_samples, 4, 5)
    assert_close(objective.reduce(f.movedim(0, 1), dim=1), objective.reduce(f))
    assert_close(objective.reduce(f.movedim(0, -1), dim=-1), objective.reduce(f))


def test_swap_one_out_by_hand():
    f, four = tensor([1, 2, 3]).log(), tensor([4, 4, 4]).log()
    # weights (4, 2, 3), (1, 4, 3), (1, 2, 4)
    assert_close(IWAE(3).swap_one_out(f, four).exp(), tensor([9 / 3, 8 / 3, 7 / 3]))
    assert_close(ELBO(3).swap_one_out(f, four).exp(), tensor([24, 12, 8]).pow(1 / 3))


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("K", [1, 2, 3, 8])
@pytest.mark.parametrize("spread", [1.0, 30.0, 1000.0])
def test_swap_one_out_is_its_definition_with_gradients(name, K, spread):
    objective = REDUCTIONS[name](K)
    K = objective.num_samples
    f = (spread * torch.randn(K, 5, 2, dtype=torch.float64)).requires_grad_()
    alternative = (spread * torch.randn_like(f)).requires_grad_()
    ours, naive = (
        swap(f, alternative)
        for swap in (objective.swap_one_out, lambda *a: naive_swap(objective, *a))
    )
    assert ours.isfinite().all()
    assert_close(ours, naive)
    weights = torch.randn_like(ours)
    expected = torch.autograd.grad((weights * naive).sum(), (f, alternative))
    got = torch.autograd.grad((weights * ours).sum(), (f, alternative))
    assert_close(got, expected)


def test_swap_one_out_where_one_sample_dominates_single_precision():
    # the others are not found by subtraction: 1 + e^-40 - 1 would leave nothing of them
    f = torch.tensor([[0.0], [-40.0], [-41.0]])
    alternative = torch.tensor([[-45.0], [0.0], [0.0]])
    h = IWAE(3).swap_one_out(f, alternative)
    assert_close(h, naive_swap(IWAE(3), f, alternative))


def test_swap_one_out_with_an_impossible_sample():
    f = tensor([-math.inf, -1.0, -2.0])
    alternative = tensor([-3.0, -math.inf, -5.0])
    assert_close(
        IWAE(3).swap_one_out(f, alternative),
        naive_swap(IWAE(3), f, alternative),
        atol=1e-12,
        rtol=0,
    )


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("K", [1, 2, 5])
def test_the_signal_is_the_bound_less_what_it_is_without_the_sample(name, K):
    objective = REDUCTIONS[name](K)
    f, b = (torch.randn(objective.num_samples, 4, dtype=torch.float64) for _ in range(2))
    expected = objective.reduce(f) - naive_swap(objective, f, b)
    assert_close(objective.signal(f, b), expected)
    assert_close(objective.signal(f) - objective.share(f, b), expected)
    value = f.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(objective.reduce(value).sum(), value)
    assert_close(objective.weights(f), slopes)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_what_is_left_out_of_a_share_does_not_depend_on_the_sample(name):
    objective = REDUCTIONS[name](3)
    f, a, b = (torch.randn(objective.num_samples, 4, dtype=torch.float64) for _ in range(3))
    one, other = (objective.swap_one_out(f, v) - objective.share(f, v) for v in (a, b))
    assert_close(one, other)
    assert_close(objective.own(f), objective.share(f, f))


@pytest.mark.parametrize("K", [1, 2, 5])
def test_the_signal_of_terms_apart(K):
    # with nothing to compare it with: the sample's own term of an average, else the whole bound
    f = torch.randn(K, 4, dtype=torch.float64)
    assert_close(ELBO(K).signal(f), f / K)
    assert_close(IWAE(K).signal(f), IWAE(K).reduce(f).expand_as(f))
    assert_close(ELBO(K).signal(f), ELBO(K).signal(f, torch.zeros_like(f)))
    groups = MIWAE(2 * K, 2)
    both = torch.cat([f, f + 1])
    own = torch.stack([IWAE(K).reduce(f), IWAE(K).reduce(f + 1)]) / 2  # of each group
    assert_close(groups.signal(both), own.repeat_interleave(K, 0))


def test_an_impossible_sample_spoils_its_own_signal_only():
    f, b = tensor([-math.inf, -1.0, -2.0]), tensor([-3.0, -4.0, -5.0])
    assert_close(ELBO(3).signal(f, b), tensor([-math.inf, 1.0, 1.0]))
    assert_close(ELBO(3).signal(f), tensor([-math.inf, -1 / 3, -2 / 3]))


@pytest.mark.parametrize("latent", LATENT)
def test_iwae_of_one_sample_is_the_monte_carlo_elbo(latent):
    vae, x = model(latent), images(5)
    q = vae.posterior(x)
    z = q.sample(Size([1]))
    bounds = []
    for objective in (IWAE(1), ELBO(1, analytic_kl=False)):
        bound = objective.reduce(objective.integrand(vae, x, z, q)) - objective.penalty(vae, q)
        assert bound.shape == (5,)
        bounds.append(bound)
    assert_close(*bounds)


@pytest.mark.parametrize("latent", LATENT)
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
def test_analytic_and_monte_carlo_kl_agree_in_mean(latent, beta, assert_mean):
    vae, x = model(latent), images(20_000)
    q = vae.posterior(x)
    z = q.sample(Size([1]))
    analytic, sampled = ELBO(1, beta), ELBO(1, beta, analytic_kl=False)
    assert sampled.penalty(vae, q) == 0
    penalty = analytic.penalty(vae, q)
    assert penalty.shape == (20_000,) and (penalty >= 0).all()
    difference = sampled.integrand(vae, x, z, q) - analytic.integrand(vae, x, z, q)
    assert_mean(difference[0], -penalty[0])


def test_the_bound_by_hand():
    # log p(x|z) + beta (log p(z) - log q(z)) of two binary variables, from the parameters alone
    vae, x = model("binary"), images(1)
    q = vae.posterior(x)
    z = tensor([[[1.0, 0.0, 1.0]]])
    logits = logits_of(vae.decode(z))
    likelihood = (x * logits - torch.nn.functional.softplus(logits)).sum((-1, -2, -3))
    log_q, log_p = (
        (z * l - torch.nn.functional.softplus(l)).sum(-1)
        for l in (logits_of(q), logits_of(vae.prior()))
    )
    f = ELBO(1, 0.3, analytic_kl=False).integrand(vae, x, z, q)
    assert f.shape == (1, 1)
    assert_close(f, likelihood + 0.3 * (log_p - log_q))


def test_iwae_rises_with_every_sample_to_the_log_normaliser():
    problem = bernoulli_problem(2)
    q = problem.make_q(*(p[None] for p in problem.parameters))
    bounds = [Enumerate()(q, problem.f, IWAE(K)).bound.item() for K in range(1, 9)]
    log_normaliser = problem.log_target(support(q)).logsumexp(0).item()
    assert bounds == sorted(bounds)
    assert bounds[0] < bounds[-1] < log_normaliser
    assert_close(exact_gradient(problem, ELBO(1))[1].item(), bounds[0])


@pytest.mark.parametrize("objective", OBJECTIVES.values())
@pytest.mark.parametrize("K", [0, -1])
def test_no_samples_raises(objective, K):
    with pytest.raises(ValueError, match="num_samples"):
        objective(K)


@pytest.mark.parametrize("beta", [-0.1, math.nan])
def test_negative_beta_raises(beta):
    with pytest.raises(ValueError, match="beta"):
        ELBO(beta=beta)


def test_beta_is_a_buffer():
    vae, x = model("gaussian"), images(1)
    objective = ELBO(beta=2.0)
    assert objective.state_dict().keys() == {"beta"}
    assert not list(objective.parameters())
    q = vae.posterior(x)
    before = objective.penalty(vae, q)
    other = copy.deepcopy(objective)
    objective.beta.fill_(0.5)  # what a schedule does
    assert_close(objective.penalty(vae, q), before / 4)
    assert_close(other.penalty(vae, q), before)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("K", [1, 4])
def test_path_weights_are_their_definition(name, K):
    objective = REDUCTIONS[name](K)
    if name == "vr_max":  # its slope jumps: the identity behind path weights does not hold
        return
    f = torch.randn(objective.num_samples, 5).double()
    assert_close(objective.path_weights(f), Objective.path_weights(objective, f))


@pytest.mark.parametrize("name", REDUCTIONS)
def test_single_precision_and_an_impossible_sample(name):
    objective = REDUCTIONS[name](3)
    f = 20 * torch.randn(objective.num_samples, 50)
    assert_close(objective.reduce(f), objective.reduce(f.double()).float(), atol=1e-3, rtol=1e-5)
    f[0, 0] = -math.inf
    value, weights = objective.reduce(f), objective.weights(f)
    lost = isinstance(objective, Average) or name in ("renyi_beyond", "renyi_one", "ciwae", "tvo")
    assert (value[0] == -math.inf) == lost  # where each sample counts, however small its weight
    assert value[1:].isfinite().all() and not weights[:, 1:].isnan().any()
    if not lost:
        assert weights[0, 0] == 0 and weights.isfinite().all()
