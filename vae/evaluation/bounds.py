"""The evidence lower bound and its two parts, rate and distortion."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vae.data.loader import mix_seeds
from vae.evaluation.part import Number, Part, Subject, mean_of
from vae.evaluation.terms import elbo_terms, fixed_noise
from vae.models.memory import assert_memory, floats_per_decoding

__all__ = ["Bounds"]


class Bounds(Part):
    """The ELBO (beta = 1), the rate KL(q || p), and the distortion E_q[-log p(x|z)].

    Arguments:
        samples: Samples of z for each image, over which the distortion is averaged.

    Raises:
        ValueError: If there is no sample.
    """

    name = "bounds"
    title = "ELBO, rate, distortion"
    of_log_p = True

    def __init__(self, samples: int = 1) -> None:
        if samples < 1:
            raise ValueError(f"elbo_samples must be at least 1, got {samples}")
        self.samples = samples

    def measure(self, subject: Subject, x: Tensor, first: int) -> dict[str, Tensor]:
        count = len(x) * self.samples
        size = 4 * floats_per_decoding(subject.vae) * count
        assert_memory(size, f"decoding {count} codes at a time")
        with torch.no_grad(), fixed_noise(x.device, mix_seeds(subject.seed, first)):
            return elbo_terms(subject.vae, x, self.samples).named()

    def numbers(self, subject: Subject, values: Mapping[str, Tensor]) -> list[Number]:
        labels = {"samples": self.samples}
        found = [
            mean_of("elbo", values["elbo"], bound="lower bound", labels=labels),
            *(
                mean_of(
                    name,
                    values[name],
                    bound="estimate" if name == "rate_mc" else "exact",
                    labels=labels if name == "rate_mc" else {},
                )
                for name in ("rate", "rate_mc")
                if name in values
            ),
            mean_of("distortion", values["distortion"], labels=labels),
        ]
        return found

    def remarks(self, subject: Subject, values: Mapping[str, Tensor]) -> list[str]:
        said = []
        if "rate_mc" in values:
            said.append(
                "rate_mc: KL(q || p) has no closed form here, and is estimated from the samples"
            )
        if subject.vae.likelihood.binary and not subject.data.is_binary:
            said.append(
                "grey pixels under a Bernoulli likelihood: cross-entropies, not bounds on log p(x)"
            )
        elif subject.vae.likelihood.levels is None and not subject.data.is_binary:
            said.append(
                "densities, of pixels in [0, 1], and no probabilities: they may be positive, and do"
                " not compare with those of grey levels"
            )
        return said
