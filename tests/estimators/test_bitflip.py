"""BitFlip-1 moves one variable a sample; UGC is DisARM elsewhere."""

import pytest
import torch

from vae.certify.exact import gradients
from vae.certify.problems import OBJECTIVES, bernoulli_problem
from vae.estimators import named
from vae.objectives import ELBO

PROBLEM = bernoulli_problem()


def at(*logits):
    """The problem at other logits, with an f that does not depend on q."""
    point = [torch.tensor(logits, dtype=torch.float64)]
    return PROBLEM._replace(parameters=point, f=lambda z, q: PROBLEM.log_target(z))


def test_one_bit_a_sample_counts_for_all():
    problem, seen = at(0.4, -1.0, 2.0), []

    def f(z, q):
        seen.append(z)
        return problem.f(z, q)

    grads, _ = gradients(named("bitflip_1"), problem._replace(f=f), ELBO(1), 200)
    (z, flipped), p = (s[0] for s in seen), problem.parameters[0].sigmoid()
    moved = (z != flipped).double()
    assert (moved.sum(-1) == 1).all() and moved.sum(0).min() > 30
    difference = problem.f(z[None], None)[0] - problem.f(flipped[None], None)[0]
    expected = 3 * moved * (2 * z - 1) * difference[:, None] * p * (1 - p)
    torch.testing.assert_close(grads, expected)


@pytest.mark.parametrize("key", ["elbo2", "iwae2"])
def test_ugc_is_disarm_where_no_probability_is_extreme(key):
    # 1 / (2 D) = 1/6 is the probability at the logit -1.61
    found = []
    for last in (1.5, 1.7):
        for name in ("disarm", "ugc"):
            torch.manual_seed(0)
            grads, _ = gradients(named(name), at(0.4, -1.5, last), OBJECTIVES[key], 300)
            found.append(grads)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[2][:, :2], found[3][:, :2])
    assert not torch.allclose(found[2][:, 2], found[3][:, 2])


def test_ugc_flips_one_of_the_extreme_bits():
    torch.manual_seed(0)
    grads, _ = gradients(named("ugc"), at(3.0, -3.0, 4.0), ELBO(1), 500)
    assert ((grads != 0).sum(-1) <= 1).all() and (grads != 0).any(0).all()


def test_the_gain_is_one_of_bounds_not_of_every_f():
    """Disarm has no variance where the ends of a pair have the same f, at any probability."""

    def f(z, q):
        return (z[..., 0] == z[..., 1]).double()

    problem = at(-6.0, 0.0)._replace(f=f)
    disarm, flip = (gradients(named(n), problem, ELBO(1), 2000)[0] for n in ("disarm", "ugc"))
    assert (disarm[:, 0] == 0).all() and flip[:, 0].std() > 0
