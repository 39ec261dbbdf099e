"""The importance-weighted bound on log p(x)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from vae.data.loader import mix_seeds
from vae.evaluation.part import Number, Part, Subject, mean_of
from vae.evaluation.terms import fixed_noise
from vae.models.memory import DECODINGS

__all__ = ["ImportanceWeighted"]


class ImportanceWeighted(Part):
    """The importance-weighted bound on log p(x).

    Arguments:
        samples: K of the bound, one or several.
    """

    name = "log_likelihood"
    title = "log p(x) from below, by K samples of q(z|x) for each image"
    values = "samples"
    batch = 100

    def __init__(self, samples: list[int] | int = 5000) -> None:
        self.samples = [samples] if isinstance(samples, int) else samples
        if not self.samples or min(self.samples) < 1:
            raise ValueError(f"log_likelihood: samples must be at least 1, got {samples}")

    def why_not(self, subject: Subject) -> str | None:
        known = [n for n in (subject.data.count(subject.split), subject.limit) if n is not None]
        images, K = min(known, default=1), max(self.samples)
        if images * K <= DECODINGS:
            return None
        return (
            f"of {images} images with K = {K} it would take weeks: give at most"
            f" K = {DECODINGS // images}, or a limit"
        )

    def measure(self, subject: Subject, x: Tensor, first: int) -> dict[str, Tensor]:
        with fixed_noise(x.device, mix_seeds(subject.seed, first)):
            return {str(K): subject.vae.log_likelihood(x, K) for K in self.samples}

    def numbers(self, subject: Subject, values: Mapping[str, Tensor]) -> list[Number]:
        return [
            mean_of(f"log_likelihood_{K}", values[str(K)], bound="lower bound", labels={"K": K})
            for K in self.samples
        ]
