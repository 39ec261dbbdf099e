r"""The score function: weigh the gradient of the log-probability by how good the sample was.

.. math:: \nabla_\phi \mathbb{E}_{q_\phi}[R(f_1, \dots, f_K)] = \mathbb{E}\Big[\sum_k \big(R - h_k(b_k)\big) \nabla_\phi \log q_\phi(z_k)\Big]

It needs values of :math:`f` only, and holds for discrete and continuous families alike.
:math:`h_k(b_k)`, the objective with :math:`f_k` replaced by a baseline, does not depend on
:math:`z_k`, so that subtracting it leaves the mean alone. Under an average the signal is
:math:`(f_k - b_k) / K`: the mean over k of the one-sample estimator. The choice of baseline names
the method.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae.estimators.base import Estimate, Estimator, Integrand, Twin, attach, without_score
from vae.estimators.running import RunningMean, RunningScale
from vae.objectives import Average, LogMeanExp, Objective
from vae.ranges import assert_at_least_one
from vae.recorded import Recorded

__all__ = [
    "ArithmeticLeaveOneOut",
    "ArithmeticVIMCO",
    "Baseline",
    "Learned",
    "LeaveOneOut",
    "MovingAverage",
    "NoBaseline",
    "RLOO",
    "ScoreFunction",
    "VIMCO",
]


class Baseline(nn.Module, metaclass=Recorded):
    """What f_k is replaced by: ``(f, context) -> (b, loss)`` of the detached ``f`` (K, B).

    ``b_k`` must not depend on ``z_k``; None stands for no baseline at all. The loss trains the
    baseline's own parameters.
    """

    min_samples = 1
    paper = ""

    @abstractmethod
    def forward(self, f: Tensor, context: Tensor | None) -> tuple[Tensor | None, Tensor | float]:
        """The baseline (K, B) and its loss ()."""


class NoBaseline(Baseline):
    """REINFORCE without a baseline.

    The learning signal is the sample's own f under an average, else the whole bound.

    References:
        | Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement
        | Learning (Williams, 1992; https://doi.org/10.1007/BF00992696).
    """

    paper = "Williams 1992"

    def forward(self, f: Tensor, context: Tensor | None) -> tuple[Tensor | None, Tensor | float]:
        return None, 0.0


class MovingAverage(RunningMean, Baseline):
    """An exponential moving average of *earlier* values of f, over steps and images.

    See :mod:`vae.estimators.running`.

    Arguments:
        decay: The weight of the past.
    """

    paper = "Williams 1992"

    def __init__(self, decay: float = 0.99) -> None:
        super().__init__(decay)

    def forward(self, f: Tensor, context: Tensor | None) -> tuple[Tensor | None, Tensor | float]:
        previous = self.value()
        self.update(f.mean())
        return previous.to(f.dtype).expand_as(f), 0.0


class Learned(Baseline):
    """A network of the image, trained by regression on f: the baseline of NVIL.

    The authors' baseline is centred, and their signal divided by its standard deviation
    (``scale`` of :class:`ScoreFunction`); both are off by default. They put the current signals
    into the averages first; here these are of earlier steps, so that the gradient stays unbiased.

    References:
        | Neural Variational Inference and Learning in Belief Networks (Mnih & Gregor, 2014),
        | section 2.3 and algorithm 1 (https://arxiv.org/abs/1402.0030).

    Arguments:
        hidden: The width of the hidden layer; the input's width is taken from the first image
            seen.
        centre: Whether the running mean of what the network leaves of f is added to its output. It
            follows f within some steps, where the network takes thousands.
    """

    paper = "Mnih & Gregor 2014"

    def __init__(self, hidden: int = 100, centre: bool = False) -> None:
        super().__init__()
        assert_at_least_one("hidden", hidden)
        self.centre = RunningMean() if centre else None
        self.net = nn.Sequential(
            nn.Flatten(), nn.LazyLinear(hidden), nn.Tanh(), nn.Linear(hidden, 1)
        )

    def forward(self, f: Tensor, context: Tensor | None) -> tuple[Tensor | None, Tensor | float]:
        if context is None:
            raise ValueError("a learned baseline needs a context (the images), got none")
        b = self.net(context).squeeze(-1).expand_as(f)  # (K, B)
        if self.centre is not None:
            earlier = self.centre.value().to(f.dtype)
            self.centre.update((f - b.detach()).mean())
            b = b + earlier
        return b.detach(), (f - b).square().mean()


class LeaveOneOut(Baseline):
    """The mean of the other samples' f: RLOO under an average, else VIMCO.

    References:
        | On Using Control Variates with Stochastic Approximation for Variational Bayes (Salimans &
        | Knowles, 2014). https://arxiv.org/abs/1401.1022
        | Buy 4 REINFORCE Samples, Get a Baseline for Free! (Kool, van Hoof & Welling, 2019).
        | https://openreview.net/forum?id=r1lgTGL5DE
        | Variational Inference for Monte Carlo Objectives (Mnih & Rezende, 2016), equation 9
        | (https://arxiv.org/abs/1602.06725).
    """

    min_samples = 2
    paper = "RLOO: Salimans & Knowles 2014; Kool et al. 2019; VIMCO: Mnih & Rezende 2016"

    def forward(self, f: Tensor, context: Tensor | None) -> tuple[Tensor | None, Tensor | float]:
        return (f.sum(0) - f) / (f.shape[0] - 1), 0.0


class ArithmeticLeaveOneOut(Baseline):
    """The log of the mean of the other samples' weights e^f, in the place of the mean log-weight.

    References:
        | Variational Inference for Monte Carlo Objectives (Mnih & Rezende, 2016;
        | https://arxiv.org/abs/1602.06725).
    """

    min_samples = 2
    paper = "Mnih & Rezende 2016"

    def forward(self, f: Tensor, context: Tensor | None) -> tuple[Tensor | None, Tensor | float]:
        own = torch.eye(len(f), dtype=torch.bool, device=f.device).unsqueeze(-1)  # (K, K, 1)
        # where no other sample is possible, log 0 as a finite number
        others = f.clamp_min(torch.finfo(f.dtype).min).masked_fill(own, -math.inf)
        return others.logsumexp(1) - math.log(len(f) - 1), 0.0


class ScoreFunction(Estimator):
    """Creates the score-function estimator: REINFORCE, NVIL, RLOO or VIMCO by choice of baseline.

    References: see the baselines, and
        | Monte Carlo Gradient Estimation in Machine Learning (Mohamed et al., 2020), section 4
        | (https://arxiv.org/abs/1906.10652).

    Arguments:
        baseline: A module ``(f, context) -> (b, loss)`` of the detached ``f`` (K, B): ``b_k``
            must not depend on ``z_k``; None for no baseline. The loss trains the baseline's own
            parameters.
        scale: Whether the gradient of q is divided by the signal's standard deviation in earlier
            steps (:class:`~vae.estimators.running.RunningScale`).
    """

    def __init__(self, baseline: Baseline | None = None, scale: bool = False) -> None:
        super().__init__()
        self.baseline = NoBaseline() if baseline is None else baseline
        self.min_samples, self.paper = self.baseline.min_samples, self.baseline.paper
        self.scale = RunningScale() if scale else None
        self.bias = RunningScale.bias if scale else None

    def check(self, q: Distribution, objective: Objective) -> None:
        super().check(q, objective)
        if self.scale is not None:
            self.scale.check(self.extra_name(), objective)

    def extra_name(self) -> str:
        return f"ScoreFunction({type(self.baseline).__name__})"

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        z = q.sample(torch.Size([objective.num_samples]))  # (K, B, *event)
        if self.scale is not None:
            q = self.scale(q)
        fz = f(z, without_score(q, objective))  # (K, B)
        bound = objective.reduce(fz)
        alternative, loss = self.baseline(fz.detach(), context)
        signal = objective.signal(fz.detach(), alternative)
        if self.scale is not None:
            self.scale.observe(fz if alternative is None else fz - alternative)
        return Estimate(attach(bound, (signal * q.log_prob(z)).sum(0)), loss)


class RLOO(ScoreFunction):
    """Creates REINFORCE with the leave-one-out baseline.

    The name is Kool et al.'s, the baseline older: Salimans & Knowles have it, and Mnih & Rezende for
    their bound. With a Monte-Carlo KL in f it is VarGrad, the gradient of half the variance over
    samples of log q - log p (Richter et al.).

    On VAEs, Kool et al. take K = 4 and 8 (in "Estimating Gradients for Discrete Random Variables by
    Sampling without Replacement", 2020), Dong et al. K = 2, to compare with DisARM; both have a
    decoder's evaluation a sample, and no other baseline, as here.

    References:
        | On Using Control Variates with Stochastic Approximation for Variational Bayes (Salimans &
        | Knowles, 2014). https://arxiv.org/abs/1401.1022
        | Variational Inference for Monte Carlo Objectives (Mnih & Rezende, 2016), section 3
        | (https://arxiv.org/abs/1602.06725).
        | Buy 4 REINFORCE Samples, Get a Baseline for Free! (Kool, van Hoof & Welling, 2019).
        | https://openreview.net/forum?id=r1lgTGL5DE
        | VarGrad: A Low-Variance Gradient Estimator for Variational Inference (Richter et al.,
        | 2020). https://arxiv.org/abs/2010.10436
    """

    objectives = (Average,)

    def __init__(self) -> None:
        super().__init__(LeaveOneOut())
        self.paper = "Salimans & Knowles 2014; Kool et al. 2019"

    def extra_name(self) -> str:
        return "RLOO"


class VIMCO(ScoreFunction):
    """Creates the leave-one-out score function of the importance-weighted bound.

    The geometric mean of the other weights takes the place of each.

    As in the paper nothing is learned: no baseline of the image, no running average. On VAEs of
    binary variables Maddison et al. train it with K = 5 and 50 (their table 1; at K = 1 there is no
    other sample, and they take NVIL).

    References:
        | Variational Inference for Monte Carlo Objectives (Mnih & Rezende, 2016), equation 9
        | (https://arxiv.org/abs/1602.06725).
    """

    objectives = (LogMeanExp,)

    def __init__(self) -> None:
        super().__init__(LeaveOneOut())
        self.paper = "Mnih & Rezende 2016"

    def extra_name(self) -> str:
        return "VIMCO"


class ArithmeticVIMCO(ScoreFunction):
    r"""Creates VIMCO with the arithmetic mean of the other weights in the place of each.

    The signal is then :math:`R - \log \frac{1}{K - 1} \sum_{j \ne k} w_j`, the gain of the bound by
    sample k. The authors prefer the geometric mean (:class:`VIMCO`).

    References:
        | Variational Inference for Monte Carlo Objectives (Mnih & Rezende, 2016;
        | https://arxiv.org/abs/1602.06725).
    """

    objectives = (LogMeanExp,)

    def __init__(self) -> None:
        super().__init__(ArithmeticLeaveOneOut())

    def twin(self, objective: Objective) -> Twin | None:
        if objective.num_samples > 2:
            return None
        return Twin("vimco", "of two samples one is left, and is both means; set num_samples >= 3")

    def extra_name(self) -> str:
        return "ArithmeticVIMCO"
