"""Averages of the weights over training, by Lightning's callbacks."""

from __future__ import annotations

import lightning.pytorch.callbacks
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, StochasticWeightAveraging
from torch import Tensor

from vae.training.module import VAEModule

__all__ = ["average_every_step"]


def average_every_step(trainer: Trainer, module: VAEModule) -> None:
    """Makes ``WeightAveraging`` and ``EMAWeightAveraging`` count optimiser steps, where Lightning
    shows them groups of steps.

    Their checkpoints hold the average as the model, and the weights that are trained beside it.

    Raises:
        ValueError: For ``StochasticWeightAveraging``, whose schedule of learning rates Lightning
            does not follow in an optimisation that is ours, and whose average no checkpoint has.
    """
    averaging = getattr(lightning.pytorch.callbacks, "WeightAveraging", ())  # not in 2.5
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, StochasticWeightAveraging):
            raise ValueError(
                "StochasticWeightAveraging is not supported: use lightning.pytorch.callbacks'"
                " EMAWeightAveraging or WeightAveraging"
            )
        if isinstance(callback, averaging):
            module.after_step.append(_updating(callback, trainer, module))


def _updating(callback: Callback, trainer: Trainer, module: LightningModule):  # noqa: ANN202
    def update(step: int, x: Tensor) -> None:
        callback.on_train_batch_end(trainer, module, None, x, step - 1)

    return update
