"""Mutants of what is said about the latent code: information, activity, KL, use of categories."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from asked import asked
from evaluator_mutation import Mutant
from known import linear_gaussian
from own_latents import SHAPE, BareLatent, toy
from torch.distributions import Independent, kl_divergence

from vae.distributions.von_mises import VonMises
from vae.evaluation.units import unit_means
from vae.models.latents.gaussian import DiagonalGaussian

ERRORS = 5
"""Standard errors that are allowed."""


def bracket(module: ModuleType) -> float:
    """I(x; z) of a linear-Gaussian model against both bounds, of 1,000 images, to 5 standard errors"""
    model = linear_gaussian(2, 6)
    _, x = model.draw(1000)
    found = asked(module.Codes(), model, x).numbers
    names = ("mutual_information", "mutual_information_upper")
    truth = float(model.mutual_information())
    return max(abs(found[n].value - truth) / (ERRORS * found[n].se) for n in names)


def ceiling(module: ModuleType) -> float:
    """I(x; z) of 20 images with codes apart against log 20, to 0.001 nats"""
    model = linear_gaussian(2, 6, scale=1e-3)
    _, x = model.draw(20)
    found = asked(module.Codes(), model, x).numbers["mutual_information"]
    return abs(found.value - math.log(20)) / 1e-3


def nothing(module: ModuleType) -> float:
    """Both bounds on I(x; z) against 0 where q is the same for 10 images, to 1e-5 nats"""
    model = linear_gaussian(2, 6)
    model.set_affine(torch.zeros(2, 6), torch.tensor([0.5, 0.0]), torch.tensor([0.5, 1.0]))
    _, x = model.draw(10)
    found = asked(module.Codes(), model, x).values
    bounds = module.information_bounds(found["own"], found["others"], 10)
    return max(bound.abs().max().item() for bound in bounds) / 1e-5


def left_out(module: ModuleType) -> float:
    """Densities of all images but one, in batches, against a table of all pairs, to 1e-4 nats"""
    model = linear_gaussian(2, 6)
    _, x = model.draw(20)
    found = asked(module.Codes(), model, x, batch_size=8)
    z, first = [], 0
    for part in x.split(8):
        with module.fixed_noise(x.device, module.mix_seeds(0, first)):
            z.append(model.posterior(part).sample())
        first += len(part)
    with torch.no_grad():
        table = model.posterior(x).log_prob(torch.cat(z)[:, None]).double()
    table = table.masked_fill(torch.eye(20).bool(), -math.inf)
    return (table.logsumexp(1) - found.values["others"]).abs().max().item() / 1e-4


def prior_hole(module: ModuleType) -> float:
    """KL(q(z) || p(z)) from below, of six Gaussian latents, against the exact one, to 5 standard errors"""
    model = linear_gaussian(6, 8, scale=0.1)
    model.set_affine(model.gain, torch.ones(6) * 1.5**0.5, model.spread)
    _, x = model.draw(400)
    found = asked(module.Codes(), model, x).numbers["marginal_kl_lower"]
    return (found.value - float(model.marginal_kl())) / (ERRORS * found.se)


def pairs_of_normals(module: ModuleType) -> float:
    """Densities of all pairs of a Gaussian posterior against log_prob, to 1e-3 nats"""
    q = toy(DiagonalGaussian, 3).posterior(torch.rand(9, *SHAPE))
    with torch.no_grad():
        z = q.sample()
        error = module.log_densities(q)(z) - q.log_prob(z[:, None])
    return error.abs().max().item() / 1e-3


def variance_of_means(module: ModuleType) -> float:
    """Activity in a linear-Gaussian model against the exact variances, to 5 standard errors"""
    model = linear_gaussian(2, 6)
    model.set_affine(model.gain * torch.tensor([[1.0], [0.1]]), model.shift, model.spread)
    _, x = model.draw(2000)
    truth = (model.gain @ model.evidence().covariance_matrix @ model.gain.T).diagonal()
    found = module.activity(unit_means(model.posterior(x)).value)
    return ((found - truth) / (ERRORS * truth * math.sqrt(2 / 2000))).abs().max().item()


def noise_of_means(module: ModuleType) -> float:
    """Activity of a q that is the same for all images, by samples, against 0, to 0.005"""
    q = toy(BareLatent, 3).posterior(torch.zeros(2000, *SHAPE))
    torch.manual_seed(0)
    means = module.unit_means(q, num_samples=8)
    return module.activity(means.value, means.error).abs().max().item() / 0.005


def uniform_angles(module: ModuleType) -> float:
    """Activity of angles that are uniform, whatever their location, against 0, to 0.005"""
    loc = torch.linspace(-3, 3, 100)[:, None]
    q = Independent(VonMises(loc, torch.full_like(loc, 1e-3)), 1)
    return module.activity(module.unit_means(q).value).abs().max().item() / 0.005


def kl_of_units(module: ModuleType) -> float:
    """The KL of each Gaussian variable against its formula, to 1e-4 nats"""
    vae = toy(DiagonalGaussian, 3)
    q = vae.posterior(torch.rand(9, *SHAPE))
    loc, scale = q.base_dist.loc.double(), q.base_dist.scale.double()
    truth = (loc.square() + scale.square() - 1) / 2 - scale.log()
    assert torch.allclose(truth.sum(1).float(), kl_divergence(q, vae.prior()), atol=1e-4)
    return (module.unit_kl(vae, q).value - truth).abs().max().item() / 1e-4


def shares(module: ModuleType) -> float:
    """Perplexity of even shares of 5 categories against 5, and of a single one against 1, to 1e-6"""
    usage = torch.tensor([[0.2] * 5, [1.0, 0, 0, 0, 0]]).double()
    return (module.perplexity(usage) - torch.tensor([5.0, 1.0])).abs().max().item() / 1e-6


def use(module: ModuleType) -> float:
    """Shares of categories of 9 images, in batches, against the mean of their probabilities, to 1e-6"""
    from vae.models.latents.one_hot import OneHot

    vae = toy(OneHot, 3, 4)
    x = torch.rand(9, *SHAPE)
    truth = vae.posterior(x).base_dist.probs.mean(0)
    return (module.code_usage(vae, x.split(4)) - truth).abs().max().item() / 1e-6


INFORMATION = "vae.evaluation.mutual_information"
UNITS = "vae.evaluation.units"

MUTANTS = {
    "log N forgotten": Mutant(
        INFORMATION,
        "the aggregate posterior is the sum of the N posteriors, not their mean",
        "(torch.logaddexp(own, others) - math.log(count))",
        "torch.logaddexp(own, others)",
        bracket,
    ),
    "own term left out": Mutant(
        INFORMATION,
        "the aggregate posterior of N images lacks the one that z was drawn for",
        "(torch.logaddexp(own, others) - math.log(count))",
        "(others - math.log(count))",
        ceiling,
    ),
    "own term left in": Mutant(
        INFORMATION,
        "the upper bound's mixture holds the image that z was drawn for",
        "log_probs.masked_fill(own, -math.inf)",
        "log_probs",
        left_out,
    ),
    "another's term left out": Mutant(
        INFORMATION,
        "from the second batch on, the image that is left out is one of the first",
        "torch.arange(first, first + len(x))",
        "torch.arange(len(x))",
        left_out,
    ),
    "mean of N, not N - 1": Mutant(
        INFORMATION,
        "the upper bound divides N - 1 densities by N",
        "math.log(count - 1)",
        "math.log(count)",
        nothing,
    ),
    "own term left in, wider": Mutant(
        INFORMATION,
        "the mixture of wider posteriors holds the image that z was drawn for",
        "wide = log_sum_of_others(z, index, self._wide)",
        "wide = log_sum_of_others(z, index - 10**6, self._wide)",
        prior_hole,
    ),
    "a Jacobian forgotten (pairs)": Mutant(
        "vae.evaluation.densities",
        "the scale is missing from a Gaussian's normaliser",
        "- scale.log() - math.log",
        "- math.log",
        pairs_of_normals,
    ),
    "variance over the wrong axis": Mutant(
        UNITS,
        "activity is a variance over the units, not over images",
        "double(mean).var(0)",
        "double(mean).var(1, keepdim=True).mean(0)",
        variance_of_means,
    ),
    "noise taken for activity": Mutant(
        UNITS,
        "the Monte-Carlo noise of means counts as their variance over images",
        "variance - double(error).mean(0)",
        "variance",
        noise_of_means,
    ),
    "angles without their length": Mutant(
        UNITS,
        "an angle counts by its location, however uniform it is",
        "(1 - base.variance).expand_as(base.loc)",
        "torch.ones_like(base.loc)",
        uniform_angles,
    ),
    "KL the wrong way round": Mutant(
        UNITS,
        "KL(p || q) of each variable in place of KL(q || p)",
        "kl_divergence(q, p.expand(q.batch_shape))",
        "kl_divergence(p.expand(q.batch_shape), q)",
        kl_of_units,
    ),
    "perplexity with log2": Mutant(
        "vae.evaluation.usage",
        "exp is taken of an entropy in bits",
        "entr(double(probs)).sum(-1)",
        "entr(double(probs)).sum(-1) / 0.6931471805599453",
        shares,
    ),
    "mean of batches' means": Mutant(
        "vae.evaluation.usage",
        "a small last batch weighs as much as the others",
        "part = double(probs).sum(0)",
        "part = double(probs).mean(0) * 4",
        use,
    ),
}
