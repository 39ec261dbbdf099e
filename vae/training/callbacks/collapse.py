"""Warns when the posterior has collapsed, that is, when the decoder ignores the latents."""

from __future__ import annotations

import sys
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from vae.evaluation.collapse import COLLAPSED, IGNORED, is_collapsed
from vae.training.module import VAEModule

__all__ = ["CollapseWatch"]


class CollapseWatch(Callback):
    """Warns once that the posterior has collapsed, and alerts W&B where the run is online.

    Collapsed means that the rate, averaged over the validation images, is close to 0 and stays there
    (:mod:`vae.evaluation.collapse`): the decoder ignores z.

    It warns if the rate has been below ``rate`` at every validation, at least three, for ``steps``
    optimiser steps, and has not doubled in them. These steps count from ``steps`` after the start,
    or after the end of a beta_warmup: a run that begins near q = prior stays there for some
    hundred steps before the rate rises.

    False alarms: in 128 real runs on the digits (``tests/training/rate_curves.py``: eight families,
    learning rates from 1e-4 to 3e-3) it warned of none of the 101 that had not collapsed at the
    end, so that false alarms are less than 3 % (95 % confidence), and, at step 1,008, of all 24
    that a beta of 10 or more had collapsed.

    References:
        | Generating Sentences from a Continuous Space (Bowman et al., 2016), section 3.1.

    Arguments:
        rate: A rate below this, in nats an image, counts as collapsed.
        steps: For how many optimiser steps it must stay there.
    """

    def __init__(self, rate: float = COLLAPSED, steps: int = 500) -> None:
        self.rate, self.steps, self.told = rate, steps, False
        self.ready = steps  # from this step on
        self.low: list[tuple[int, float]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        rate = trainer.callback_metrics.get(
            "val/rate", trainer.callback_metrics.get("val/rate_mc")
        )
        if rate is None or trainer.sanity_checking or self.told:
            return
        schedules, step = cast(VAEModule, pl_module).schedules, trainer.global_step
        warming = "beta" in schedules and not schedules["beta"].is_over(step)
        if not self.collapsed(step, float(rate), warming) or not trainer.is_global_zero:
            return
        text = (
            f"the posterior has collapsed: val/rate has been below {self.rate} nats for"
            f" {self.steps} steps, and is {float(rate):.2g} at step {step}; {IGNORED};"
            " try a beta_warmup, a smaller beta or another learning rate"
        )
        print(f"warning: {text}", file=sys.stderr, flush=True)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger) and not logger.experiment.offline:
                logger.experiment.alert(title="posterior collapse", text=text)

    def collapsed(self, step: int, rate: float, warming: bool = False) -> bool:
        """Notes the rate at a validation; returns whether it is time to warn.

        Arguments:
            step: Optimiser steps so far.
            rate: In nats an image.
            warming: Whether beta is still rising.
        """
        if warming:
            self.ready = step + self.steps
        if step < self.ready or not is_collapsed(rate, self.rate):
            self.low = []
            return False
        self.low.append((step, rate))
        if len(self.low) < 3 or step - self.low[0][0] < self.steps:
            return False
        while step - self.low[1][0] >= self.steps:  # what is needed no more
            del self.low[0]
        self.told = rate <= 2 * self.low[0][1]
        return self.told

    def state_dict(self) -> dict[str, Any]:
        return {"low": self.low, "told": self.told, "ready": self.ready}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        low = state_dict["low"]  # of another version: a count
        self.low = [(step, rate) for step, rate in low] if isinstance(low, list) else []
        self.told, self.ready = state_dict["told"], state_dict.get("ready", self.steps)
