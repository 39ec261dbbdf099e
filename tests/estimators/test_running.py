"""Learning signals that are centred and scaled by running averages, as NVIL and MuProp may have
them: what is claimed of the mean, and what the averages know.

Statistical tests are seeded and two-sided at a family-wise false-alarm rate of 1e-6 each.
"""

import math

import pytest
import torch
from torch.distributions import Independent

from vae.certify.assertions import assert_unbiased, z_limit
from vae.certify.exact import exact_gradient, gradients
from vae.certify.problems import PROBLEMS
from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import detach
from vae.estimators import named
from vae.estimators.running import RunningMean, RunningScale
from vae.objectives import ELBO, IWAE, Average
from vae.training.presets import DiscreteVAE

N = 20_000
OPTIONS = {
    "nvil, centred": ("nvil", {"centre": True}),
    "muprop, centred": ("muprop", {"centre": True}),
    "muprop, learned": ("muprop", {"hidden": 8}),
    "muprop, learned and centred": ("muprop", {"hidden": 8, "centre": True}),
}
SCALED = {
    "nvil": ("nvil", {"centre": True, "scale": True}),
    "muprop": ("muprop", {"hidden": 8, "centre": True, "scale": True}),
    "muprop without a baseline": ("muprop", {"scale": True}),
}
BOUNDS = [ELBO(2, analytic_kl=False), IWAE(3)]


def mid_training(name, options):
    """With averages that are neither zero nor those of the problem: s is 3."""
    torch.manual_seed(0)
    estimator = named(name, options).double().eval()
    for module in estimator.modules():
        if isinstance(module, RunningMean):
            module.average.fill_(4.5 if isinstance(module, RunningScale) else 0.4)
            module.weight.fill_(0.5)
    return estimator


@pytest.mark.parametrize("objective", BOUNDS, ids=["elbo", "iwae"])
@pytest.mark.parametrize("case", OPTIONS)
def test_centring_costs_no_bias(case, objective):
    estimator = mid_training(*OPTIONS[case])
    assert estimator.bias is None
    for family in ("bernoulli", "gaussian" if isinstance(objective, Average) else "one_hot"):
        assert_unbiased(estimator, PROBLEMS[family], objective, N)


@pytest.mark.parametrize("objective", BOUNDS, ids=["elbo", "iwae"])
@pytest.mark.parametrize("case", SCALED)
def test_scaling_divides_the_gradient_of_q_and_nothing_else(case, objective):
    estimator, problem = mid_training(*SCALED[case]), PROBLEMS["one_hot"]
    assert estimator.scale.scale() == 3 and "direction is unbiased" in estimator.bias
    exact, value = exact_gradient(problem, objective, model=True)
    grads, bound = gradients(estimator, problem, objective, N, model=True)
    limit = z_limit(1e-6 / (2 * (len(exact) + 1)))

    def z(estimates, mean):
        return (estimates.mean(0) - mean) / estimates.std(0) * math.sqrt(N)

    assert z(3 * grads[:, :-1], exact[:-1]).abs().max() < limit
    assert z(grads[:, :-1], exact[:-1]).abs().max() > 10  # as it is, it is what bias says
    assert z(grads[:, -1], exact[-1]).abs() < limit and z(bound, value).abs() < limit


@pytest.mark.parametrize("objective", BOUNDS, ids=["elbo", "iwae"])
@pytest.mark.parametrize("case", [*OPTIONS.values(), *SCALED.values()])
def test_a_step_does_not_see_its_own_signals(case, objective):
    # the averages move in training and stand still in evaluation: the estimates are the same
    estimator, problem, outcomes = mid_training(*case), PROBLEMS["bernoulli"], []
    gradients(estimator, problem, objective, 2)  # lazy layers take their width
    before = {name: b.clone() for name, b in estimator.named_buffers()}
    for training in (False, True):
        torch.manual_seed(1)
        outcomes.append(gradients(estimator.train(training), problem, objective, 5)[0])
        moved = {name: bool(b != before[name]) for name, b in estimator.named_buffers()}
        assert all(value == training for value in moved.values()), moved
    assert torch.equal(*outcomes)


def test_averages_by_hand():
    mean, scale = RunningMean(0.5), RunningScale(0.5)
    assert mean.value() == 0 and scale.scale() == 1
    for value, average in ((2.0, 2.0), (8.0, 6.0), (0.0, 6 * 3 / 7)):  # 1 : 2 : 4, the last most
        mean.update(torch.tensor(value))
        assert mean.value().item() == pytest.approx(average)
    scale.observe(torch.tensor([[3.0, 7.0], [1.0, 5.0]]))  # variance 5, whatever the mean
    assert scale.scale().item() == pytest.approx(math.sqrt(5))
    scale.observe(torch.full((2, 2), 9.0))
    assert scale.scale().item() == pytest.approx(math.sqrt(5 / 3))
    for _ in range(9):
        scale.observe(torch.full((2, 2), 9.0))
    assert scale.scale() == 1  # never enlarges


def test_scaling_leaves_values_alone_and_an_impossible_category_too():
    logits = torch.tensor([[[0.3, -1.0, -math.inf]]], requires_grad=True)
    q = Independent(OneHotCategorical(logits=logits, validate_args=False), 1, validate_args=False)
    scale, z = RunningScale(), torch.eye(3)[None, None, 1:2]
    scale.observe(torch.tensor([[0.0, 4.0]]))  # s = 2
    assert torch.equal(scale(q).log_prob(z), detach(q).log_prob(z))
    grads = [
        torch.autograd.grad(p.log_prob(z).sum(), logits, retain_graph=True)[0]
        for p in (q, scale(q))
    ]
    torch.testing.assert_close(grads[1], grads[0] / 2)


@pytest.mark.parametrize("case", SCALED)
def test_a_closed_form_kl_is_not_scaled_and_so_refused(case):
    name, options = SCALED[case]
    with pytest.raises(NotImplementedError, match="closed-form KL.*--model.kl monte_carlo"):
        gradients(named(name, options), PROBLEMS["bernoulli"], ELBO(2), 2)
    small = {"hidden": [4], "num_variables": 2, "image_shape": (1, 8, 8)}
    with pytest.raises(NotImplementedError, match="closed-form KL"):
        DiscreteVAE(estimator=name, estimator_options=options, **small)
    module = DiscreteVAE(estimator=name, estimator_options=options, kl="monte_carlo", **small)
    module.bound(torch.zeros(3, 1, 8, 8))
    assert any("scale.average" in key for key in module.state_dict())
    assert module.estimator.scale.weight > 0
