r"""Double control variates: leave-one-out, with a second control variate from the gradient of f.

The leave-one-out estimator (RLOO) weighs :math:`\nabla \log q(z_k)` by
:math:`f_k - \frac{1}{K-1} \sum_{j \neq k} f_j`. Replace each f in it, both the sample's own and
those in its baseline, by

.. math:: \tilde f_k = f_k - \alpha \, c_k, \qquad c_k = \Big\langle \frac{1}{K-1} \sum_{j \neq k} \nabla f(z_j), \; z_k - \bar z \Big\rangle

a Taylor term with the slope of the *other* samples, and add back the gradient of its expectation,
:math:`\alpha \langle \frac1K \sum_k \nabla f(z_k), \nabla_\phi \bar z \rangle`. Unbiased for every
:math:`\alpha`: in the sample's own term the slope does not depend on :math:`z_k`; in the baseline,
:math:`c_j` has mean zero over :math:`z_j` whatever the rest, :math:`z_k` included.

This is the paper's estimator with one coefficient for both control variates (its
:math:`\alpha`, with the opposite sign), for any K, trained to minimise the variance; no extra
evaluations of f. We extend it to other reductions: :math:`c_k` is weighted by the slope of the
objective at the baseline, :math:`h_k'(b_k)`, which depends on the other samples alone, so that
both arguments hold. At :math:`\alpha = 0` it is RLOO, or VIMCO.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution
from torch.func import vjp

from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import logits_of, with_logits
from vae.distributions.special import change
from vae.estimators.base import Estimate, Estimator, Integrand, attach
from vae.objectives import Average, Objective
from vae.ranges import assert_finite

__all__ = ["DoubleControlVariates"]


def _others(x: Tensor) -> Tensor:
    """The mean over the other samples: dimension 0, shape unchanged."""
    return (x.sum(0) - x) / (len(x) - 1)


class DoubleControlVariates(Estimator):
    r"""Creates the double-control-variate estimator of RLOO and VIMCO.

    .. math:: g = g_{\mathrm{RLOO}} - \alpha \, g_{\mathrm{CV}}, \qquad \mathbb{E}[g_{\mathrm{CV}}] = 0

    The auxiliary loss is the mean of :math:`|g|^2` over images, of the whole gradient in the
    logits of q, as a function of :math:`\alpha` alone; the mean of g does not depend on it, so
    that this trains the variance. The authors' VAEs have K = 2 to 4, a uniform prior, and a
    coefficient of each control variate.

    References:
        | Double Control Variates for Gradient Estimation in Discrete Latent Variable Models
        | (Titsias & Shi, 2022; https://arxiv.org/abs/2111.05300).

    Arguments:
        alpha: The coefficient's start: 0, the paper's, is RLOO; 1 leaves no variance of a linear
            f.
    """

    families = (Bernoulli, OneHotCategorical)
    needs_gradient = True
    min_samples = 2
    paper = "Titsias & Shi 2022"

    def __init__(self, alpha: float = 0.5) -> None:
        super().__init__()
        assert_finite("alpha", alpha)
        self.alpha = nn.Parameter(torch.tensor(float(alpha)))

    def check(self, q: Distribution, objective: Objective) -> None:
        super().check(q, objective)
        if not objective.smooth:  # of two samples the baseline is where the slope jumps
            raise NotImplementedError(
                f"{self.extra_name()} is not defined for {type(objective).__name__}, whose slope it"
                " would take where there is none"
            )

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        z, logits = q.sample(torch.Size([objective.num_samples])), logits_of(q)
        # One copy of the logits for each sample: its gradient is that of f_k through log q(z_k).
        copies = logits.detach().expand(len(z), *logits.shape)
        fz, pull_f = vjp(lambda z, logits: f(z, with_logits(q, logits)), z, copies)
        bound, value = objective.reduce(fz), fz.detach()  # the model's gradient stays in it

        def terms(logits: Tensor) -> tuple[Tensor, Tensor]:
            p = with_logits(q, logits)
            return p.log_prob(z), p.mean

        with torch.no_grad():
            slope, direct = pull_f(torch.ones_like(value))  # (K, B, *event) each
            h, pull = vjp(lambda b: objective.share(value, b), _others(value))
            (weight,) = pull(torch.ones_like(h))  # h_k'(b_k), (K, B): depends on the others
            weight = weight.reshape(*h.shape, *[1] * len(q.event_shape))
            (_, mean), pull = vjp(terms, logits.detach())
            taylor = weight * _others(slope)  # (K, B, *event)
            c = (taylor * (z - mean)).reshape(*h.shape, -1).sum(-1)  # (K, B)
            signal = objective.signal(value, _others(value))
            (score,) = pull((signal, torch.zeros_like(mean)))  # (B, *event)
            (control,) = pull((c - _others(c), -taylor.sum(0)))
            if not isinstance(objective, Average):  # else the score of -log q has mean zero
                v = objective.weights(value).reshape(weight.shape)
                score = score + (v * direct).sum(0)

        g = score - self.alpha * control  # a function of alpha
        second_moment = g.square().sum() / bound.numel()
        surrogate = (g.detach() * change(logits)).reshape(*bound.shape, -1).sum(-1)  # (B,)
        return Estimate(attach(bound, surrogate), second_moment)
