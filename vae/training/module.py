"""The Lightning module that trains a VAE.

The sign flips here, once: the loss is the negative bound, in nats an image.

A batch of Lightning's loop may be a group of optimiser steps (:mod:`vae.training.grouping`), so
the optimisation is manual. Whatever counts steps counts optimiser steps: ``global_step``,
``max_steps``, schedules, logging, and the position from which an interrupted run goes on.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, cast

from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from vae.data.batch import batches_in, images_in
from vae.data.description import data_names, plain_hyper_parameters
from vae.data.source import ImageSource, mean_of
from vae.devices import asynchronous, keep_freed_memory
from vae.estimators import Estimator
from vae.evaluation import terms as evaluation
from vae.models.centering import center
from vae.models.schedules import Scheduled, scheduled
from vae.training.chosen_step import make_step, what_is_compiled
from vae.training.composed import ComposedModule
from vae.training.grouping import group_steps
from vae.training.lightning_private import regroup, set_logged_step
from vae.training.noise import all_generators, restore_generators, seed_process
from vae.training.nonfinite import FiniteCheck, NonFiniteError
from vae.training.optimizers import (
    build_optimizer,
    build_scheduler,
    plain_numbers,
)
from vae.training.step import Step

__all__ = ["VAEModule"]


class VAEModule(ComposedModule):
    """Trains a VAE by a bound, with the gradient of an estimator.

    Logs, in nats an image: ``train/bound`` (what is maximised), and ``train/elbo``,
    ``train/rate``, ``train/distortion`` of the model with hard latents on the same batch;
    ``val/...`` and ``test/...`` likewise; ``test/log_likelihood_K``. A rate without a closed form
    is estimated from samples, and logged as ``rate_mc``.

    Arguments:
        lr: Adam's step size; by default 1e-3.
        estimator_lr: The step size for the estimator's own parameters (a baseline, a control
            variate); by default that of the model.
        optimizer: Another optimiser than Adam: a class whose first argument is the parameters.
        scheduler: The learning rate's schedule, stepped at every optimiser step, not every epoch.
        test_samples: K of ``test/log_likelihood_K``, the estimate of log p(x) in the final test; 0
            leaves it out.
        gradient_clip_norm: The largest norm of the model's gradient, which is scaled down to it;
            by default it is not clipped.
        compile: What torch.compile makes faster in training: ``step``, the whole step, Adam's
            update too, as one graph; true, the bound; or false, nothing. By default the step, on a
            CPU, if all parts are this library's and a training of 5,000 steps or more begins.
        capture: Whether a training step is one CUDA graph; needs a GPU.
        parts: Those of :func:`vae.models.composition.compose`.

    Attributes:
        after_step: Functions to call after each optimiser step with its number, from 1 on, and its
            images.
        latest: The values that were last logged in training, by name.
        compile_seconds: What it took to compile the step, in this process.

    Raises:
        NonFiniteError: In training, if the loss or a gradient is not finite.
    """

    def __init__(
        self,
        lr: float | None = None,
        estimator_lr: float | None = None,
        optimizer: Callable[[Iterable], Optimizer] | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        test_samples: int = 100,
        gradient_clip_norm: float | None = None,
        compile: bool | Literal["step"] | None = None,
        capture: bool = False,
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.automatic_optimization = False
        if optimizer is not None and lr is not None:
            raise ValueError("lr is Adam's: give the optimizer its own, as --model.optimizer.lr")
        self.lr = 1e-3 if lr is None else lr
        self.estimator_lr = self.lr if estimator_lr is None else estimator_lr
        if not 0 < self.lr < math.inf or not 0 < self.estimator_lr < math.inf:
            raise ValueError(
                f"learning rates must be positive, got lr={lr}, estimator_lr={estimator_lr}"
            )
        if estimator_lr is not None and not list(self.estimator.parameters()):
            raise ValueError("the estimator has no parameters of its own: leave out estimator_lr")
        if test_samples < 0:
            raise ValueError(f"test_samples must not be negative, got {test_samples}")
        if gradient_clip_norm is not None and not gradient_clip_norm > 0:
            raise ValueError(f"gradient_clip_norm must be positive, got {gradient_clip_norm}")
        self.make_optimizer, self.given_estimator_lr = optimizer, estimator_lr
        self.make_scheduler = scheduler
        self.test_samples, self.gradient_clip_norm = test_samples, gradient_clip_norm
        self.compiled, self.captured = compile, capture
        estimators = [part for part in self.estimator.modules() if isinstance(part, Estimator)]
        changing = [each for each in estimators if type(each).at_step is not Estimator.at_step]
        if capture and changing:
            raise ValueError(
                f"capture records one step, and {type(changing[0]).__name__} changes with the"
                " steps: leave out --model.capture"
            )
        self.after_step: list[Callable[[int, Tensor], None]] = []
        self.latest: dict[str, Tensor] = {}
        self.compile_seconds = 0.0
        self._generators: dict[str, Tensor] = {}  # of a run that is continued
        self._compiled: bool | str | None = None  # how it began
        self._step: Step | None = None  # while it is trained, as the next
        self._scheduled: Scheduled | None = None

    def training_step(self, batch: Tensor | Iterable[Tensor], batch_idx: int) -> Tensor:
        """Takes an optimiser step for every batch of images, ``(B, *image)`` each, of a group.

        Returns:
            The last step's negative bound, with shape (), in nats an image.
        """
        if self._generators:
            restore_generators(self, self._generators)
            self._generators = {}
        for step, x in enumerate(batches_in(batch), self.global_step):
            bound = self._train_on(x, step)
            if step + 1 == self.trainer.max_steps:
                break
        return -bound

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate("val", images_in(batch), batch_idx)

    def test_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Logs the means of the test's metrics, and returns what they are of each image, (B,)."""
        return self._evaluate("test", images_in(batch), batch_idx)

    def configure_optimizers(self) -> Any:
        optimizer = self.build_optimizer()
        scheduler = self.build_scheduler(optimizer)
        return optimizer if scheduler is None else ([optimizer], [scheduler])

    def build_optimizer(self, groups: list[dict[str, Any]] | None = None) -> Optimizer:
        """Makes the optimiser.

        Arguments:
            groups: Its parameter groups; by default one of the model's parameters, and one of the
                estimator's.

        Raises:
            MisconfigurationException: If it needs more than a gradient at each step.
        """
        if groups is None:
            groups = [{"params": list(self.vae.parameters())}]
            own = list(self.estimator.parameters())
            if own:  # a group of the one optimiser: two optimisers would count every step twice
                groups.append({"params": own})
                if self.given_estimator_lr is not None:
                    groups[1]["lr"] = self.given_estimator_lr
        adam = partial(Adam, lr=self.lr, fused=True)
        return build_optimizer(self.make_optimizer or adam, groups)

    def build_scheduler(self, optimizer: Optimizer) -> LRScheduler | None:
        """Makes the schedule of the optimiser's learning rates, if there is one.

        Raises:
            MisconfigurationException: If it follows a metric.
        """
        make = self.make_scheduler
        return None if make is None else build_scheduler(make, optimizer)

    def setup(self, stage: str) -> None:
        data = getattr(self.trainer, "datamodule", None)
        if stage == "fit":
            center(self, partial(mean_of, data))
            if isinstance(data, ImageSource):
                group_steps(self.trainer, self, data)
            prior = self.vae.own_prior
            if prior is not None and prior.needed_images():
                prior.start_from(self._first_images(data, prior.needed_images()))

    def on_fit_start(self) -> None:
        if not self._generators:
            seed_process(self)

    def on_train_start(self) -> None:
        optimizer = cast(LightningOptimizer, self.optimizers()).optimizer
        self._compiled = what_is_compiled(self, self._compiled)
        self._step = make_step(self, optimizer, self._compiled)
        self._scheduled = Scheduled(self, self.schedules)
        if self.device.type == "cpu":
            keep_freed_memory()
            # Lightning has torch ask the driver whether there is a GPU; Adam asks at every step
            os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)

    def on_train_epoch_end(self) -> None:
        if self._step is not None and self._step.has_failed():  # at a step that was not logged
            raise NonFiniteError(
                "the loss or a gradient was not finite at a step of this epoch, from which on"
                " nothing was trained: set --trainer.log_every_n_steps 1 to find it"
            )

    def on_train_end(self) -> None:
        self.compile_seconds = self._step.seconds if self._step else 0.0
        self._step = self._scheduled = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        data = getattr(self.trainer, "datamodule", None)
        checkpoint.setdefault("vae", {}).update(
            {
                **self.names(),
                **data_names(data),
                "precision": self.trainer.precision,
                "generators": self._generators or all_generators(self),
                "compiled": self._compiled,  # None before the first step
            }
        )
        plain_hyper_parameters(checkpoint)
        for name in ("optimizer_states", "lr_schedulers", "callbacks"):
            plain_numbers(checkpoint.get(name))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._generators = checkpoint["vae"].get("generators", {})
        self._compiled = checkpoint["vae"].get("compiled", False)
        if isinstance(data := getattr(self.trainer, "datamodule", None), ImageSource):
            regroup(checkpoint, data.steps_per_batch)

    def _first_images(self, data: Any, number: int) -> Tensor:
        """The first training images, ``(number, *image)`` or fewer, on the CPU."""
        if not isinstance(data, ImageSource):
            raise ValueError(
                f"{type(self.vae.own_prior).__name__} starts from training images, and there is no"
                " data module of this library to take them from"
            )
        with evaluation.fixed_noise(self.device, 0):
            return next(data.loader("train", "cpu", batch_size=number, limit=number).batches())

    def _train_on(self, x: Tensor, step: int) -> Tensor:
        """Takes one optimiser step at images ``(B, *image)``; returns the bound, with shape ()."""
        trainer = self.trainer
        cast(Scheduled, self._scheduled).fill(step)
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        logged = every > 0 and (step + 1) % every == 0
        # every step is checked; on a GPU or in a graph, where that would wait, only those logged
        waits = not asynchronous(self.device) and not self.captured
        check = None
        if waits or logged:
            check = FiniteCheck(self, x, repeatable=waits).assert_finite
        bound = cast(Step, self._step)(x, check)
        for config in trainer.lr_scheduler_configs:
            config.scheduler.step()  # type: ignore[call-arg]
        set_logged_step(trainer, step)
        if logged:
            self._log_training(x, bound.clone(), step)
        for call in self.after_step:
            call(step + 1, x)
        return bound

    def _log_training(self, x: Tensor, bound: Tensor, step: int) -> None:
        with evaluation.fixed_noise(x.device, step):
            terms = evaluation.elbo_terms(self.vae, x)
        self.latest = {"bound": bound} | {
            name: value.mean() for name, value in terms.named().items()
        }
        values = {f"train/{name}": float(value) for name, value in self.latest.items()}
        own = self.vae.latent.logged()
        values |= {f"train/{name}": float(value) for name, value in own.items()}
        for name, buffer in scheduled(self, self.schedules).items():
            values[f"schedule/{name}"] = float(buffer)
        for logger in self.trainer.loggers:
            logger.log_metrics(values | {"epoch": self.current_epoch}, step)

    def _evaluate(self, split: str, x: Tensor, batch_idx: int) -> dict[str, Tensor]:
        with evaluation.fixed_noise(x.device, batch_idx):  # the same at every evaluation
            terms = evaluation.elbo_terms(self.vae, x).named()
            if split == "test" and self.test_samples:
                name = f"log_likelihood_{self.test_samples}"
                terms[name] = self.vae.log_likelihood(x, self.test_samples)
        values = {f"{split}/{name}": value for name, value in terms.items()}
        means = {name: value.mean() for name, value in values.items()}
        self.log_dict(means, batch_size=len(x), on_step=False, on_epoch=True, sync_dist=True)
        return values
