r"""Sum and sample: the most probable configurations are summed over, the rest is sampled.

Let T be a set of configurations, :math:`Q = q(T)`, and :math:`v` a draw from q given that it is not
in T. Any estimate :math:`g(z)` of one sample gives way to

.. math:: \sum_{t \in T} q(t) \, g(t) + (1 - Q) \, g(v),

which is the mean of :math:`g(z)` given whether, and if so where, z falls into T: unbiased, and of a
variance that is lower by a factor of :math:`1 - Q` or more (Rao and Blackwell). Here :math:`g(z) =
(f(z) - b) \nabla \log q(z)`, with K draws of v in place of one, and a baseline :math:`b_k` that costs
nothing: the same estimate of :math:`\mathbb{E}[f]`, from T and the other draws; of a single draw the
mean of f over T. It does not depend on :math:`v_k`, and is the same in both parts of the sum, so that
its mean is :math:`b_k \, \mathbb{E}_q[\nabla \log q] = 0`.

**Independent variables.** T is a set of *joint* configurations: the most probable of all C^D. Those
of two groups of variables together are among the pairs of the most probable of each, so that
halving finds them without listing the support. A draw outside T is a walk that follows elements of T
for some variables, leaves all of them at one, and is free afterwards. The probability of leaving at
each place is a sum of those values of q that no element goes on with: nothing is subtracted, also
where Q is nearly 1.
"""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Size, Tensor
from torch.distributions import Bernoulli, Distribution

from vae.distributions.one_hot import OneHotCategorical, gumbel_like
from vae.distributions.operations import base_of, configurations, describe, detach, support
from vae.distributions.special import finite, one_hot
from vae.distributions.subsets import Subset
from vae.distributions.subsets import listed as listed_subsets
from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.objectives import Average, Objective
from vae.ranges import assert_at_least_one

__all__ = ["SumAndSample", "draw_outside", "most_probable"]

MAX_SUMMED = 100
"""The most configurations that are summed over: each is compared with each."""


@singledispatch
def categories(q: Distribution) -> Tensor:
    """The log-probability of each value of each variable, with shape (B, D, C); no gradient."""
    raise NotImplementedError(f"{describe(q)} has no independent variables of a few values")


@categories.register
def _(q: Bernoulli) -> Tensor:
    logits = finite(q.logits.detach())
    return torch.nn.functional.logsigmoid(torch.stack([-logits, logits], -1))


@categories.register
def _(q: OneHotCategorical) -> Tensor:
    return finite(q.logits.detach())


@categories.register
def _(q: Subset) -> Tensor:
    """A subset is one variable, and each set a value of it."""
    log_p = finite(detach(q).log_prob(support(q))).movedim(0, -1)
    return log_p.reshape(len(log_p), -1, log_p.shape[-1])


def values_at(q: Distribution, index: Tensor, log_p: Tensor) -> Tensor:
    """The values z of ``q``, (T, B, *event), by the numbers of the categories, (T, B, D)."""
    base = base_of(q)
    if isinstance(base, Subset):
        z = listed_subsets(base.n, base.k, log_p)[index]
        return z.reshape(*index.shape[:2], *q.event_shape)
    return index.to(log_p.dtype) if len(q.event_shape) == 1 else one_hot(index, log_p)


def most_probable(log_p: Tensor, count: int) -> Tensor:
    """The most probable joint configurations of independent variables, by index: (T, B, D).

    Arguments:
        log_p: Log-probabilities, finite, with shape (B, D, C).
        count: T, not more than there are configurations.
    """
    B, D, C = log_p.shape
    score, value = log_p.topk(min(count, C), -1)  # (B, D, t)
    # up to a power of two, variables of one possible value
    extra = score.new_full((B, (1 << (D - 1).bit_length()) - D, score.shape[-1]), -torch.inf)
    extra[..., 0] = 0
    score = torch.cat([score, extra], 1)
    value = torch.cat([value, torch.zeros_like(extra, dtype=value.dtype)], 1).unsqueeze(-1)
    while score.shape[1] > 1:  # of each two groups of variables: (B, groups, t, variables)
        joint = score[:, ::2].unsqueeze(-1) + score[:, 1::2].unsqueeze(-2)
        t, size = joint.shape[-1], value.shape[-1]
        score, index = joint.flatten(2).topk(min(count, t * t), -1)
        place = index.unsqueeze(-1).expand(*index.shape, size)
        left = value[:, ::2].gather(2, place // t)
        value = torch.cat([left, value[:, 1::2].gather(2, place % t)], -1)
    return value[:, 0, :, :D].transpose(0, 1)


def draw_outside(log_p: Tensor, listed: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Draws from independent variables, given that they are none of the listed configurations.

    Arguments:
        log_p: Log-probabilities, finite, with shape (B, D, C).
        listed: Different configurations, by index: (T, B, D).
        count: K.

    Returns:
        Draws, by index, (K, B, D); and the log-probability that q gives to all that is not listed,
        with shape (B,).
    """
    T, B, D = listed.shape
    vertex = one_hot(listed, log_p)  # (T, B, D, C)
    alike = (listed[:, None] == listed).to(log_p.dtype).cumprod(-1)
    alike = torch.cat([torch.ones_like(alike[..., :1]), alike[..., :-1]], -1)  # (T, T, B, D)
    # at each place of the walk: the values with which a listed configuration goes on
    onward = torch.einsum("stbd,tbdc->sbdc", alike, vertex) > 0
    leave = log_p.masked_fill(onward, -torch.inf).logsumexp(-1)  # (T, B, D)
    step = (vertex * log_p).sum(-1)
    place = leave + step.cumsum(-1) - step
    earlier = torch.ones(T, T, device=listed.device).tril(-1)[..., None, None]
    shared = (alike * earlier).sum(1) > 0  # the place of an earlier one too
    place = place.masked_fill(shared, -torch.inf).movedim(0, 1).flatten(1)  # (B, T D)
    index = (place + gumbel_like(place, Size([count, *place.shape]))).argmax(-1)  # (K, B)
    follows, leaves = (index // D)[..., None], (index % D)[..., None]  # (K, B, 1)
    d = torch.arange(D, device=listed.device)
    batch = torch.arange(B, device=listed.device)
    barred = onward[follows.squeeze(-1), batch] & (d == leaves).unsqueeze(-1)  # (K, B, D, C)
    allowed = log_p.masked_fill(barred, -torch.inf)
    free = (allowed + gumbel_like(allowed, allowed.shape)).argmax(-1)
    walk = listed[follows.squeeze(-1), batch]  # (K, B, D)
    return torch.where(d < leaves, walk, free), place.logsumexp(-1)


class SumAndSample(Estimator):
    r"""Creates the sum-and-sample estimator: the score function, Rao-Blackwellised.

    f is evaluated at T = ``summed`` configurations, the most probable ones of *all variables
    together*, and at the K samples of the bound, which are drawn from the rest. The bound,
    that is :math:`\sum_t q(t) f(t) + (1 - Q) \, \overline{f(v)}`, gives the parameters of the model
    its gradient. For averages only.

    The gain is that of Q: large for few variables or for a posterior that is sharp, none for many
    variables that are undecided. The authors' variables are single ones of many categories.

    References:
        | Rao-Blackwellized Stochastic Gradients for Discrete Distributions (Liu et al., 2019;
        | https://arxiv.org/abs/1810.04777).

    Arguments:
        summed: T, at most ``MAX_SUMMED``, and less than the number of configurations.
    """

    families = (Bernoulli, OneHotCategorical, Subset)
    objectives = (Average,)
    paper = "Liu et al. 2019"

    def __init__(self, summed: int = 3) -> None:
        super().__init__()
        assert_at_least_one("summed", summed)
        if summed > MAX_SUMMED:
            raise ValueError(f"summed must be at most {MAX_SUMMED}, got {summed}")
        self.summed = summed

    def cost(self, K: int, D: int, C: int, family: type[Distribution] = Distribution) -> int:
        return K + self.summed

    def check(self, q: Distribution, objective: Objective) -> None:
        super().check(q, objective)
        if not self.summed < configurations(q):
            raise ValueError(
                f"{self.extra_name()} leaves nothing to sample: {describe(q)} has"
                f" {configurations(q)} configurations, and summed is {self.summed}: use enumerate,"
                " which is exact"
            )

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        K, T, frozen = objective.num_samples, self.summed, detach(q)
        log_p = categories(base_of(q))  # (B, D, C)
        listed = most_probable(log_p, T)
        drawn, log_rest = draw_outside(log_p, listed, K)
        index = torch.cat([listed, drawn])  # (T + K, B, D)
        z = values_at(q, index, log_p)
        fz = f(z, frozen)  # (T + K, B): the score of -log q has mean zero here as well
        rest = log_rest.exp().to(fz.dtype)
        weight = frozen.log_prob(z[:T]).exp()  # (T, B)
        nothing = torch.cat([weight == 0, (rest == 0).expand(K, -1)])
        summed, sampled = fz.masked_fill(nothing, 0).split([T, K])  # 0 log 0 = 0
        part = (weight * summed).sum(0)
        with torch.no_grad():
            if K > 1:
                baseline = part + rest * (sampled.sum(0) - sampled) / (K - 1)  # (K, B)
            else:
                baseline = (part / weight.sum(0).clamp_min(torch.finfo(part.dtype).tiny))[None]
            signal = torch.cat(
                [weight * (summed - baseline.mean(0)), rest * (sampled - baseline) / K]
            )
        bound = part + rest * sampled.mean(0)
        return Estimate(attach(bound, (signal * q.log_prob(z)).sum(0)))
