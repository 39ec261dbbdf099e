r"""The best q of the family for each image, whatever the encoder says.

.. math:: q^* = \arg\max_q \; \mathbb{E}_q[\log p(x, z) - \log q(z)]

over the family's parameters, without a constraint: a scale by its logarithm, and so on, by
``arg_constraints``. What the encoder does not decide, a fixed number of degrees of freedom, stays.

References:
    | Inference Suboptimality in Variational Autoencoders (Cremer, Li & Duvenaud, 2018), section 4.1
    | (https://arxiv.org/abs/1801.03558).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Transform, transform_to

from vae.devices import asynchronous, double
from vae.distributions.chain import Chain
from vae.distributions.operations import base_of, configurations, describe, parameters, rebuild
from vae.estimators import RLOO, Enumerate, Estimator, StickingTheLanding
from vae.models.bound import bound
from vae.models.log_likelihood import CHUNKS
from vae.models.vae import VAE
from vae.objectives import ELBO

__all__ = ["Best", "Scores", "best_posterior", "free_parameters", "score"]


SAMPLES = {True: 8, False: 32}
"""Of each image in a step by default, with a pathwise gradient and with a score function's, which is
noisier: with 8 samples, 20 variables of 10 categories stay 0.3 nats below what they reach with 32."""

MOST_OFF, SMALL, WIDEST = 8, 0.02, 10.0
"""Standard errors, beyond these nats, by which the mean of -log q(z) may miss q's entropy; and the
largest standard error, in nats: that of 200 samples of 1,000 Gaussian variables is below 2."""

MOST_ENUMERATED = 64
"""The most configurations over which the gradient is summed; of more, it is sampled."""


class Best(NamedTuple):
    """The best q that was found.

    Attributes:
        q: With batch shape (B,).
        rising: By how much the second half of the steps raised its ELBO, in nats, (B,).
        moved: Which images have another q than the encoder's, (B,).
    """

    q: Distribution
    rising: Tensor
    moved: Tensor


class Scores(NamedTuple):
    """What fresh samples say of a q, in nats, float64 (B,).

    Attributes:
        elbo: The mean of the log-weights.
        log_mean: The logarithm of the weights' mean, a tighter lower bound on log p(x).
        variance: Of the ELBO, that of a mean over samples.
        off: By how many standard errors the mean of -log q(z) misses the entropy of q: more than
            noise where log q(z) has lost its digits. 0 where a family has no entropy.
    """

    elbo: Tensor
    log_mean: Tensor
    variance: Tensor
    off: Tensor


def free_parameters(q: Distribution) -> dict[str, Transform]:
    """The parameters that a family can be optimised over, each with its map from any numbers.

    Parameters that carry no gradient are not the encoder's, and left out, if some do.

    Raises:
        NotImplementedError: If the family does not name its parameters.
    """
    if isinstance(base_of(q), Chain):
        raise NotImplementedError(
            f"the best {describe(q)} for each image would have networks of its own for each"
        )
    try:
        named, constraints = parameters(q), base_of(q).arg_constraints
    except (NotImplementedError, AttributeError):  # a family of one's own that says nothing
        named, constraints = {}, {}
    decided = {name for name, value in named.items() if value.requires_grad} or set(named)
    found = {}
    for name in named:
        if name in decided and name in constraints:
            try:
                found[name] = transform_to(constraints[name])
            except NotImplementedError:  # a number of trials
                continue
    if not found:
        raise NotImplementedError(
            f"{describe(q)} names no parameters to optimise (arg_constraints)"
        )
    return found


def best_posterior(
    vae: VAE,
    x: Tensor,
    steps: int = 500,
    num_samples: int | None = None,
    lr: float = 0.1,
    from_prior: bool = True,
) -> Best:
    """Optimises q of each image, by Adam with a learning rate that falls to zero, twice.

    The gradient is exact where z has few values, else pathwise where there is ``rsample``, else by
    the score function with a leave-one-out baseline. Of the q found from the encoder's, of that
    found from the prior, and of the encoder's own, each image has the best by samples of its own.
    Whether the steps were enough is seen by what the second half of them added.

    Arguments:
        vae: The model, with hard latents.
        x: Images ``(B, *image)``.
        steps: Of Adam.
        num_samples: Of each image in a step; by default :data:`SAMPLES`.
        lr: The first learning rate.
        from_prior: Whether to start from the prior's parameters too, where it is of q's family.

    Raises:
        NotImplementedError: If the family does not name its parameters.
    """
    with torch.enable_grad():
        q = vae.posterior(x)
    num_samples = SAMPLES[q.has_rsample] if num_samples is None else num_samples
    maps = free_parameters(q)
    first = {name: value.detach() for name, value in parameters(q).items()}
    starts = [first]
    prior = vae.prior()
    if from_prior and type(base_of(prior)) is type(base_of(q)):
        given = parameters(prior)
        starts.append(first | {name: given[name].detach().expand_as(first[name]) for name in maps})
    candidates, found = [first], [score(vae, x, q, 200).elbo]
    for rate in (lr, lr / 10):
        sound = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        for start in starts:
            for c in _climb(vae, x, q, start, maps, steps, num_samples, rate):
                scored = score(vae, x, rebuild(q, **c), 200)
                fine = scored.off <= MOST_OFF
                candidates.append(c)
                found.append(scored.elbo.masked_fill(~fine, -math.inf))
            sound |= fine  # of the last
        if sound.all():
            break  # else a covariance became singular, with densities of any size, and Adam found it
    scores = torch.stack(found)
    chosen = scores.nan_to_num(-math.inf).argmax(0)  # (B,)
    halves, ends = scores[1::2], scores[2::2]  # a row each start
    rising = _choose(ends.argmax(0), list((ends - halves).nan_to_num(0.0, 0.0, 0.0)))
    best = {name: _choose(chosen, [c[name] for c in candidates]) for name in first}
    return Best(rebuild(q, **best), rising, chosen > 0)


def _choose(chosen: Tensor, values: Sequence[Tensor]) -> Tensor:
    """Of each image the value of its own number."""
    index = torch.arange(len(chosen), device=chosen.device)
    return torch.stack(list(values))[chosen, index]


def _estimator(q: Distribution) -> Estimator:
    try:
        if configurations(q) <= MOST_ENUMERATED:
            return Enumerate()
    except NotImplementedError:
        pass
    return StickingTheLanding() if q.has_rsample else RLOO()


def _climb(
    vae: VAE,
    x: Tensor,
    q: Distribution,
    start: dict[str, Tensor],
    maps: dict[str, Transform],
    steps: int,
    num_samples: int,
    lr: float,
) -> list[dict[str, Tensor]]:
    """The parameters after half of the steps, and after all."""
    leaves = {
        name: transform.inv(start[name]).clone().requires_grad_()
        for name, transform in maps.items()
    }
    optimizer = torch.optim.Adam(leaves.values(), lr=lr)
    estimator, objective = _estimator(q), ELBO(max(2, num_samples), analytic_kl=False)
    half, found = steps // 2, []

    def present() -> dict[str, Tensor]:
        return start | {name: transform(leaves[name]) for name, transform in maps.items()}

    for first, last in ((0, half), (half, steps)):
        for step in range(first, last):
            optimizer.param_groups[0]["lr"] = lr * (last - step) / (last - first)
            with torch.enable_grad():
                value = bound(vae, objective, estimator, x, rebuild(q, **present())).bound  # (B,)
                gradients = torch.autograd.grad(value.sum(), list(leaves.values()))
            for leaf, gradient in zip(leaves.values(), gradients, strict=True):
                leaf.grad = gradient.neg().nan_to_num(0.0, 0.0, 0.0)
            optimizer.step()
        found.append({name: value.detach().clone() for name, value in present().items()})
    return found


@torch.no_grad()
def score(vae: VAE, x: Tensor, q: Distribution, num_samples: int = 1000) -> Scores:
    """The ELBO of any q, and the importance-weighted bound, from the same samples.

    Arguments:
        vae: The model, with hard latents.
        x: Images ``(B, *image)``.
        q: With batch shape (B,).
        num_samples: K of each image.
    """
    prior, at_once = vae.prior(), max(1, CHUNKS[asynchronous(x.device)] // len(x))
    total, square = double(x.new_zeros(2, len(x)))
    largest, surprise, spread = total - math.inf, total.clone(), total.clone()
    for first in range(0, num_samples, at_once):
        z = q.sample(Size([min(at_once, num_samples - first)]))
        log_q = q.log_prob(z)
        log_weight = double(vae.decode(z).log_prob(x) + prior.log_prob(z) - log_q)
        surprise, spread = surprise - double(log_q).sum(0), spread + double(log_q).square().sum(0)
        total, square = total + log_weight.sum(0), square + log_weight.square().sum(0)
        largest = torch.logaddexp(largest, log_weight.logsumexp(0))
    mean = total / num_samples
    variance = (square / num_samples - mean.square()).clamp_min(0) / max(1, num_samples - 1)
    surprise, spread = surprise / num_samples, spread / num_samples
    error = ((spread - surprise.square()).clamp_min(0) / num_samples).sqrt()
    try:
        off = (surprise - double(q.entropy())).abs() / (error + SMALL)
    except NotImplementedError:
        off = torch.zeros_like(mean)
    off = off.nan_to_num(math.inf, math.inf, math.inf).masked_fill(error > WIDEST, math.inf)
    return Scores(mean, largest - math.log(num_samples), variance, off)
