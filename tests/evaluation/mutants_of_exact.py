"""Mutants of log p(x) by enumeration."""

from __future__ import annotations

from types import ModuleType

from evaluator_mutation import Mutant
from known import Enumerated, small_one_hot


def enumeration(module: ModuleType) -> float:
    """log p(x) of 3 x 3 categories against a sum by hand, to 1e-4 nats"""
    vae = small_one_hot()
    truth = Enumerated(vae)
    x = truth.images[::9]
    error = module.exact_log_likelihood(vae, x, chunk=5).double() - truth.log_p(x)
    return error.abs().max().item() / 1e-4


MUTANTS = {
    "a block skipped": Mutant(
        "vae.evaluation.exact",
        "the last, incomplete block of configurations is left out",
        "range(0, size, chunk)",
        "range(0, size - size % chunk, chunk)",
        enumeration,
    ),
    "prior forgotten": Mutant(
        "vae.evaluation.exact",
        "the prior is taken as uniform, though it is learned",
        "double(prior.log_prob(z))[:, None]",
        "(0 * double(prior.log_prob(z)) - __import__('math').log(size))[:, None]",
        enumeration,
    ),
    "largest term": Mutant(
        "vae.evaluation.exact",
        "the largest block stands for the sum of all",
        "torch.logaddexp(total, log_joint.logsumexp(0))",
        "torch.maximum(total, log_joint.logsumexp(0))",
        enumeration,
    ),
}
