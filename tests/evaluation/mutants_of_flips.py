"""Mutants of the discrete transitions."""

from __future__ import annotations

from types import ModuleType

import torch
from evaluator_mutation import Mutant
from known import Enumerated, small_binary, small_one_hot
from torch import Tensor

from vae import VAE
from vae.evaluation import annealing
from vae.evaluation.flips import OneHotFlips
from vae.evaluation.transitions import Density, Transition

CHAINS = 20_000


def _drift(values: Tensor, law: Tensor, before: Tensor, after: Tensor) -> float:
    """How far the frequency of a value (S, *event) is from its law (S,), in 5.5 standard errors, if
    chains (chains, *event) have left it."""
    if torch.equal(before, after):
        return float("inf")
    counts = (after.unsqueeze(1) == values).flatten(2).all(-1).double().sum(0)
    deviation = (len(after) * law * (1 - law)).sqrt().clamp_min(1)
    return ((counts - len(after) * law) / deviation).abs().max().item() / 5.5


@torch.no_grad()
def _law(vae: VAE, transition: Transition, beta: float, module: ModuleType = annealing) -> float:
    """The drift of exact samples at a temperature between q and p(x, z)."""
    torch.manual_seed(0)
    known = Enumerated(vae)
    x = known.draw(1, seed=1)[1]
    bridge = module.Bridge(vae, x, "q", transition)
    log_q = known.q(x).log()
    law = (log_q + beta * (known.log_joint(x) - log_q)).softmax(0)[:, 0]
    z = before = known.z[torch.multinomial(law, CHAINS, True)].unsqueeze(1)
    for _ in range(3):
        step = bridge.transition.at(beta).step
        z, _ = step(z, bridge.at(beta), torch.tensor(1.0))
    return _drift(known.z, law, before[:, 0], z[:, 0])


def one_hot_flips(module: ModuleType) -> float:
    """the law of 3 x 3 categories after 3 steps of exact samples against the enumerated one"""
    return _law(small_one_hot(), module.OneHotFlips(), 0.7)


def binary_flips(module: ModuleType) -> float:
    """the law of 5 bits after 3 steps of exact samples against the enumerated one"""
    return _law(small_binary(), module.BinaryFlips(), 0.7)


def gibbs(module: ModuleType) -> float:
    """the law of 3 x 3 categories after 3 sweeps of exact samples against the enumerated one"""
    return _law(small_one_hot(), module.Gibbs(torch.eye(3)), 0.7)


def gradient_flips(module: ModuleType) -> float:
    """the law of 3 x 3 categories after 3 steps of exact samples against the enumerated one"""
    return _law(small_one_hot(), module.GradientFlips(True, proposals=1, temperature=1.0), 1.0)


def redraws(module: ModuleType) -> float:
    """the law of 5 bits after 3 steps of exact samples against the enumerated one"""
    return _law(small_binary(), module.Redraws(), 0.7)


def posterior(module: ModuleType) -> float:
    """the law of 3 x 3 categories after 3 steps of posterior samples against the enumerated one"""
    return _law(small_one_hot(), OneHotFlips(), 1.0, module)


@torch.no_grad()
def counts(module: ModuleType) -> float:
    """the law of two counts of 0 to 4 after 3 steps of exact samples against the known one"""
    torch.manual_seed(0)
    values = torch.cartesian_prod(torch.arange(5.0), torch.arange(5.0))
    log_law = -(values - torch.tensor([1.0, 3.0])).abs().sum(-1)
    law = log_law.double().softmax(0)
    z = before = values[torch.multinomial(law, CHAINS, True)].unsqueeze(1)
    density = Density(lambda z: -(z - torch.tensor([1.0, 3.0])).abs().sum(-1))
    for _ in range(3):
        z, _ = module.IntegerSteps(0, 4).step(z, density, torch.tensor(0.5))
    return _drift(values, law, before[:, 0], z[:, 0])


MUTANTS = {
    "Metropolis upside down": Mutant(
        "vae.evaluation.flips",
        "the ratio of Metropolis and Hastings is upside down",
        "(new - value + log_ratio).exp()",
        "(value - new - log_ratio).exp()",
        binary_flips,
    ),
    "Hastings forgotten": Mutant(
        "vae.evaluation.flips",
        "a proposal that is made more often one way than the other is taken for a symmetric one",
        "(new - value + log_ratio).exp()",
        "(new - value).exp()",
        one_hot_flips,
    ),
    "way back for way there": Mutant(
        "vae.evaluation.flips",
        "the proposals' probabilities, there and back, are swapped",
        "_but(values, new).log_prob(old) - there.log_prob(new)",
        "there.log_prob(new) - _but(values, new).log_prob(old)",
        one_hot_flips,
    ),
    "density of what was refused": Mutant(
        "vae.evaluation.flips",
        "the next proposal is compared with the last one, accepted or not",
        "value = torch.where(accepted, new, value)",
        "value = new",
        binary_flips,
    ),
    "mode of the conditional": Mutant(
        "vae.evaluation.gibbs",
        "a variable takes its likeliest value, in place of a draw",
        "drawn.sample().argmax(-1)",
        "drawn.logits.argmax(-1)",
        gibbs,
    ),
    "conditional of another state": Mutant(
        "vae.evaluation.gibbs",
        "the other variables are reset to 0 while a conditional is computed",
        "log_density(flat.view(z.shape))",
        "log_density((flat * (torch.arange(flat.shape[2]) == i)[:, None]).view(z.shape))",
        gibbs,
    ),
    "way back from the old state": Mutant(
        "vae.evaluation.gradient_flips",
        "the way back is proposed by the gradient at the state that was left",
        "self._flips(proposal, new_gradient)",
        "self._flips(proposal, gradient)",
        gradient_flips,
    ),
    "gradient's bias kept": Mutant(
        "vae.evaluation.gradient_flips",
        "flips that the gradient favours are not refused the more often for it",
        "back.log_prob(self._undone(z, flip)) - there.log_prob(flip)",
        "torch.zeros_like(value)",
        gradient_flips,
    ),
    "redraws upside down": Mutant(
        "vae.evaluation.redraws",
        "q's probabilities of a variable drawn anew, before and after, are swapped",
        "self._log_source(z, i) - self._log_source(new, i)",
        "self._log_source(new, i) - self._log_source(z, i)",
        redraws,
    ),
    "more steps up": Mutant(
        "vae.evaluation.redraws",
        "counts are stepped up twice as often as down, as if they were not",
        "2 * torch.randint_like(i, 2) - 1",
        "2 * torch.randint_like(i, 3).clamp_max(1) - 1",
        counts,
    ),
    "steps to the border": Mutant(
        "vae.evaluation.redraws",
        "a step out of the support ends at its border, in place of being refused",
        "new = torch.where(possible, new, old)",
        "new, possible = new.clamp(0, 4), possible | True",
        counts,
    ),
    "density without the prior": Mutant(
        "vae.evaluation.annealing",
        "chains move by the likelihood and q alone: the prior is left out of their density",
        "self.prior.log_prob(z) - self.start.log_prob(z)",
        "-self.start.log_prob(z)",
        posterior,
    ),
}
