"""The notes' own setting: a categorical policy by the score function, a Gaussian one by the path."""

import json
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def policy_gradient(monkeypatch):
    import policy_gradient

    return policy_gradient


def test_a_gaussian_policy_learns_through_a_differentiable_environment(policy_gradient, tmp_path):
    found = policy_gradient.compare("pointmass", updates=60, seeds=2, output=str(tmp_path / "p"))
    for returns in found["pathwise"]:
        assert sum(returns[-10:]) / 10 > sum(returns[:10]) / 10 + 10
    assert found["pathwise"][0] != found["pathwise"][1]
    record = json.loads((tmp_path / "p.json").read_text())
    assert [len(r) for r in record["returns"]["pathwise"]] == [60, 60]
    assert (tmp_path / "p.png").exists()


@pytest.mark.parametrize("estimator", ["rloo", "reinforce_moving_average"])
def test_a_categorical_policy_learns_cartpole(policy_gradient, estimator):
    pytest.importorskip("gymnasium", reason="gymnasium is the extra `rl`")
    returns = policy_gradient.train("cartpole", estimator, num_samples=8, updates=25)
    assert sum(returns[-5:]) > 1.5 * sum(returns[:5])


def test_a_gaussian_policy_learns_by_the_score_function_too(policy_gradient):
    returns = policy_gradient.train("pointmass", "rloo", updates=60)
    assert sum(returns[-10:]) > 0.7 * sum(returns[:10])  # of costs


def test_a_force_has_the_log_probability_that_it_was_drawn_with(policy_gradient):
    policy = torch.nn.Linear(2, 2)
    q = policy_gradient.PointMassEpisodes(policy, horizon=20)
    path = q.sample(torch.Size([4]))  # (4, 1, 20, 3)
    log_prob = torch.zeros(4)
    x, v = path[:, 0, 0, 0] - 0.1 * path[:, 0, 0, 1], torch.zeros(4)
    for step in range(20):
        loc, log_scale = policy(torch.stack([x, v], -1)).unbind(-1)
        log_prob += torch.distributions.Normal(loc, log_scale.exp()).log_prob(path[:, 0, step, 2])
        x, v = path[:, 0, step, 0], path[:, 0, step, 1]
    torch.testing.assert_close(q.log_prob(path)[:, 0], log_prob, rtol=1e-4, atol=1e-4)


def test_a_trajectory_has_the_log_probability_of_its_actions(policy_gradient):
    pytest.importorskip("gymnasium", reason="gymnasium is the extra `rl`")
    policy = torch.nn.Linear(4, 2)
    q = policy_gradient.CartPoleEpisodes(policy, seed=0, horizon=30)
    path = q.sample(torch.Size([3]))
    assert path.shape == (3, 1, 30, 7)
    log_prob = torch.zeros(3)
    for k in range(3):
        for step in path[k, 0]:
            if step[6]:
                log_prob[k] += policy(step[:4]).log_softmax(-1)[int(step[4])]
    torch.testing.assert_close(q.log_prob(path)[:, 0], log_prob)
    alive = path[..., 6].sum(-1)
    torch.testing.assert_close(policy_gradient.total_reward(path, q), alive)  # one a step


def test_mistakes_say_so(policy_gradient):
    with pytest.raises(ValueError, match="unknown estimator"):
        policy_gradient.compare(estimators=["foo"])
    with pytest.raises(NotImplementedError, match="CartPoleEpisodes"):
        policy_gradient.train("cartpole", "pathwise", num_samples=1, updates=1)
