"""ARS and ARSM: the papers' sums, written out, at the same noise."""

import pytest
import torch
from torch import Size

from vae.certify.problems import OBJECTIVES, bernoulli_problem, one_hot_problem
from vae.distributions.one_hot import gumbel_like
from vae.estimators import named

KEYS = ("elbo1", "elbo2", "iwae2", "iwae3")


def outcome(name, problem, objective, seed=3, n=4):
    """The gradient, (n, D, C), and the noise, (K, n, D, C)."""
    logits = problem.parameters[0].expand(n, -1, -1).clone().requires_grad_()
    torch.manual_seed(seed)
    bound = named(name)(problem.make_q(logits), problem.f, objective).bound
    # the entropy's own gradient, which is in the bound where it is not an average
    (grad,) = torch.autograd.grad(bound.sum(), logits)
    torch.manual_seed(seed)
    return grad, gumbel_like(logits, Size([objective.num_samples, *logits.shape]))


def vertices(logits, noise, swap=(0, 0)):
    """One-hot vectors of noise of which two categories have changed places in all variables."""
    C = logits.shape[-1]
    order = list(range(C))
    order[swap[0]], order[swap[1]] = swap[1], swap[0]
    index = (logits + noise[..., order]).argmax(-1)
    return torch.nn.functional.one_hot(index, C).to(logits.dtype)


def frozen(problem):
    """The problem with an f that does not depend on q."""
    return problem._replace(f=lambda z, q: problem.log_target(z))


@pytest.mark.parametrize("C", [3, 5])
@pytest.mark.parametrize("key", KEYS)
def test_arsm_is_the_sum_of_its_paper(key, C):
    problem, objective = frozen(one_hot_problem(2, C)), OBJECTIVES[key]
    grad, noise = outcome("arsm", problem, objective)
    logits = torch.log_softmax(problem.parameters[0], -1)
    f = lambda z: problem.f(z, None)
    times = (-noise).exp()
    pi = times / times.sum(-1, keepdim=True)  # Dirichlet(1, ..., 1)
    fz = f(vertices(logits, noise))
    expected = torch.zeros_like(grad)
    for k in range(objective.num_samples):

        def h(a, k=k):  # sample k's own share of the objective
            values = fz.clone()
            values[k] = a[k]
            return objective.reduce(values)

        for j in range(C):
            swapped = torch.stack([h(f(vertices(logits, noise, (c, j)))) for c in range(C)], -1)
            centred = swapped - swapped.mean(-1, keepdim=True)  # (n, C)
            expected += centred[:, None] * (1 / C - pi[k, :, :, j, None])
    torch.testing.assert_close(grad, expected)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", ["ars", "arsm"])
def test_for_two_categories_both_are_arm(name, key):
    problem, objective = frozen(one_hot_problem(3, 2)), OBJECTIVES[key]
    grad, noise = outcome(name, problem, objective)
    logits = problem.parameters[0]
    s = noise[..., 1] - noise[..., 0]  # logistic
    f = [problem.f(vertices(logits, noise, swap), None) for swap in ((0, 0), (0, 1))]
    arm = objective.signal(*f)[..., None] * (0.5 - (-s).sigmoid())
    torch.testing.assert_close(grad, torch.stack([-arm, arm], -1).sum(0))


@pytest.mark.parametrize("name", ["ars", "arsm", "carms"])
def test_binary_variables_have_their_own_name_for_it(name):
    problem = bernoulli_problem()
    q = problem.make_q(problem.parameters[0][None])
    with pytest.raises(NotImplementedError, match=r"it takes OneHotCategorical, and arms? is the"):
        named(name)(q, problem.f, OBJECTIVES["elbo2"])
