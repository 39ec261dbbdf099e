r"""Annealed importance sampling: a lower bound on :math:`\log p(x)`, and how far it may be off.

The log of the mean weight of some chains is a lower bound in expectation, tighter the slower they
are annealed (:mod:`vae.evaluation.annealing`). Beside it stands the gap between lower and upper
bound for images that the model itself draws (:mod:`vae.evaluation.bdmc`).

References:
    | Annealed importance sampling (Neal, 2001), equations 3 to 11
    | (https://arxiv.org/abs/physics/9803008).
    | On the quantitative analysis of decoder-based generative models (Wu et al., 2017)
    | (https://arxiv.org/abs/1611.04273).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vae.data.loader import mix_seeds
from vae.devices import keep_freed_memory
from vae.evaluation.annealing import (
    Annealed,
    Bridge,
    Schedule,
    Start,
    anneal,
    pilot,
    summed_up,
    temperatures_of,
)
from vae.evaluation.bdmc import bracket, simulate
from vae.evaluation.part import Number, Part, Subject, mean_of
from vae.evaluation.terms import fixed_noise
from vae.evaluation.transitions import transition_of, why_no_transition
from vae.models.latents.quantised import QuantisedLatent

__all__ = ["AIS", "ais"]


LARGEST_GAP = 1.0
"""Nats between the bounds of the model's own images, above which the chains did not mix."""

ACCEPTANCE = (0.3, 0.97)
"""What the mean acceptance lies between if steps are neither too long nor needlessly short."""

FEWEST = 2
"""Effective chains, below which they disagree."""


@torch.no_grad()
def ais(bridge: Bridge, betas: Tensor, chains: int = 8, widths: Tensor | None = None) -> Annealed:
    """Annealed importance sampling of B images; its ``log_mean`` is the lower bound on log p(x).

    Arguments:
        bridge: The densities from the start to p(x, z).
        betas: Inverse temperatures ``(T + 1,)`` from 0 to 1: ``temperatures_of(T)``.
        chains: Of each image.
        widths: Of the transitions, ``(T + 1,)``, fixed beforehand; by default those of a pilot run.
    """
    widths = pilot(bridge, betas) if widths is None else widths
    return summed_up(anneal(bridge, betas, widths, bridge.sample(chains)))


class AIS(Part):
    """Annealed importance sampling, and bidirectional Monte Carlo on images that the model draws.

    Arguments:
        temperatures: Steps of each chain from its start to the posterior: the more, the tighter. By
            default 200, of discrete latents 2000.
        chains: Chains of each image.
        start: What they start from, q or the prior; of quantised codes, always the prior.
        schedule: How temperatures lie, linear or sigmoid.
        simulated: Images that the model draws, whose log p(x) is bounded from both sides.
        batch: Images at a time; by default 1600 chains, of discrete latents 400.
    """

    name = "ais"
    of_log_p = True
    title = "log p(x) from below, annealed, and how far off it may be"
    images: int | None = 100

    def __init__(
        self,
        temperatures: int | None = None,
        chains: int = 8,
        start: Start = "q",
        schedule: Schedule = "linear",
        simulated: int = 50,
        batch: int | None = None,
    ) -> None:
        for name, value, least in (
            ("temperatures", temperatures, 1),
            ("chains", chains, 1),
            ("simulated", simulated, 0),
            ("batch", batch, 1),
        ):
            if value is not None and value < least:
                raise ValueError(f"ais: {name} must be at least {least}, got {value}")
        self.temperatures, self.chains, self.start = temperatures, chains, start
        self.schedule, self.simulated = schedule, simulated
        self.batch = batch

    def batch_size(self, subject: Subject) -> int:
        return self.batch or max(transition_of(subject.vae).states // self.chains, 1)

    def betas(self, subject: Subject) -> Tensor:
        """Inverse temperatures ``(T + 1,)``."""
        own = self.temperatures
        return temperatures_of(own or transition_of(subject.vae).temperatures, self.schedule)

    def why_not(self, subject: Subject) -> str | None:
        return why_no_transition(subject.vae)

    def _start(self, subject: Subject) -> Start:
        """The prior where q is a point mass, from which no chain could move."""
        return "prior" if isinstance(subject.trained.latent, QuantisedLatent) else self.start

    def seconds(self, subject: Subject) -> float | None:
        steps, images = 2, 10
        with fixed_noise(subject.device, subject.seed):
            _, x = simulate(subject.vae, images)
            bridge = Bridge(subject.vae, x, self._start(subject))
            u, betas = bridge.sample(self.chains), temperatures_of(steps, self.schedule)
            took = 0.0
            for _ in range(2):  # the first one warms up
                started = time.perf_counter()
                moments = anneal(bridge, betas, torch.ones(steps + 1).to(u), u)
                summed_up(moments).acceptance.sum().item()  # waits
                took = time.perf_counter() - started
        counts = (subject.data.count(subject.split), subject.limit, self.images)
        asked = min([n for n in counts if n is not None], default=self.simulated)
        drawn = min(1.0, self.simulated / max(asked, 1))  # of which there are runs both ways
        pilots = 2 / self.chains
        runs = 1 + pilots + drawn * (2 + pilots)
        return took / steps / images * (len(self.betas(subject)) - 1) * runs

    def measure(self, subject: Subject, x: Tensor, first: int) -> dict[str, Tensor]:
        if x.device.type == "cpu":
            keep_freed_memory()
        betas = self.betas(subject)
        with fixed_noise(subject.device, mix_seeds(subject.seed, first, 0)):
            found = ais(Bridge(subject.vae, x, self._start(subject)), betas, self.chains)
        answers = {
            "lower": found.log_mean,
            "acceptance": found.acceptance,
            "effective": found.effective,
        }
        none = torch.full_like(found.log_mean, math.nan)
        names = ("simulated_lower", "simulated_upper", "simulated_acceptance")
        answers |= {name: none.clone() for name in names}
        number = min(self.simulated - first, len(x))
        if number > 0:
            with fixed_noise(subject.device, mix_seeds(subject.seed, first, 1)):
                z, drawn = simulate(subject.vae, number)
                both = bracket(
                    Bridge(subject.vae, drawn, self._start(subject)), z, betas, self.chains
                )
            acceptance = (both.forward.acceptance + both.reverse.acceptance) / 2
            for name, value in zip(names, (both.lower, both.upper, acceptance), strict=True):
                answers[name][:number] = value
        return answers

    def numbers(self, subject: Subject, values: Mapping[str, Tensor]) -> list[Number]:
        drawn = {name: value[: self.simulated] for name, value in values.items()}
        runs = {
            "temperatures": len(self.betas(subject)) - 1,
            "chains": self.chains,
            "start": self._start(subject),
        }
        labels: dict[str, Any] = runs | {
            "acceptance": values["acceptance"].mean().item(),
            "ess": values["effective"].mean().item(),
        }
        gap = drawn["simulated_upper"] - drawn["simulated_lower"]
        if len(gap):
            labels["gap"] = gap.mean().item()
        about: dict[str, Any] = {"labels": labels, "warning": self._warning(subject, values, gap)}
        found = [mean_of("ais", values["lower"], bound="lower bound", **about)]
        if not len(gap):
            return found
        about = runs | {
            "acceptance": drawn["simulated_acceptance"].mean().item(),
            "of": "images that the model drew",
        }
        for bound in ("lower", "upper"):
            name, value = f"bdmc_{bound}", drawn[f"simulated_{bound}"]
            found.append(
                mean_of(name, value, bound=f"{bound} bound", labels=about, images=len(gap))
            )
        return [
            *found,
            mean_of("bdmc_gap", gap, bound="upper bound", labels=about, images=len(gap)),
        ]

    def log_likelihoods(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"ais": values["lower"]}

    def _warning(self, subject: Subject, values: Mapping[str, Tensor], gap: Tensor) -> str:
        acceptance = values["acceptance"].mean().item()
        disagree = (values["effective"] < FEWEST).double().mean().item()
        least, most = ACCEPTANCE
        found = []
        if len(gap) and not gap.mean() <= LARGEST_GAP:
            found.append(f"on its own images the bounds are {gap.mean():.1f} nats apart")
        if transition_of(subject.vae).adapts and not least <= acceptance <= most:
            found.append(f"acceptance is {acceptance:.2f}, not between {least} and {most}")
        if self.chains >= 2 * FEWEST and disagree > 0.2:
            found.append(f"one chain outweighs the others for {disagree:.0%} of the images")
        if not found:
            return ""
        return f"chains did not mix: {', '.join(found)}: more --ais_temperatures"
