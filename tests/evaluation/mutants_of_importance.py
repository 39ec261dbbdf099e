"""Mutants of the importance-weighted bound and of what is said of its weights."""

from __future__ import annotations

from types import ModuleType

import torch
from evaluator_mutation import Mutant
from known import linear_gaussian
from torch.distributions import Exponential


def exact_q(module: ModuleType) -> float:
    """The bound of 50 samples where q is the posterior against the exact log p(x), to 1e-3 nats"""
    model = linear_gaussian()
    x = model.draw(20)[1]
    error = module.log_likelihood(model, x, 50, seed=0).double() - model.log_p(x)
    return error.abs().max().item() / 1e-3


def split(module: ModuleType) -> float:
    """The bound of 20 images at once against that of 5 and 15, to 1e-4 nats"""
    model, x = _wide(20)
    whole = module.log_likelihood(model, x, 30, seed=0)
    parts = [
        module.log_likelihood(model, x[:5], 30, seed=0),
        module.log_likelihood(model, x[5:], 30, seed=0, first=5),
    ]
    return (torch.cat(parts) - whole).abs().max().item() / 1e-4


def all_different(module: ModuleType) -> float:
    """Log-weights of one image, given three times, that are another's: 1 in 100 of them"""
    model, x = _wide(1)
    found = [w for _, _, w in module.log_weights(model, x.expand(3, *x.shape[1:]), 3_000, seed=0)]
    weights = torch.cat([w.flatten() for w in found])
    return (len(weights) - len(weights.unique())) / (len(weights) / 100)


def plain_formulae(module: ModuleType) -> float:
    """Bound, effective number and largest weight of K = 30 of 200 samples against sums, to 1e-4"""
    from vae.models.log_likelihood import log_weights

    model, x = _wide(1)
    weights = torch.cat([w for _, _, w in log_weights(model, x, 30, seed=0)]).double().exp()
    mean, total = weights.mean(0), weights.sum(0)
    expected = [mean.log(), total**2 / weights.square().sum(0), weights.max(0).values / total]
    found = module.importance_weighted(model, x, [30, 200], seed=0)[30]
    pairs = zip(found, expected, strict=False)
    return max(abs(a / b - 1).max().item() for a, b in pairs) / 1e-4


def equal_weights(module: ModuleType) -> float:
    """The error over z where all weights are the same against zero, to 1e-3 nats"""
    same = torch.ones(10, dtype=torch.float64)
    found = module.Estimate(-same, 50 * same, same / 50, float("nan") * same)
    return abs(module._number(50, found).labels["se_z"]) / 1e-3


def power_law(module: ModuleType) -> float:
    """Pareto k of 200 sets of weights with a power law against its k = 0.8, to 5 standard errors"""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        draws = 0.8 * Exponential(torch.ones(200, dtype=torch.float64)).sample((4_000,))
    M = module.tail_length(4_000)
    found = module.pareto_k(draws.topk(M + 1, 0).values)
    expected = (0.8 * M + 5) / (M + 10)
    return abs(found.mean().item() - expected) / (5 * found.std().item() / 200**0.5 + 0.01)


def _wide(images):
    """Probabilistic PCA with a q that is wider than the posterior, and images."""
    model = linear_gaussian()
    model.set_encoder(shift=0.5, stretch=2.0)
    return model, model.draw(images)[1]


SAMPLES, WEIGHTS, TAIL = (
    "vae.models.log_likelihood",
    "vae.evaluation.importance",
    "vae.evaluation.pareto",
)

MUTANTS = {
    "wrong proposal density": Mutant(
        SAMPLES,
        "weights divide by p(z), and not by q(z|x) that z is drawn from",
        "- of_some.log_prob(z)",
        "- model.prior().log_prob(z)",
        exact_q,
    ),
    "one sample too few": Mutant(
        SAMPLES,
        "K - 1 samples are drawn, and divided by K",
        "range(start, min(start + STRETCH, num_samples))",
        "range(start, min(start + STRETCH, num_samples - 1))",
        exact_q,
    ),
    "log K forgotten": Mutant(
        SAMPLES,
        "the weights are summed, and not averaged",
        "(total - math.log(num_samples))",
        "total",
        exact_q,
    ),
    "largest weight": Mutant(
        WEIGHTS,
        "the largest weight stands for the sum of all",
        "torch.logaddexp(kept[images], (power * log_weight).logsumexp(0))",
        "torch.maximum(kept[images], (power * log_weight).amax(0))",
        plain_formulae,
    ),
    "a block seeded twice": Mutant(
        SAMPLES,
        "every block of an image has the same noise",
        "mix_seeds(seed, start)",
        "mix_seeds(seed, 0)",
        all_different,
    ),
    "one noise for all images": Mutant(
        SAMPLES,
        "the image's number does not count in its seed",
        "mix_seeds(seed, first + begun + i)",
        "mix_seeds(seed, first)",
        all_different,
    ),
    "place in the batch": Mutant(
        SAMPLES,
        "noise is numbered by the image's place in its batch",
        "mix_seeds(seed, first + begun + i)",
        "mix_seeds(seed, begun + i)",
        split,
    ),
    "few are more": Mutant(
        WEIGHTS,
        "the bound of few samples takes a whole piece of those of many",
        "log_weight[: tally.num_samples - start]",
        "log_weight",
        plain_formulae,
    ),
    "effective number": Mutant(
        WEIGHTS,
        "the sum of the weights is not squared in their effective number",
        "(2 * self.total - self.squares)",
        "(self.total - self.squares)",
        plain_formulae,
    ),
    "weight not normalised": Mutant(
        WEIGHTS,
        "the largest weight is not divided by their sum",
        "(tail[0] - self.total).exp()",
        "tail[0].exp()",
        plain_formulae,
    ),
    "error of one sample": Mutant(
        WEIGHTS,
        "the error over z takes the second moment of the weights for their variance",
        "(1 / found.ess - 1 / K)",
        "(1 / found.ess)",
        equal_weights,
    ),
    "the tail's other end": Mutant(
        TAIL,
        "the shape is fitted to the weights upside down",
        "weights[1:] - weights[0]",
        "(weights[-1] - weights[:-1]).flip(0)",
        power_law,
    ),
    "the tail's beginning": Mutant(
        TAIL,
        "the tail's weights are not taken from where it begins",
        "fit_pareto(weights[1:] - weights[0])",
        "fit_pareto(weights[1:])",
        power_law,
    ),
}
