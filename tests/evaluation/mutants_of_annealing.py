"""Mutants of annealed importance sampling, of its chains and of what is made of their weights."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from evaluator_mutation import Mutant
from known import linear_gaussian
from one_variable import SHAPE, log_p, one_variable
from torch import Tensor
from torch.distributions import Independent

from vae.distributions.gamma import Gamma
from vae.evaluation.annealing import Bridge, temperatures_of
from vae.evaluation.transitions import Density

LIMIT = 5.0
"""Standard errors; a right answer exceeds them once in two million seeds."""


def _deviation(samples: Tensor, expected: float) -> float:
    samples = samples.double().flatten()
    se = samples.std() / math.sqrt(len(samples))
    return ((samples.mean() - expected).abs() / (LIMIT * se)).item()


def mean_weight(module: ModuleType) -> float:
    """The mean weight of a Gamma variable's chains against p(x) by quadrature, to 5 SE"""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = one_variable("gamma")
        x = vae.decode(vae.prior().sample((1,))).sample()
        bridge = module.Bridge(vae, x, "q")
        betas, widths = temperatures_of(5, "linear"), torch.full((6,), 0.8)
        moments = list(module.anneal(bridge, betas, widths, bridge.sample(6000)))
        return _deviation((moments[-1].log_weights[:, 0] - log_p(vae, "gamma", x)).exp(), 1.0)


def bound(module: ModuleType) -> float:
    """The bound from 200 chains against the exact log p(x) of probabilistic PCA, to 0.05 nats"""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = linear_gaussian()
        vae.set_encoder(shift=1.0)
        _, x = vae.draw(20)
        bridge = module.Bridge(vae, x, "q")
        moments = module.anneal(bridge, temperatures_of(15), torch.ones(16), bridge.sample(200))
        error = module.summed_up(moments).log_mean - vae.log_p(x)
        return error.mean().abs().item() / 0.05


def start_kept(module: ModuleType) -> float:
    """The mean and the mean logarithm of exponential chains at temperature 0, to 5 SE"""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = one_variable("gamma")
        bridge = module.Bridge(vae, torch.zeros(1, *SHAPE), "prior")
        nowhere, u = torch.zeros(16).double(), bridge.sample(6000)
        for moment in module.anneal(bridge, nowhere, torch.full((16,), 1.2), u):
            z = bridge.transition.latent(moment.u)
        return max(_deviation(z, 1.0), _deviation(z.log(), torch.tensor(1.0).digamma().item()))


def moments_kept(module: ModuleType) -> float:
    """The mean and the mean logarithm of Gamma chains against a Gamma's own, to 5 SE"""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        base = Gamma(torch.tensor([[0.7]]), torch.tensor([[2.0]]), validate_args=False)
        q = Independent(base, 1, validate_args=False)
        hmc = module.HMC(leapfrog=3).of(q, q)
        log_density = Density(lambda u: q.log_prob(hmc.latent(u)) + hmc.log_volume(u))
        u = hmc.state(q.sample((40_000,)))
        for _ in range(4):
            u, _ = hmc.step(u, log_density, torch.tensor(1.4))
        z = hmc.latent(u)
        mean_log = torch.digamma(torch.tensor(0.7)) - math.log(2.0)
        return max(_deviation(z, 0.35), _deviation(z.log(), mean_log.item()))


def both_ways(module: ModuleType) -> float:
    """Bounds from both sides against the exact log p(x) of probabilistic PCA, to 0.05 nats"""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = linear_gaussian(scale=0.3, orthogonal=False)
        vae.set_encoder(shift=1.5, stretch=1.5)
        z, x = vae.draw(30)
        both = module.bracket(Bridge(vae, x, "q"), z, temperatures_of(15), 150)
        errors = [(side - vae.log_p(x)).mean().abs().item() for side in (both.lower, both.upper)]
        return max(errors) / 0.05


def curve(module: ModuleType) -> float:
    """Rate and distortion at several slopes against those of probabilistic PCA, to 0.15 nats"""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = linear_gaussian()
        z, x = vae.draw(40)
        betas = 2 * torch.linspace(0, 1, 81, dtype=torch.float64) ** 2
        found = module.rate_distortion(Bridge(vae, x, "prior"), betas, 40)
        worst = 0.0
        for at in (40, 80):
            rate, distortion = vae.rate_distortion(x, betas[at].item())
            for value, true in ((found.rate, rate), (found.distortion, distortion)):
                worst = max(worst, (value[:, at] - true).mean().abs().item() / 0.15)
        return worst


CHAINS, HMC, BOTH = (f"vae.evaluation.{name}" for name in ("annealing", "hmc", "bdmc"))
MUTANTS = {
    "Jacobian forgotten (HMC)": Mutant(
        CHAINS,
        "the density of the chains' coordinates is that of z, without the volume",
        "self.start.log_prob(self.transition.latent(u)) + self.transition.log_volume(u)",
        "self.start.log_prob(self.transition.latent(u))",
        mean_weight,
    ),
    "Jacobian upside down": Mutant(
        HMC,
        "the volume is that of the way from z to u",
        "        return volume.reshape",
        "        return -volume.reshape",
        moments_kept,
    ),
    "Metropolis ratio upside down": Mutant(
        HMC,
        "a proposal is accepted where it is worse",
        "acceptance = log_ratio.clamp(max=0).exp()",
        "acceptance = (-log_ratio).clamp(max=0).exp()",
        moments_kept,
    ),
    "kinetic energy forgotten": Mutant(
        HMC,
        "proposals are judged without the momentum at their end",
        "after - kinetic(momentum) - start",
        "after - before",
        moments_kept,
    ),
    "last half step": Mutant(
        HMC,
        "the last change of the momentum is a whole step, so that no orbit can be gone back",
        "epsilon / 2 if last else epsilon",
        "epsilon",
        moments_kept,
    ),
    "wrong initial density": Mutant(
        CHAINS,
        "chains start from the prior, and are weighted as if they came from q",
        "self.transition.state(self.start.sample(",
        "self.transition.state(self.prior.sample(",
        bound,
    ),
    "temperature of the step before": Mutant(
        CHAINS,
        "transitions leave the density at the step before unchanged",
        "bridge.at(beta), width",
        "bridge.at(before), width",
        mean_weight,
    ),
    "weight after the move": Mutant(
        CHAINS,
        "the weight is that of the states after the transition",
        "            u, acceptance = transition.step(u, bridge.at(beta), width)\n",
        "            log_weights = log_weights - (beta - before) * double(bridge.log_ratio(u))\n"
        "            u, acceptance = transition.step(u, bridge.at(beta), width)\n"
        "            log_weights = log_weights + (beta - before) * double(bridge.log_ratio(u))\n",
        mean_weight,
    ),
    "width adapted while it counts": Mutant(
        CHAINS,
        "each chain's step is as long as a trial step there was accepted",
        "transition.step(u, bridge.at(beta), width)",
        "transition.step(u, bridge.at(beta),"
        " 2 * width * transition.step(u, bridge.at(beta), width)[1] + 1e-3)",
        start_kept,
    ),
    "refused states remembered": Mutant(
        CHAINS,
        "log p(x|z) is remembered of a proposal though it was refused",
        "torch.where(accepted, new.log_likelihood, old.log_likelihood)",
        "new.log_likelihood",
        mean_weight,
    ),
    "chains not counted": Mutant(
        CHAINS,
        "the log of the number of chains is forgotten: a sum, not a mean",
        "self.log_weights.logsumexp(0) - math.log(len(self.log_weights))",
        "self.log_weights.logsumexp(0)",
        bound,
    ),
    "sign of the reverse bound": Mutant(
        BOTH,
        "the reverse chains' estimate of 1 / p(x) is taken for one of p(x)",
        "-self.reverse.log_mean",
        "self.reverse.log_mean",
        both_ways,
    ),
    "temperatures in the wrong order": Mutant(
        BOTH,
        "the reverse chains take the temperatures as the forward ones do",
        "betas.flip(0), widths.flip(0)",
        "betas, widths",
        both_ways,
    ),
    "no posterior sample": Mutant(
        BOTH,
        "the reverse chains start from q instead of an exact sample of the posterior",
        "bridge.transition.state(z.expand(chains, *z.shape))",
        "bridge.sample(chains)",
        both_ways,
    ),
    "slope forgotten": Mutant(
        "vae.evaluation.rate_distortion",
        "the distortion is taken from log Z at slope 1 everywhere",
        "rate.append(-log_mean - beta * distortion[-1])",
        "rate.append(-log_mean - distortion[-1])",
        curve,
    ),
    "unweighted distortion": Mutant(
        "vae.evaluation.rate_distortion",
        "the distortion is that of chains drawn from the start",
        "double(bridge.log_ratio(moment.u))",
        "double(bridge.log_ratio(u))",
        curve,
    ),
}
