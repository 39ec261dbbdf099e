"""Mutants of log p(x) by quadrature."""

from __future__ import annotations

from types import ModuleType

import torch
from evaluator_mutation import Mutant
from known import linear_gaussian

from vae import VAE
from vae.models.latents.gamma import GammaLatent
from vae.models.likelihoods import Bernoulli
from vae.models.networks import MLPDecoder, MLPEncoder

MODULE = "vae.evaluation.quadrature"


def in_two_dimensions(module: ModuleType) -> float:
    """log p(x) of probabilistic PCA in two dimensions against its closed form, to 1e-4 nats"""
    vae = linear_gaussian(2, 6, 0.3, orthogonal=False)
    _, x = vae.draw(10)
    found = module.quadrature_log_likelihood(vae, x, most=2**16).log_likelihood
    return (found.double() - vae.log_p(x)).abs().max().item() / 1e-4


def far_away(module: ModuleType) -> float:
    """log p(x) where z is far from prior and q against its closed form, to 1e-3 nats"""
    vae = linear_gaussian(1, 6, 0.3)
    _, x = vae.draw(5)
    vae.set_affine(torch.zeros(1, 6), torch.zeros(1), torch.full((1,), 0.05))  # q knows nothing
    x = x + 20 * vae.weight.T.view(1, 1, 1, 6).float()
    found = module.quadrature_log_likelihood(vae, x, most=2**16).log_likelihood
    return (found.double() - vae.log_p(x)).abs().max().item() / 1e-3


def narrower_than_q(module: ModuleType) -> float:
    """log p(x) where q is ten times too wide against its closed form, to 1e-4 nats"""
    vae = linear_gaussian(1, 6, 0.1)
    _, x = vae.draw(5)
    vae.set_encoder(stretch=10.0)
    found = module.quadrature_log_likelihood(vae, x, most=2**16).log_likelihood
    return (found.double() - vae.log_p(x)).abs().max().item() / 1e-4


def of_positive_numbers(module: ModuleType) -> float:
    """log p(x) of an exponential z against the mean over its quantiles, to 1e-3 nats"""
    torch.manual_seed(0)
    latent = GammaLatent(6, 1)
    decoder = MLPDecoder(1, (1, 2, 3), hidden=[8])
    vae = VAE(MLPEncoder((1, 2, 3), [6]), latent, Bernoulli(decoder))
    x = torch.rand(4, 1, 2, 3).round()
    u = (torch.arange(20_000).double() + 0.5) / 20_000
    with torch.no_grad():
        log_p = vae.decode(-u.log().float()[:, None, None]).log_prob(x).double()
    expected = log_p.logsumexp(0) - torch.tensor(len(u)).log()
    found = module.quadrature_log_likelihood(vae, x, most=2**16).log_likelihood
    return (found.double() - expected).abs().max().item() / 1e-3


MUTANTS = {
    "Jacobian forgotten": Mutant(
        MODULE,
        "the density of z is taken for that of its logarithm",
        "weight = self.log_prior(z) + volume.nan_to_num(-torch.inf)",
        "weight = self.log_prior(z)",
        of_positive_numbers,
    ),
    "a step too wide": Mutant(
        MODULE,
        "with twice the nodes the sum is still multiplied by the old grid's step",
        "step.log().sum() - math.log(parts)",
        "step.log().sum()",
        in_two_dimensions,
    ),
    "old nodes forgotten": Mutant(
        MODULE,
        "after a refinement the new nodes alone are summed",
        "torch.logaddexp(total, integrand.sum(low + step * shift.to(low), step, sides))",
        "integrand.sum(low + step * shift.to(low), step, sides)",
        in_two_dimensions,
    ),
    "a grid that is not widened": Mutant(
        MODULE,
        "the grid ends where prior and q do, wherever the posterior is",
        "if not bool(open_ends.any()) or",
        "if True or",
        far_away,
    ),
    "a grid that is not halved": Mutant(
        MODULE,
        "the first grid is taken, though q says nothing about how narrow the posterior is",
        "(change > tolerance).any()",
        "(change > torch.inf).any()",
        narrower_than_q,
    ),
}
