"""Callbacks: image grids, shadow estimators, the watch for collapse, the progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torchvision.utils import save_image

from vae.estimators import Estimator, build, options_of
from vae.evaluation import fixed_noise
from vae.gradients import Moments, posterior_gradients, summarize, warm_up
from vae.grids import reconstruction_grid, sample_grid
from vae.loader import StepLoader
from vae.model import VAE
from vae.objectives import Objective
from vae.schedules import Anneal

__all__ = ["CollapseWatch", "ImageGrids", "Progress", "ShadowEstimators"]


class ImageGrids(Callback):
    """Writes reconstructions and prior samples as PNG, and shows them to W&B, always for the same
    images and latent noise.

    Arguments:
        folder: Where to.
        every_n_epochs: How often; at the end of training in any case. 0 for then only.
    """

    def __init__(self, folder: Path, every_n_epochs: int = 10) -> None:
        if every_n_epochs < 0:
            raise ValueError(f"image_every must not be negative, got {every_n_epochs}")
        self.folder, self.every_n_epochs = folder, every_n_epochs
        self.drawn = -1

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        if self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self.draw(trainer, module, trainer.current_epoch + 1)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.global_step and self.drawn != trainer.global_step:
            self.draw(trainer, module, self._epoch(trainer))

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Of a run that was killed after its last step, and is continued, Lightning's loop does
        not end: it does not begin."""
        path = self.folder / f"samples-{self._epoch(trainer):04d}.png"
        if trainer.global_step and not path.exists():
            self.draw(trainer, module, self._epoch(trainer))

    @staticmethod
    def _epoch(trainer: Trainer) -> int:
        """The last epoch that was begun, from 1 on."""
        loader = trainer.train_dataloader
        if isinstance(loader, StepLoader) and loader.total:
            return -(-trainer.global_step // loader.total)
        return trainer.current_epoch

    def draw(self, trainer: Trainer, module: LightningModule, epoch: int) -> None:
        """Writes both grids, of the first images held out."""
        if not trainer.is_global_zero:
            return
        self.drawn = trainer.global_step
        data = trainer.datamodule  # type: ignore[attr-defined]
        split = "val" if len(data.splits["val"]) else "test"
        x = next(iter(data.loader(split, batch_size=32))).to(module.device)
        vae, training = cast(VAE, module.vae), module.training
        module.eval()
        with fixed_noise(module.device, 0):
            grids = {
                "reconstructions": reconstruction_grid(vae, x),
                "samples": sample_grid(vae, 64),
            }
        module.train(training)
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, grid in grids.items():
            path = self.folder / f"{name}-{epoch:04d}.png"
            whole = path.with_name(f".{path.name}")
            save_image(grid, whole, format="png")
            whole.replace(path)
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):
                    caption = f"epoch {epoch}, step {trainer.global_step}"
                    logger.log_image(
                        f"images/{name}", [str(path)], step=trainer.global_step, caption=[caption]
                    )


class ShadowEstimators(Callback):
    """Tracks the noise of other estimators while one of them trains: ``grad/variance/NAME`` and
    ``grad/snr/NAME`` of the gradient in q's parameters, on a few images of the batch, every so
    many steps. They neither train the model nor draw from its random numbers.

    Arguments:
        estimators: Names in ``ESTIMATORS``; ``trained`` is the one that trains, and always there.
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
            options_of(name)  # raises if there is no such estimator
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
            x = vae.hard.sample(torch.Size([1])).mean.detach()
            for name in self.names:
                estimator = build(name, prior=vae.prior).to(device).eval()
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
        """Measures, if it is the step to."""
        if step % self.every_n_steps:
            return
        vae, objective = cast(VAE, pl_module.vae), cast(Objective, pl_module.objective)
        x, values = batch[: self.images], dict[str, float]()
        own = cast(Estimator, pl_module.estimator)
        device = pl_module.device
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


class CollapseWatch(Callback):
    """Says once, and alerts W&B where the run is online, that the posterior has collapsed: that the
    rate KL(q(z|x) || p(z)), averaged over the validation images, is next to nothing and stays so.
    z holds no more nats of an image than the rate, so that the decoder ignores it.

    Told if the rate has been below ``rate`` at every validation, three at least, for ``steps``
    optimiser steps, in which it has not doubled. Steps count from ``steps`` after the end of a
    beta_warmup on, or after the start: a run that begins near q = prior stays there for some
    hundred steps before it rises. False alarms: of 128 real runs on the digits
    (``tests/rate_curves.py``: eight families, learning rates from 1e-4 to 3e-3) none of the 101
    that had not collapsed at the end was told, so that the rate is below 3 % (95 % confidence);
    all 24 that a beta of 10 or more had collapsed were, at step 1,008.

    References:
        | Generating Sentences from a Continuous Space (Bowman et al., 2016), section 3.1.

    Arguments:
        rate: Below this, in nats an image, nothing is encoded.
        steps: Optimiser steps that it must stay there.
    """

    def __init__(self, rate: float = 0.01, steps: int = 500) -> None:
        self.rate, self.steps, self.told = rate, steps, False
        self.ready = steps  # from this step on
        self.low: list[tuple[int, float]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        rate = trainer.callback_metrics.get("val/rate")
        if rate is None or trainer.sanity_checking or self.told:
            return
        schedules, step = cast(list[Anneal], pl_module.schedules), trainer.global_step
        warming = any(s.name == "beta" and not s.is_over(step) for s in schedules)
        if not self.collapsed(step, float(rate), warming) or not trainer.is_global_zero:
            return
        text = (
            f"the posterior has collapsed: val/rate has been below {self.rate} nats for"
            f" {self.steps} steps, and is {float(rate):.2g} at step {step}; the decoder ignores the"
            " latents; try a beta_warmup, a smaller beta or another learning rate"
        )
        print(f"warning: {text}", file=sys.stderr, flush=True)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger) and not logger.experiment.offline:
                logger.experiment.alert(title="posterior collapse", text=text)

    def collapsed(self, step: int, rate: float, warming: bool = False) -> bool:
        """Takes in the rate at a validation, and says whether it is time to tell.

        Arguments:
            step: Optimiser steps so far.
            rate: In nats an image.
            warming: Whether beta is still rising.
        """
        if warming:
            self.ready = step + self.steps
        if step < self.ready or not rate < self.rate:
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


class Progress(TQDMProgressBar):
    """A bar that reads what the module last logged when it redraws, and no oftener: logging with
    ``prog_bar`` syncs every step.

    It counts epochs, images a second and the time left of the whole run; piped, it is silent.

    Arguments:
        refresh_rate: Groups of steps between redraws.
    """

    def __init__(self, refresh_rate: int = 3) -> None:
        super().__init__(refresh_rate=refresh_rate)
        self._started, self._steps = 0.0, 0

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        super().on_train_start(trainer, module)
        self._started, self._steps = time.monotonic(), trainer.global_step

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Ends the line, so that what is said of the exception has one of its own."""
        for name in ("train", "val", "test"):
            with suppress(TypeError):  # of a bar that there is not yet
                getattr(self, f"{name}_progress_bar").close()

    def get_metrics(self, trainer: Trainer, module: LightningModule) -> dict[str, Any]:
        latest = cast(dict[str, Tensor], module.latest)
        shown: dict[str, Any] = {k: f"{float(v):.2f}" for k, v in latest.items() if k != "elbo"}
        val = trainer.callback_metrics.get("val/elbo")
        if val is not None:
            shown["val/elbo"] = f"{float(val):.2f}"
        seconds, done = time.monotonic() - self._started, trainer.global_step - self._steps
        if done and seconds:
            batch_size = trainer.datamodule.batch_size * trainer.world_size  # type: ignore[attr-defined]
            shown["images/s"] = f"{done * batch_size / seconds:,.0f}"
            total = trainer.max_steps
            if total < 0 and trainer.max_epochs and trainer.max_epochs > 0:
                total = trainer.max_epochs * trainer.train_dataloader.total  # type: ignore[union-attr]
            if total > 0:
                left = int(seconds / done * (total - trainer.global_step))
                shown["left"] = f"{left // 60}:{left % 60:02d}"
        return shown
