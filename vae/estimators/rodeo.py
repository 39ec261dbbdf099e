r"""RODEO: leave-one-out, with control variates from a discrete Stein operator.

A Gibbs step leaves q as it is, so that the *Stein operator* of a step in each of D independent
variables,

.. math:: (A h)(x) = \sum_d \Big(\sum_c q_d(c) \, h(x^{d \to c}) - h(x)\Big), \qquad
    \mathbb{E}_q[(A h)(x)] = 0,

makes a control variate of *any* function h. What h costs at the neighbours of x is all there is to
pay: here it is a surrogate for f that knows f and its gradient at the *other* samples only,

.. math:: h_k(y) = \frac{1}{K - 1} \sum_{j \ne k} H\big(v_j(y), f_j\big), \qquad
    v_j(y) = \langle \nabla f(x_j), \, y - \bar x \rangle,

with a small network H, and no further f. There are two of them, :math:`h` for the baseline and
:math:`h'` for the sample's own term, with scores :math:`s = \nabla \log q`:

.. math:: g = \frac1K \sum_k \Big[\Big(f_k - \frac{1}{K - 1} \sum_{j \ne k}
    \big(f_j + (A h_j)(x_j)\big)\Big) s(x_k) + (A \, h'_k s)(x_k)\Big]

Unbiased for every H: in the baseline, :math:`(A h_j)(x_j)` has mean zero over :math:`x_j` whatever
the rest, :math:`x_k` included; in the own term :math:`h'_k` does not depend on :math:`x_k`. Only the
variable that is stepped in changes its own score, so that the last term needs nothing else:

.. math:: (A \, h s)_d(x) = s_d(x) \Big(\sum_{e \ne d} a_e(x) - h(x)\Big)
    + \sum_c q_d(c) \big(h(x^{d \to c}) - h(x)\big) s_d(c), \qquad
    a_e(x) = \sum_c q_e(c) \big(h(x^{e \to c}) - h(x)\big)
"""

from __future__ import annotations

import torch
from torch import Size, Tensor, nn
from torch.distributions import Bernoulli, Distribution
from torch.func import vjp

from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import base_of, detach, logits_of
from vae.distributions.special import change
from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.estimators.local_expectation import other_values
from vae.objectives import Average, Objective
from vae.ranges import assert_at_least_one

__all__ = ["RODEO"]


class RODEO(Estimator):
    r"""Creates the estimator "REINFORCE leave-one-out with discrete Stein operators".

    The surrogates are :math:`H(v, f) = \alpha v + r(v, f)`, with a coefficient and an output of the
    network r of each, and start where r is zero: at that of the baseline, :math:`\alpha = 1`, a
    linear f leaves its baseline no noise; at :math:`\alpha = \tfrac12` of the own term none of the
    other variables' noise is left in a variable's gradient. The auxiliary loss is the mean over
    images of :math:`|g|^2`, of the whole gradient in the logits of q, as a function of H alone.

    The authors have K = 2 to 4, binary variables, a uniform prior, no network for K = 2, and one of
    100 hidden units else; the operator is the mean over d, not the sum. Here H sees K (K - 1) D (C -
    1) points an image, of two numbers each.

    References:
        | Gradient Estimation with Discrete Stein Operators (Shi et al., 2022;
        | https://arxiv.org/abs/2202.09497).

    Arguments:
        hidden: The width of the network's hidden layer.
    """

    families = (Bernoulli, OneHotCategorical)
    objectives = (Average,)
    needs_gradient = True
    min_samples = 2
    paper = "Shi et al. 2022"

    def __init__(self, hidden: int = 10) -> None:
        super().__init__()
        assert_at_least_one("hidden", hidden)
        self.alpha = nn.Parameter(torch.tensor([1.0, 0.5]))
        last = nn.Linear(hidden, 2)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), last)

    def surrogates(self, v: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
        """H of the baseline and of the own term: of numbers (*) to (*) each."""
        first, second = self.net(torch.stack([v, f.expand_as(v)], -1).asinh()).unbind(-1)
        return self.alpha[0] * v + first, self.alpha[1] * v + second

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        x, frozen, logits = q.sample(Size([objective.num_samples])), detach(q), logits_of(q)
        K, event = len(x), base_of(q).event_shape
        fx, pull = vjp(lambda x: f(x, frozen), x)
        bound, value = objective.reduce(fx), fx.detach()  # the model's gradient stays in it
        with torch.no_grad():
            (slope,) = pull(torch.ones_like(value))  # (K, B, *event)
            values, probs = other_values(base_of(frozen), x)
            mean = frozen.mean

            def split(z: Tensor) -> Tensor:  # (*, *event) to (*, D, C), C = 1 if binary
                return z.reshape(*z.shape[: z.dim() - len(q.event_shape)], -1, event.numel())

            x, values, slope, mean = (split(t) for t in (x, values, slope, mean))
            probs = probs.reshape(values.shape[:-1])  # (J, K, B, D) of J = C - 1 other values
            here = (slope * (x[:, None] - mean)).flatten(3).sum(-1)  # (k, j, B): v_j(x_k)
            move = (slope * (values - x)[:, :, None]).sum(-1)  # (J, k, j, B, D)
            score, scores = x - mean, values - mean  # s at x_k and at its neighbours
            pairs = ~torch.eye(K, dtype=torch.bool, device=x.device)
            pairs = pairs.to(value.dtype) / (K - 1)

        def others(h: Tensor, dim: int) -> Tensor:  # the mean over j, which is not k
            return (h * pairs.view(K, K, *[1] * (h.dim() - dim - 2))).sum(dim + 1)

        level = value[None, :, :]  # f_j
        at = self.surrogates(here, level)
        near = self.surrogates(here.unsqueeze(-1) + move, level.unsqueeze(-1))
        h = others(at[1], 0)[..., None, None]  # (K, B, 1, 1)
        gains = [others(n - a.unsqueeze(-1), 1) * probs for n, a in zip(near, at, strict=True)]
        baseline = value + gains[0].sum((0, 3))  # f + A h, (K, B)
        signal = value - (baseline.sum(0) - baseline) / (K - 1)
        a = gains[1].sum(0).unsqueeze(-1)  # (K, B, D, 1)
        own = score * (a.sum(2, keepdim=True) - a - h) + (gains[1].unsqueeze(-1) * scores).sum(0)
        g = (signal[..., None, None] * score + own).mean(0).reshape(logits.shape)
        second_moment = g.square().sum() / bound.numel()
        surrogate = (g.detach() * change(logits)).reshape(*bound.shape, -1).sum(-1)  # (B,)
        return Estimate(attach(bound, surrogate), second_moment)
