"""Measures other estimators' gradients while one trains."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor

from vae.analysis.gradients import posterior_gradients, warm_up
from vae.analysis.moments import Moments, summarize
from vae.estimators import Estimator, constructor, named
from vae.evaluation.terms import fixed_noise
from vae.models.vae import VAE
from vae.objectives import Objective

__all__ = ["ShadowEstimators"]


class ShadowEstimators(Callback):
    """Measures the gradient noise of other estimators while one of them trains.

    Every so many steps it logs ``grad/variance/NAME`` and ``grad/snr/NAME`` of the gradient in q's
    parameters, on a few images of the batch. The shadows do not train the model, and draw random
    numbers of their own.

    Arguments:
        estimators: Paper names, those in ``ESTIMATORS``. The one that trains is always measured, as
            ``trained``.
        every_n_steps: Optimiser steps between measurements.
        replicates: Estimates of each.
        images: Images of the batch.
        warm_up_steps: Steps that a shadow's own baseline or control variate learns each time.
    """

    def __init__(
        self,
        estimators: list[str],
        every_n_steps: int = 500,
        replicates: int = 100,
        images: int = 16,
        warm_up_steps: int = 20,
    ) -> None:
        for name, value in (("every_n_steps", every_n_steps), ("images", images)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if replicates < 4 or warm_up_steps < 0:
            raise ValueError(
                f"replicates must be at least 4 and warm_up_steps 0, got {replicates} and"
                f" {warm_up_steps}"
            )
        for name in estimators:
            constructor(name)  # raises if there is no such estimator
        self.names = estimators
        self.shadows: dict[str, Estimator] = {}
        self._states: dict[str, dict[str, Any]] = {}  # of a run that is continued
        self._measure: Callable[[int, Tensor], None] | None = None
        self.every_n_steps, self.replicates = every_n_steps, replicates
        self.images, self.warm_up_steps = images, warm_up_steps

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Builds the shadows, and tries each on one image.

        Raises:
            MisconfigurationException: If one is not defined for the model.
        """
        vae, objective = cast(VAE, pl_module.vae), cast(Objective, pl_module.objective)
        device = pl_module.device
        with fixed_noise(device, 0):  # nothing is drawn from the run's own
            x = vae.sample(1)
            for name in self.names:
                estimator = named(name).to(device).eval()
                estimator.bind(vae)
                try:
                    for _ in posterior_gradients(vae, objective, estimator, x, 2, 2, False):
                        pass
                except (NotImplementedError, ValueError) as error:
                    raise MisconfigurationException(f"ShadowEstimators: {error}") from None
                if twin := estimator.twin(objective):
                    raise MisconfigurationException(
                        f"ShadowEstimators: {name} is {twin.name} here, bit for bit: {twin.reason}"
                    )
                if name in self._states:
                    estimator.load_state_dict(self._states[name])
                self.shadows[name] = estimator
        after_step = cast(list[Callable[[int, Tensor], None]], pl_module.after_step)
        after_step[:] = [call for call in after_step if call is not self._measure]
        self._measure = partial(self.measure, trainer, pl_module)
        after_step.append(self._measure)

    def state_dict(self) -> dict[str, Any]:
        return {"shadows": {name: e.state_dict() for name, e in self.shadows.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._states = state_dict["shadows"]

    def measure(
        self, trainer: Trainer, pl_module: LightningModule, step: int, batch: Tensor
    ) -> None:
        """Measures all estimators, if the step is a multiple of ``every_n_steps``."""
        if step % self.every_n_steps:
            return
        vae, objective = cast(VAE, pl_module.vae), cast(Objective, pl_module.objective)
        x, values = batch[: self.images], dict[str, float]()
        own = cast(Estimator, pl_module.estimator)
        device = pl_module.device
        following = vae.latent.training
        vae.latent.eval()  # a codebook stands still
        with fixed_noise(device, step):
            for name, estimator in {"trained": own, **self.shadows}.items():
                training = estimator.training
                torch.manual_seed(step)
                estimator.to(device)
                if name != "trained":
                    self._share_temperature(own, estimator)
                    warm_up(vae, objective, estimator, lambda: batch, self.warm_up_steps)
                estimator.eval()
                moments = Moments()
                chunks = posterior_gradients(
                    vae, objective, estimator, x, self.replicates, self.replicates, encoder=False
                )
                for g, _ in chunks:
                    moments.add(g)
                estimator.train(training)
                summary = summarize(moments, moments)  # of its bias nothing is known
                values[f"grad/variance/{name}"] = summary.variance
                if summary.variance > 0:
                    values[f"grad/snr/{name}"] = summary.snr
        vae.latent.train(following)
        for logger in trainer.loggers:
            logger.log_metrics(values, step - 1)

    @staticmethod
    def _share_temperature(own: Estimator, shadow: Estimator) -> None:
        """A shadow relaxes as much as the trained one does at this step, if both relax."""
        there, here = (
            [b for name, b in e.named_buffers() if name.rpartition(".")[2] == "temperature"]
            for e in (own, shadow)
        )
        for buffer in here:
            buffer.copy_(there[0] if there else buffer)
