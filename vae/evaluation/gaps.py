r"""Where the gap between :math:`\log p(x)` and the ELBO comes from.

.. math:: \log p(x) - L[q] =
    \underbrace{\log p(x) - L[q^*]}_{\text{approximation}} +
    \underbrace{L[q^*] - L[q]}_{\text{amortisation}}

:math:`q^*` is the best of the family for the image: what is lost to it, no encoder can win. The rest is
the encoder's. Beside them stand the relaxation gap of a model trained with relaxed latents, and the
generalisation gap, between the ELBO of images that were trained on and of others.

References:
    | Inference Suboptimality in Variational Autoencoders (Cremer, Li & Duvenaud, 2018), equations 3-5
    | (https://arxiv.org/abs/1801.03558).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vae.devices import double, keep_freed_memory, synchronize
from vae.evaluation.ais import AIS, ais
from vae.evaluation.annealing import Bridge, temperatures_of
from vae.evaluation.best_posterior import best_posterior, free_parameters, score
from vae.evaluation.exact import first_images, known_log_likelihood, why_not_known
from vae.evaluation.generalization import elbo_of_both, generalization_gap
from vae.evaluation.part import Number, Part, Subject, mean_of
from vae.evaluation.relaxation import is_relaxed, relaxed_elbo
from vae.evaluation.transitions import transition_of
from vae.models.latents.quantised import QuantisedLatent
from vae.models.vae import VAE
from vae.seeds import fixed_noise, mix_seeds

__all__ = ["Gaps", "InferenceGaps", "inference_gaps"]


STILL_RISING = 0.1
"""Nats by which the second half of the steps may raise L[q*], and it counts as found."""


class InferenceGaps(NamedTuple):
    """The terms of the gap for B images, in nats, (B,).

    Attributes:
        log_likelihood: log p(x), or the best lower bound on it.
        best: L[q*].
        elbo: L[q], of the encoder's q.
        rising: By how much the second half of the steps raised L[q*].
        change: By how much the last halving of a grid changed log p(x); 0 where there is none.
    """

    log_likelihood: Tensor
    best: Tensor
    elbo: Tensor
    rising: Tensor
    change: Tensor


def inference_gaps(
    vae: VAE,
    x: Tensor,
    steps: int = 1000,
    samples: int | None = None,
    scored: int = 1000,
    temperatures: int = 100,
    chains: int = 8,
    from_prior: bool = True,
) -> InferenceGaps:
    """Optimises q of images ``(B, *image)``, and scores what was found with fresh samples.

    log p(x) is exact where z can be summed or integrated over; else it is the lower bound of
    annealed importance sampling where there is a transition for z; else the importance-weighted
    bound with q* as proposal.

    Arguments:
        vae: The model.
        x: Images ``(B, *image)``.
        steps: Of Adam.
        samples: Of each image in a step; by default 8, or 32 without ``rsample``.
        scored: Samples of each image for L[q*] and L[q].
        temperatures: Of annealed importance sampling; 0 leaves it out.
        chains: Of each image.
        from_prior: Whether q* is looked for from the prior too, besides from the encoder's q.

    Raises:
        NotImplementedError: If the family of q does not name its parameters.
    """
    vae = vae.hard
    found = best_posterior(vae, x, steps, samples, from_prior=from_prior)
    best = score(vae, x, found.q, scored)
    with torch.no_grad():
        elbo = score(vae, x, vae.posterior(x), scored).elbo
    source, change = _source(vae, x, temperatures), torch.zeros_like(elbo)
    if source == "exact":
        known = known_log_likelihood(vae, x, tolerance=1e-3)
        log_p = double(known.log_likelihood)
        change = change if known.change is None else double(known.change)
    elif source == "AIS":
        betas = temperatures_of(temperatures, "linear")
        log_p = ais(Bridge(vae, x), betas, chains).log_mean
    else:
        log_p = best.log_mean
    return InferenceGaps(log_p, best.elbo, elbo, double(found.rising), change)


def _source(vae: VAE, x: Tensor, temperatures: int) -> str:
    """What stands for log p(x)."""
    if why_not_known(vae, x) is None:
        return "exact"
    try:
        transition_of(vae)
    except NotImplementedError:
        return "IWAE"
    return "AIS" if temperatures else "IWAE"


class Gaps(Part):
    """Where log p(x) - ELBO is lost: to the family of q, to the encoder, to relaxation, to overfitting.

    Arguments:
        steps: Steps of Adam, in which q of each image is optimised.
        samples: Samples of each image in a step; by default 8, or 32 where latents have no rsample.
        scored: Fresh samples of each image, by which L[q*] and L[q] are compared.
        temperatures: Steps of each chain of AIS, where log p(x) is not known exactly; 0: no AIS.
        chains: Chains of AIS of each image.
        from_prior: Whether to start from the prior too, besides from the encoder's q.
        batch: Images at a time.

    Raises:
        ValueError: If a number is too small.
    """

    name = "gaps"
    of_log_p = True
    title = "where log p(x) - ELBO is lost: the family of q, the encoder, overfitting"
    images: int | None = 100

    def __init__(
        self,
        steps: int = 1000,
        samples: int | None = None,
        scored: int = 1000,
        temperatures: int = 100,
        chains: int = 8,
        from_prior: bool = True,
        batch: int = 50,
    ) -> None:
        for argument, value, least in (
            ("steps", steps, 4),
            ("samples", samples, 2),
            ("scored", scored, 2),
            ("temperatures", temperatures, 0),
            ("chains", chains, 1),
            ("batch", batch, 1),
        ):
            if value is not None and value < least:
                raise ValueError(f"gaps_{argument} must be at least {least}, got {value}")
        self.steps, self.samples, self.scored = steps, samples, scored
        self.temperatures, self.chains = temperatures, chains
        self.from_prior, self.batch = from_prior, batch

    def why_not(self, subject: Subject) -> str | None:
        if isinstance(subject.trained.latent, QuantisedLatent):
            return (
                "q(z|x) is a point mass, and no family to look for a better one in: log p(x) - ELBO is"
                " what --ais shows above elbo"
            )
        try:
            free_parameters(subject.vae.posterior(first_images(subject, 1)))
        except NotImplementedError as error:
            return str(error)
        return None

    def seconds(self, subject: Subject) -> float | None:
        x, few, more, took = first_images(subject, 10), 4, 24, []
        for steps in (few, few, more):  # the first one warms up
            started = time.perf_counter()
            with fixed_noise(x.device, 0):
                best_posterior(subject.vae, x, steps, self.samples)
            synchronize(x.device)
            took.append(time.perf_counter() - started)
        step = max(0.0, took[2] - took[1]) / (more - few) / len(x)
        search = step * self.steps * (1 + self.from_prior)
        if _source(subject.vae, x, self.temperatures) != "AIS":
            return search
        annealed = AIS(self.temperatures, self.chains, simulated=0).seconds(subject)
        return search + (annealed or 0.0)

    def prepare(self, subject: Subject) -> None:
        if not self.kept:
            self.kept = elbo_of_both(subject)

    def measure(self, subject: Subject, x: Tensor, first: int) -> dict[str, Tensor]:
        if x.device.type == "cpu":
            keep_freed_memory()
        with fixed_noise(x.device, mix_seeds(subject.seed, first)):
            found = inference_gaps(
                subject.vae,
                x,
                self.steps,
                self.samples,
                self.scored,
                self.temperatures,
                self.chains,
                self.from_prior,
            )
            values = found._asdict()
            if is_relaxed(subject.trained, subject.estimator):
                values["relaxed"] = relaxed_elbo(
                    subject.trained, x, self.scored, subject.estimator
                )
        return values

    def numbers(self, subject: Subject, values: Mapping[str, Tensor]) -> list[Number]:
        log_p, best, elbo = values["log_likelihood"], values["best"], values["elbo"]
        source = _source(subject.vae, first_images(subject, 1), self.temperatures)
        about: dict[str, Any] = {"log p(x)": source}
        if source == "AIS":
            about |= {"temperatures": self.temperatures, "chains": self.chains}
        elif source == "IWAE":
            about |= {"K": self.scored, "proposal": "q*"}
        search = {"steps": self.steps, "samples": self.scored}
        late = _warning(values["rising"].mean().item(), self.steps)
        coarse = (values["change"] > 1e-2).any()
        doubt = "the grid for log p(x) is too coarse: see --exact" if coarse else ""
        if source == "AIS" and log_p.mean() < best.mean():
            doubt = "the bound on log p(x) is below L[q*]: more --gaps_temperatures"
        known = source == "exact" and not coarse
        found = [
            mean_of(
                "inference_gap",
                log_p - elbo,
                bound="estimate" if known else "lower bound",
                labels=about,
                warning=doubt,
            ),
            mean_of(
                "approximation_gap",
                log_p - best,
                bound="upper bound" if known else "estimate" if doubt or late else "lower bound",
                labels=about | search,
                warning=doubt or late,
            ),
            mean_of(
                "amortization_gap", best - elbo, bound="lower bound", labels=search, warning=late
            ),
        ]
        if "relaxed" in values:
            found.append(mean_of("relaxation_gap", values["relaxed"] - elbo, labels=search))
        if self.kept:
            found.append(generalization_gap(self.kept, subject.split))
        return found

    def remarks(self, subject: Subject, values: Mapping[str, Tensor]) -> list[str]:
        whole = (values["log_likelihood"] - values["elbo"]).mean().item()
        encoder = (values["best"] - values["elbo"]).mean().item()
        if not math.isfinite(whole) or not math.isfinite(encoder):
            return []  # an impossible image: the numbers say so
        larger = "encoder" if encoder > whole / 2 else "family of q"
        return [
            f"log p(x) - ELBO is {whole:.2f} nats: {encoder:.2f} by the encoder (amortisation),"
            f" {whole - encoder:.2f} by q's family (approximation); the {larger} costs more"
        ]


def _warning(rising: float, steps: int) -> str:
    if not rising > STILL_RISING:
        return ""
    return f"L[q*] still rose by {rising:.2f} nats from {steps // 2:,} to {steps:,} steps: more --gaps_steps"
