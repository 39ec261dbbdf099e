"""A part of an evaluation for tests: its answers are noise that follows from the image's number."""

from collections.abc import Mapping

import torch

from vae.data.loader import mix_seeds
from vae.evaluation.part import Number, Part, Subject, mean_of


class Counting(Part):
    """Draws numbers.

    Arguments:
        scales: By what they are multiplied.
        offset: What is added to them.
    """

    name = "counting"
    title = "numbers, drawn"
    values = "scales"
    images = 120
    batch = 20
    calls: list[int] = []  # the first image of each batch that was asked
    prepared: list[int] = []
    stop_at: int | None = None

    def __init__(self, scales: list[int] = [2, 3], offset: float = 0.0) -> None:  # noqa: B006
        self.scales, self.offset = scales, offset

    def why_not(self, subject: Subject) -> str | None:
        return None if self.offset >= 0 else "an offset must not be negative"

    def seconds(self, subject: Subject) -> float | None:
        return 5.0

    def prepare(self, subject: Subject) -> None:
        self.prepared.append(1)
        self.kept = {"start": torch.tensor(7.0)}

    def measure(self, subject: Subject, x: torch.Tensor, first: int) -> dict[str, torch.Tensor]:
        if self.stop_at == first:
            raise KeyboardInterrupt
        self.calls.append(first)
        noise = torch.Generator().manual_seed(mix_seeds(subject.seed, first))
        return {"drawn": torch.randn(len(x), generator=noise) + self.offset}

    def numbers(self, subject: Subject, values: Mapping[str, torch.Tensor]) -> list[Number]:
        start = float(self.kept["start"])
        return [
            mean_of(
                f"counted_{scale}",
                scale * values["drawn"] + start,
                bound="exact",
                unit="units",
                labels={"scale": scale, "of": "E[z]"},
                warning="drawn, not counted" if scale == 3 else "",
            )
            for scale in self.scales
        ]

    def remarks(self, subject: Subject, values: Mapping[str, torch.Tensor]) -> list[str]:
        return ["counted by drawing"]
