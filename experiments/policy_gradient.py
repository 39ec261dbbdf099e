r"""Policy gradients, by the same score-function and pathwise estimators as train a VAE.


A trajectory is a random variable like any other: :math:`\log q_\phi(\tau) = \sum_t \log
\pi_\phi(a_t | s_t) + \mathrm{const}`, and its return is the integrand. So ``ScoreFunction``
trains a categorical policy on CartPole, as it trains a discrete VAE, and ``Pathwise`` a Gaussian
policy through a differentiable environment.

References:
    | Simple Statistical Gradient-Following Algorithms (Williams, 1992).
    | Gradient Estimation Using Stochastic Computation Graphs (Schulman et al., 2015).
"""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import math
import sys
from pathlib import Path
from typing import Literal

import torch
from rich.progress import track
from torch import Size, Tensor, nn
from torch.distributions import Categorical, Distribution, Normal, constraints
from torch.types import _size

from vae.analysis.plots import curve
from vae.cli.errors import one_line_errors
from vae.cli.parser import ScriptParser
from vae.distributions.operations import rebuild
from vae.estimators import accepts, named
from vae.objectives import ELBO
from vae.run.files import writable, write_json
from vae.run.folder import runs_dir

EPISODES = 10**8
"""The most of all seeds and estimators together."""


class CartPoleEpisodes(Distribution):
    """Trajectories of a categorical policy on gymnasium's CartPole-v1, with batch shape (1,).

    A value is a whole trajectory, ``(T, 7)``: four numbers of state, the action, the reward, and
    whether the step was taken.
    """

    arg_constraints: dict = {}
    support = constraints.independent(constraints.real, 2)

    def __init__(self, policy: nn.Module, seed: int, horizon: int = 500) -> None:
        super().__init__(Size([1]), Size([horizon, 7]), validate_args=False)
        self.policy, self.seed, self.horizon = policy, seed, horizon

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        import gymnasium  # an extra: rl

        count = Size(sample_shape).numel()
        envs = gymnasium.make_vec(
            "CartPole-v1", num_envs=count, vectorization_mode="vector_entry_point"
        )
        state, _ = envs.reset(seed=self.seed)
        alive, steps = torch.ones(count), []
        with torch.no_grad():
            for _ in range(self.horizon):
                s = torch.as_tensor(state, dtype=torch.float32)
                action = Categorical(logits=self.policy(s)).sample()
                state, reward, ended, cut, _ = envs.step(action.numpy())
                gain = torch.as_tensor(reward, dtype=torch.float32) * alive
                steps.append(torch.cat([s, torch.stack([action, gain, alive], -1)], -1))
                alive = alive * ~torch.as_tensor(ended | cut)
                if not alive.any():
                    break
        envs.close()
        path = torch.stack(steps, 1)  # (K, t, 7)
        rest = torch.zeros(count, self.horizon - path.shape[1], 7)
        return torch.cat([path, rest], 1).view(*sample_shape, 1, self.horizon, 7)

    def log_prob(self, value: Tensor) -> Tensor:
        policy = Categorical(logits=self.policy(value[..., :4]))
        return (policy.log_prob(value[..., 4]) * value[..., 6]).sum(-1)


class PointMassEpisodes(Distribution):
    """Trajectories of a Gaussian policy that pushes a point mass to the origin; batch shape (1,).

    The dynamics are differentiable.

    A value is the sequence of positions, velocities and forces, ``(T, 3)``.
    """

    arg_constraints: dict = {}
    support = constraints.independent(constraints.real, 2)
    has_rsample = True

    def __init__(self, policy: nn.Module, horizon: int = 50) -> None:
        super().__init__(Size([1]), Size([horizon, 3]), validate_args=False)
        self.policy, self.horizon = policy, horizon

    def rsample(self, sample_shape: _size = Size()) -> Tensor:
        x, v = torch.randn(*sample_shape, 1), torch.zeros(*sample_shape, 1)
        steps = []
        for _ in range(self.horizon):
            loc, log_scale = self.policy(torch.stack([x, v], -1)).unbind(-1)
            force = Normal(loc, log_scale.exp(), validate_args=False).rsample()
            v = v + 0.1 * force
            x = x + 0.1 * v
            steps.append(torch.stack([x, v, force], -1))
        return torch.stack(steps, -2)

    def log_prob(self, value: Tensor) -> Tensor:
        x, v, force = value.unbind(-1)
        before = torch.stack([x - 0.1 * v, v - 0.1 * force], -1)  # what the policy saw
        loc, log_scale = self.policy(before).unbind(-1)
        return Normal(loc, log_scale.exp(), validate_args=False).log_prob(force).sum(-1)


@rebuild.register(CartPoleEpisodes)
@rebuild.register(PointMassEpisodes)
def _(q: Distribution, **changes: Tensor) -> Distribution:
    return q  # its parameters are the policy's; a return does not look at them


def cost_of_motion(path: Tensor, q: Distribution) -> Tensor:
    """Minus the quadratic cost of a point-mass trajectory: the return."""
    return -(path * path * path.new_tensor([1.0, 0.1, 0.01])).sum((-1, -2))


def total_reward(path: Tensor, q: Distribution) -> Tensor:
    """The undiscounted return of a CartPole trajectory."""
    return path[..., 5].sum(-1)


def train(
    task: str,
    name: str,
    num_samples: int = 16,
    updates: int = 100,
    lr: float = 1e-2,
    seed: int = 0,
) -> list[float]:
    """The mean return of each update of a policy that ascends its expected return.

    Args:
        task: cartpole or pointmass.
        name: The estimator.
        num_samples: Episodes an update.
        updates: Updates.
        lr: Adam's step size.
        seed: The seed of policy, actions and environments.
    """
    torch.manual_seed(seed)
    inputs, outputs = (4, 2) if task == "cartpole" else (2, 2)
    policy = nn.Sequential(nn.Linear(inputs, 32), nn.Tanh(), nn.Linear(32, outputs))
    gradient, objective = named(name), ELBO(num_samples)
    context = torch.ones(1, 1)  # a learned baseline sees a constant: every episode starts alike
    f = total_reward if task == "cartpole" else cost_of_motion

    def episodes(update: int) -> Distribution:
        if task == "cartpole":
            return CartPoleEpisodes(policy, seed=seed * 100_003 + update)
        return PointMassEpisodes(policy)

    optimizer = None
    returns = []
    for update in track(
        range(updates), f"{name}, seed {seed}", disable=not sys.stderr.isatty(), transient=True
    ):
        estimate = gradient(episodes(update), f, objective, context)
        if optimizer is None:  # after lazy layers have their shape
            groups = [{"params": policy.parameters()}, {"params": gradient.parameters()}]
            optimizer = torch.optim.Adam(groups, lr=lr)
        optimizer.zero_grad()
        estimate._replace(bound=estimate.bound / 10).loss.backward()
        optimizer.step()
        returns.append(estimate.bound.mean().item())
        if not math.isfinite(returns[-1]):
            raise ValueError(f"the return is {returns[-1]} at update {update}: give a smaller lr")
    return returns


def compare(
    task: Literal["cartpole", "pointmass"] = "cartpole",
    estimators: list[str] | None = None,
    num_samples: int = 16,
    updates: int = 100,
    lr: float = 1e-2,
    seeds: int = 1,
    output: str | None = None,
) -> dict[str, list[list[float]]]:
    """Trains a policy by gradient ascent on its expected return, by one or more estimators.

    Args:
        task: cartpole (score function) or pointmass (pathwise).
        estimators: Names in ESTIMATORS; by default rloo, or pathwise for pointmass.
        num_samples: Episodes an update.
        updates: Updates.
        lr: Adam's step size.
        seeds: How many, from 0 on, of policy, actions and environments.
        output: Where to write the JSON and the plot of returns, without suffix; by default
            policy_gradient-TASK in the folder of runs.
    """
    if min(num_samples, updates, seeds) < 1:
        raise ValueError("num_samples, updates and seeds must be at least 1")
    names = estimators or ["rloo" if task == "cartpole" else "pathwise"]
    for name in names:
        if accepts(name, "prior"):
            raise ValueError(f"estimator {name} needs a prior, and a policy has none")
    if (episodes := len(names) * num_samples * updates * seeds) > EPISODES:
        raise ValueError(f"{episodes:,} episodes would take weeks: give {EPISODES:,} at most")
    if not 0 < lr < math.inf:
        raise ValueError(f"lr must be positive, got {lr}")
    stem = Path(output).expanduser() if output else runs_dir() / f"policy_gradient-{task}"
    for suffix in ("json", "png"):
        writable(Path(f"{stem}.{suffix}"))
    returns = {
        name: [train(task, name, num_samples, updates, lr, seed) for seed in range(seeds)]
        for name in names
    }
    record = {"task": task, "num_samples": num_samples, "updates": updates, "lr": lr}
    rounded = {
        name: [[round(r, 3) for r in run] for run in runs] for name, runs in returns.items()
    }
    write_json(Path(f"{stem}.json"), record | {"seeds": seeds, "returns": rounded})
    means = {
        name: [sum(at) / seeds for at in zip(*runs, strict=True)] for name, runs in returns.items()
    }
    title = f"{task}: {num_samples} episodes an update, mean of {seeds} seed{'s' * (seeds > 1)}"
    curve(means, "update", "mean return", title, Path(f"{stem}.png"))
    for name, values in means.items():
        first, last = sum(values[:10]) / len(values[:10]), sum(values[-10:]) / len(values[-10:])
        print(
            f"{task}, {name}: mean return {first:.1f} in the first ten updates,"
            f" {last:.1f} in the last"
        )
    print(f"written {stem}.json, .png")
    return returns


if __name__ == "__main__":
    with one_line_errors():
        parser = ScriptParser(description=__doc__)
        parser.add_function_arguments(compare)
        compare(**vars(parser.parse_args()))
