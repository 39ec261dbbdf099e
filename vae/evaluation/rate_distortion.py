r"""The rate-distortion curve of a decoder with its prior, without the encoder.

.. math:: R(D) = \min_{q(z|x)} \mathrm{KL}(q(z|x) \,\|\, p(z)) \quad\text{so that}\quad
    \mathbb{E}_q[-\log p(x|z)] \le D

At slope :math:`-\beta` the best q is :math:`p_\beta(z|x) \propto p(z)\, p(x|z)^\beta`: what annealing from
the prior goes through. There, of M chains with weights w and their normalised weights
:math:`\tilde w`,

.. math:: D_\beta = \sum_m \tilde w_m\, (-\log p(x|z_m)), \qquad
    R_\beta = -\log \frac1M \sum_m w_m - \beta D_\beta,

a point on the curve if chains mix, and above it in expectation if not. At :math:`\beta = 1` the sum
of the two is an upper bound on :math:`-\log p(x)`.

References:
    | Evaluating lossy compression rates of deep generative models (Huang et al., 2020), section 4
    | (https://arxiv.org/abs/2008.06653).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vae.data.loader import mix_seeds
from vae.devices import double, keep_freed_memory
from vae.evaluation.ais import AIS
from vae.evaluation.annealing import Bridge, anneal, pilot
from vae.evaluation.part import Number, Part, Subject, mean_of
from vae.evaluation.terms import fixed_noise
from vae.evaluation.transitions import transition_of, why_no_transition

__all__ = ["Curve", "RateDistortion", "rate_distortion"]


AT = (0.1, 0.25, 0.5, 1.0)
"""Of the curve's points, those whose numbers are shown, beside the last."""


class Curve(NamedTuple):
    """Points of the curve of B images, by rising inverse temperature.

    Attributes:
        beta: Inverse temperatures ``(T + 1,)``, float64.
        rate: In nats, ``(B, T + 1)``: in expectation not below the curve at this distortion.
        distortion: In nats, ``(B, T + 1)``.
        acceptance: The mean over chains and temperatures, ``(B,)``.
    """

    beta: Tensor
    rate: Tensor
    distortion: Tensor
    acceptance: Tensor


@torch.no_grad()
def rate_distortion(
    bridge: Bridge, betas: Tensor, chains: int = 8, widths: Tensor | None = None
) -> Curve:
    """The rate-distortion curve of B images, by annealing from the prior.

    Arguments:
        bridge: The densities from the prior.
        betas: Inverse temperatures ``(T + 1,)`` from 0 up, beyond 1 too.
        chains: Of each image.
        widths: Of the transitions, ``(T + 1,)``; by default those of a pilot run.

    Raises:
        ValueError: If the densities are not from the prior.
    """
    if bridge.start is not bridge.prior:
        raise ValueError("a rate-distortion curve starts from the prior: Bridge(vae, x, 'prior')")
    widths = pilot(bridge, betas) if widths is None else widths
    u = bridge.sample(chains)
    distortion = [-double(bridge.log_ratio(u)).mean(0)]
    rate, acceptance = [torch.zeros_like(distortion[0])], []
    for beta, moment in zip(betas[1:].tolist(), anneal(bridge, betas, widths, u), strict=True):
        weights = moment.log_weights.softmax(0)
        log_mean = moment.log_weights.logsumexp(0) - torch.tensor(chains).double().log()
        distortion.append(-(weights * double(bridge.log_ratio(moment.u))).sum(0))
        rate.append(-log_mean - beta * distortion[-1])
        acceptance.append(moment.acceptance.mean(0))
    return Curve(
        betas, torch.stack(rate, 1), torch.stack(distortion, 1), torch.stack(acceptance).mean(0)
    )


class RateDistortion(Part):
    """The rate-distortion curve, by annealed importance sampling from the prior.

    Arguments:
        temperatures: Steps of each chain, and points of the curve, from the prior on.
        chains: Chains of each image.
        largest: The largest inverse temperature; at 1 it ends at the posterior.
        batch: Images at a time; by default 1600 chains, of discrete latents 400.
    """

    name = "rate_distortion"
    title = "rate against distortion of decoder and prior, annealed from the prior"
    images: int | None = 100

    def __init__(
        self,
        temperatures: int = 300,
        chains: int = 8,
        largest: float = 1.0,
        batch: int | None = None,
    ) -> None:
        for name, value in (("temperatures", temperatures), ("chains", chains), ("batch", batch)):
            if value is not None and value < 1:
                raise ValueError(f"rate_distortion: {name} must be at least 1, got {value}")
        if not 0 < largest < float("inf"):
            raise ValueError(f"rate_distortion: largest must be positive, got {largest}")
        self.temperatures, self.chains, self.largest = temperatures, chains, largest
        self.batch = batch

    def batch_size(self, subject: Subject) -> int:
        return self.batch or max(transition_of(subject.vae).states // self.chains, 1)

    @property
    def betas(self) -> Tensor:
        """Inverse temperatures, dense near 0, where the curve is steep."""
        even = torch.linspace(0, 1, self.temperatures + 1, dtype=torch.float64)
        return self.largest * even**3

    def why_not(self, subject: Subject) -> str | None:
        return why_no_transition(subject.vae)

    def seconds(self, subject: Subject) -> float | None:
        return AIS(self.temperatures, self.chains, "prior", simulated=0).seconds(subject)

    def measure(self, subject: Subject, x: Tensor, first: int) -> dict[str, Tensor]:
        if x.device.type == "cpu":
            keep_freed_memory()
        with fixed_noise(subject.device, mix_seeds(subject.seed, first, 2)):
            found = rate_distortion(Bridge(subject.vae, x, "prior"), self.betas, self.chains)
        return {
            "rate": found.rate,
            "distortion": found.distortion,
            "beta": found.beta.expand(len(x), -1),
            "acceptance": found.acceptance,
        }

    def numbers(self, subject: Subject, values: Mapping[str, Tensor]) -> list[Number]:
        found: list[Number] = []
        about: dict[str, Any] = {
            "temperatures": self.temperatures,
            "chains": self.chains,
            "acceptance": values["acceptance"].mean().item(),
        }
        for wanted in (*[beta for beta in AT if beta < self.largest], self.largest):
            at = int((self.betas - wanted).abs().argmin())
            labels = {"beta": self.betas[at].item()} | ({} if found else about)
            for name, bound in (("rate", "upper bound"), ("distortion", "estimate")):
                value = values[name][:, at]
                found.append(mean_of(f"{name}_{wanted:g}", value, bound=bound, labels=labels))
        return found
