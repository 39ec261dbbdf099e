r"""The unordered set estimator: K different configurations, drawn without replacement.

A set :math:`S = \{s_1, \dots, s_K\}`, drawn without replacement, forgets its order; given
:math:`S`, its first element was :math:`s` with probability :math:`p(s) R(S, s)`, with the
leave-one-out ratio :math:`R`. Averaging a single-sample estimator over that,

.. math:: \mathbb{E}[f] = \mathbb{E}_S \Big[ \sum_{s \in S} p(s) R(S, s) f(s) \Big],
    \qquad R(S, s) = \frac{p^{D \setminus s}(S \setminus s)}{p(S)},

and so for the score function, :math:`p(s) R(S, s) \nabla \log p(s) (f(s) - B_s)`. The baseline is
built in: had :math:`s` come first, the rest of the set would be drawn without replacement from the
rest of the support, and the same theorem estimates :math:`\mathbb{E}[f]` by

.. math:: B_s = p(s) f(s) + \sum_{s' \in S \setminus s}
    p(s') R^{D \setminus s}(S \setminus s, s') f(s'),

which has the mean :math:`\mathbb{E}[f]` whatever :math:`s`.

**The probabilities** :math:`p(S)`, :math:`p^{D \setminus s}(S \setminus s)` and so on are sums
over the orders in which a subset :math:`T` of :math:`S` may have come after all the others of
:math:`S`:

.. math:: W(T) = \frac{1}{p(D \setminus S) + p(T)} \sum_{s \in T} p(s) W(T \setminus s),
    \qquad W(\emptyset) = 1,

:math:`2^K` terms for the K! orders. Nothing is subtracted: :math:`p(D \setminus S)` is a sum over
the configurations that were not drawn. Two normalizations follow from the recursion:
:math:`p(s) R(S, s)` sum to 1, and :math:`p(s') R^{D \setminus s}` to :math:`1 - p(s)`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.distributions.one_hot import gumbel_like
from vae.distributions.operations import base_of, describe, detach, support
from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.objectives import Average, Objective

__all__ = ["UnorderedSet"]

MAX_SAMPLES = 10
"""Largest K: the recursion runs over 2^K subsets."""


class UnorderedSet(Estimator):
    r"""Creates the unordered set policy gradient estimator with its built-in baseline.

    The bound is the unordered set estimate :math:`\sum_s p(s) R(S, s) f(s)`: unbiased, and a
    weighted mean of the K values, not their plain one. The parameters of the model get its
    gradient. For averages only: an importance-weighted bound is an expectation over independent
    samples. If K is the number of configurations, everything is exact.

    The authors' VAEs have 2 or 20 variables of 10 categories, a uniform prior, the closed-form KL,
    and K = 4 or 8. They draw by stochastic beam search; here all configurations are listed, at
    most ``MAX_SUPPORT`` of them: 10^2 but not 10^20.

    References:
        | Estimating Gradients for Discrete Random Variables by Sampling without Replacement (Kool,
        | van Hoof & Welling, 2020; https://arxiv.org/abs/2002.06043).
    """

    objectives = (Average,)
    min_samples = 2
    paper = "Kool et al. 2020"

    def supports(self, q: Distribution) -> bool:
        return base_of(q).has_enumerate_support

    def hint(self) -> str:
        return ", which has no finite support to draw from without replacement"

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        K, frozen = objective.num_samples, detach(q)
        values = support(frozen)  # (S, B, *event)
        if not K <= min(len(values), MAX_SAMPLES):
            raise ValueError(
                f"UnorderedSet draws at most {min(len(values), MAX_SAMPLES)} different samples of"
                f" {describe(q)}, got num_samples = {K}"
            )
        log_p = frozen.log_prob(values)  # (S, B)
        # the K largest of Gumbel-perturbed log-probabilities: a draw without replacement
        index = (log_p + gumbel_like(log_p, log_p.shape)).topk(K, 0).indices  # (K, B)
        z = values[index, torch.arange(index.shape[1], device=index.device)]  # (K, B, *event)
        rest = log_p.scatter(0, index, -torch.inf).logsumexp(0)  # (B,)
        first, second = leave_one_out_weights(log_p.gather(0, index), rest)
        fz = f(z, frozen)  # (K, B): the score of -log q has mean zero here as well
        value = fz.detach()
        signal = first * (value - (second * value).sum(1))
        return Estimate(attach((first * fz).sum(0), (signal * q.log_prob(z)).sum(0)))


def leave_one_out_weights(log_p: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    r"""The weights of the set's values in its estimate of E[f], and in that of each baseline.

    Arguments:
        log_p: The log-probabilities of the set, with shape (K, B).
        rest: The log-probability of everything else, with shape (B,).

    Returns:
        :math:`p(s) R(S, s)`, with shape (K, B), and :math:`p(s') R^{D \setminus s}(S \setminus s,
        s')`, or :math:`p(s)` where :math:`s' = s`, with shape (K, K, B): s, then s'.
    """
    K, device = len(log_p), log_p.device
    element = 1 << torch.arange(
        K, device=device
    )  # a subset is a number, an element one of its bits
    subset = torch.arange(2**K, device=device)[:, None]  # (2^K, 1)
    member = ((subset & element) > 0)[..., None]  # (2^K, K, 1)
    log_members = log_p.masked_fill(~member, -torch.inf)  # (2^K, K, B)
    mass = torch.logaddexp(log_members.logsumexp(1), rest)  # (2^K, B)
    log_w = torch.zeros_like(mass)
    for _ in range(K):  # after n rounds the subsets of up to n elements are right
        step = (log_members + log_w[subset & ~element]).logsumexp(1) - mass
        log_w = torch.cat([torch.zeros_like(step[:1]), step[1:]])
    lacking = (2**K - 1) & ~element  # (K,): the set without s
    first = (log_p + log_w[lacking]).softmax(0)
    own = torch.eye(K, dtype=torch.bool, device=device)[..., None]  # (K, K, 1)
    later = (log_p + log_w[lacking[:, None] & lacking]).masked_fill(own, -torch.inf)  # (K, K, B)
    second = later.softmax(1) * mass[lacking].exp()[:, None]  # mass: 1 - p(s)
    return first, torch.where(own, log_p.exp(), second)
