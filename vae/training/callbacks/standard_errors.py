"""The standard errors over images of what the test at a run's end finds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from vae.evaluation.part import standard_error

__all__ = ["StandardErrors", "with_errors"]


def with_errors(values: Mapping[str, Tensor]) -> dict[str, Any]:
    """What ``results.json`` says of the test's means: their standard errors, and of how many images.

    Arguments:
        values: The test's metrics, to what each is of N images, (N,).

    Returns:
        ``standard_errors``, by the names of the metrics, in their units, without those of a single
        image and those that are not finite; and ``images``, N. Nothing of no metric.
    """
    errors = {name: standard_error(own) for name, own in values.items()}
    known = {k: round(e, 4) for k, e in errors.items() if e is not None and math.isfinite(e)}
    images = max(map(len, values.values()), default=0)
    return {"standard_errors": known, "images": images} if images else {}


class StandardErrors(Callback):
    """Keeps what a test finds of each image until its end.

    Attributes:
        found: What :func:`with_errors` says of all images, those of all processes together; nothing
            of a module of one's own whose ``test_step`` returns nothing of each image.
    """

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self._values: dict[str, list[Tensor]] = {}

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.found, self._values = {}, {}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        for name, values in outputs.items() if isinstance(outputs, Mapping) else ():
            if isinstance(values, Tensor) and values.dim() == 1:  # of each image
                self._values.setdefault(name, []).append(values.detach())

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        values = {name: torch.cat(parts) for name, parts in self._values.items()}
        if trainer.world_size > 1:  # each has as many images: its sampler repeats some
            gather = trainer.strategy.all_gather
            values = {name: gather(own).flatten() for name, own in values.items()}
        self.found, self._values = with_errors(values), {}
