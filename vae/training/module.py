r"""The Lightning module. The sign flips here, once: the loss is the negative bound, in nats an
image.

One step of Lightning's loop is several optimiser steps (``steps_per_batch`` of the data): the
loop's own cost, of the order of a small VAE's whole step, is paid once for all of them. What
counts steps counts optimiser steps, whatever their grouping: ``global_step``, ``max_steps``,
schedules, logging, and the place where an interrupted run goes on.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.optim import Adam

from vae.analysis import evaluation
from vae.data.batch import batches_in, images_in
from vae.data.description import data_names, plain_hyper_parameters
from vae.data.loader import Steps, mix_seeds
from vae.devices import asynchronous, generators, keep_freed_memory, set_generators
from vae.estimators import Estimate
from vae.models.schedules import fill
from vae.training.capture import CapturedStep
from vae.training.composed import ComposedModule
from vae.training.nonfinite import NonFiniteError, first_non_finite

__all__ = ["VAEModule"]


class VAEModule(ComposedModule):
    """Trains a VAE by a bound, with the gradient of an estimator.

    Logs, in nats an image: ``train/bound`` (what is maximised), and ``train/elbo``,
    ``train/rate``, ``train/distortion`` of the model with hard latents on the same batch;
    ``val/...`` and ``test/...`` likewise; ``test/log_likelihood_K``. A rate without a closed form
    is estimated from samples, and logged as ``rate_mc``.

    Arguments:
        lr: Adam's step size; by default 1e-3.
        estimator_lr: That of the estimator's own parameters (a baseline, a control variate); by
            default that of the model's.
        optimizer: Another optimiser than Adam: a class whose first argument is the parameters.
        test_samples: K of ``test/log_likelihood_K``.
        gradient_clip_norm: The norm to which the model's gradient is clipped; by default it is not.
        compile: Whether the bound is compiled (torch.compile) in training.
        capture: Whether a training step is one CUDA graph; needs a GPU.
        parts: Those of :func:`vae.models.composition.compose`.

    Attributes:
        after_step: Called after each optimiser step with its number, from 1 on, and its images.
        latest: What was last logged in training.

    Raises:
        NonFiniteError: In training, if the loss or a gradient is not finite.
    """

    def __init__(
        self,
        lr: float | None = None,
        estimator_lr: float | None = None,
        optimizer: Callable[[Iterable], torch.optim.Optimizer] | None = None,
        test_samples: int = 100,
        gradient_clip_norm: float | None = None,
        compile: bool = False,
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
        if test_samples < 1:
            raise ValueError(f"test_samples must be at least 1, got {test_samples}")
        if gradient_clip_norm is not None and not gradient_clip_norm > 0:
            raise ValueError(f"gradient_clip_norm must be positive, got {gradient_clip_norm}")
        self.make_optimizer, self.given_estimator_lr = optimizer, estimator_lr
        self.test_samples, self.gradient_clip_norm = test_samples, gradient_clip_norm
        self.compiled, self.captured = compile, capture
        self.after_step: list[Callable[[int, Tensor], None]] = []
        self.latest: dict[str, Tensor] = {}
        self._generators: dict[str, Tensor] = {}  # of a run that is continued
        self._compiled_bound: Callable[[Tensor], Estimate] | None = None
        self._graph: CapturedStep | None = None

    def training_step(self, batch: Tensor | Steps, batch_idx: int) -> None:
        """One optimiser step for every batch of images, ``(B, *image)`` each."""
        if self._generators:  # continued: as if it had never stopped
            self._restore_generators()
        trainer, optimizer = self.trainer, cast(LightningOptimizer, self.optimizers())
        direct = self._direct()
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        step = self.global_step
        # under a gradient scaler, which expects infinities, only the bound is looked at
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        parameters = list(self.parameters())
        vectors = [] if scaler else [p for p in parameters if p.dim() == 1]
        # GPUs are not made to wait: there, what is checked is what is logged
        watched = not asynchronous(self.device)
        for x in batches_in(batch):
            fill(self, self.schedules, step)
            recorded = every > 0 and (step + 1) % every == 0
            before = generators(self.device) if watched else {}
            own = [b.clone() for b in self.estimator.buffers()] if watched or recorded else []
            if self._graph is not None:
                optimizer._on_before_step()  # counts
                bound, checked = self._graph(x)
                optimizer._on_after_step()
                if recorded:
                    self._check(checked, step, x, before, own)
            else:
                bound = self._backward(x, parameters, direct)
                if watched or recorded:
                    self._check(_checked(bound, vectors), step, x, before, own)
                self._clip(scaler)
                if direct:
                    optimizer._on_before_step()
                    optimizer.optimizer.step()
                    optimizer._on_after_step()
                else:
                    optimizer.step()
            step += 1
            # What Lightning takes for the step when it logs: it would count groups of steps.
            trainer.fit_loop.epoch_loop._batches_that_stepped = step - 1
            if recorded:
                self._log_training(x, bound.detach().clone(), step - 1)
            for call in self.after_step:
                call(step, x)
            if step == trainer.max_steps:
                break

    def _backward(self, x: Tensor, parameters: Sequence[Tensor], direct: bool) -> Tensor:
        """The bound, (), its gradient in the parameters."""
        estimate = (self._compiled_bound or self.bound)(x)
        for parameter in parameters:
            parameter.grad = None
        if direct:
            estimate.loss.backward()
        else:
            self.manual_backward(estimate.loss)
        return estimate.bound.detach().mean()

    def _clip(self, scaler: torch.amp.GradScaler | None = None) -> None:
        if self.gradient_clip_norm is not None:
            scale = 1.0 if scaler is None else scaler.get_scale()  # the optimiser divides by it
            norm = self.gradient_clip_norm * scale
            torch.nn.utils.clip_grad_norm_(self.vae.parameters(), norm)

    def _prepare_step(self) -> None:
        """Compiles it, or has it captured, as asked."""
        if self.compiled:  # noise from torch's own generator; the last batch is another graph
            options: dict[str, Any] = {"fallback_random": True}
            self._compiled_bound = torch.compile(self.bound, dynamic=False, options=options)
        optimizer = cast(LightningOptimizer, self.optimizers()).optimizer
        for group in optimizer.param_groups:  # whatever a checkpoint says of another machine
            group["capturable"] = self.captured and asynchronous(self.device)
        if self.captured:
            self._graph = self._captured_step(optimizer)

    def _captured_step(self, optimizer: torch.optim.Optimizer) -> CapturedStep:
        if not self._direct():
            raise MisconfigurationException(
                "capture is for one process in 32-true precision, without hooks between backward"
                " pass and optimiser step: leave out --model.capture"
            )
        parameters = list(self.parameters())
        vectors = [p for p in parameters if p.dim() == 1]

        def step(x: Tensor) -> tuple[Tensor, Tensor]:
            bound = self._backward(x, parameters, direct=True)
            checked = _checked(bound, vectors)  # inside: a replay does not show gradients
            self._clip()
            optimizer.step()
            return bound.detach(), checked

        return CapturedStep(self, optimizer, step)

    def on_train_end(self) -> None:
        self._compiled_bound = self._graph = None

    def _direct(self) -> bool:
        """Whether backward pass and optimiser step need nothing of Lightning's: one process, full
        precision, and no hook between them. What it would cost is a tenth of a millisecond."""
        strategy = self.trainer.strategy
        plain = isinstance(strategy, SingleDeviceStrategy) and (
            strategy.precision_plugin.precision == "32-true"
        )
        hooks = ("on_before_backward", "on_after_backward", "on_before_optimizer_step")
        callbacks = cast(list[Callback], self.trainer.callbacks)  # type: ignore[attr-defined]
        return plain and all(
            getattr(type(hooked), hook) is getattr(base, hook)
            for hook in hooks
            for base, found in ((Callback, callbacks), (LightningModule, [self]))
            for hooked in found
        )

    def _check(
        self,
        checked: Tensor,
        step: int,
        x: Tensor,
        before: dict[str, Tensor],
        own: list[Tensor],
    ) -> None:
        """Raises if the bound or a gradient was not finite, as ``_checked`` has it."""
        if math.isfinite(checked):
            return
        for buffer, value in zip(self.estimator.buffers(), own, strict=True):
            buffer.copy_(value)
        if before:
            set_generators(before, self.device)
        found = first_non_finite(self, x) or "the sum of bound and gradients is not finite"
        if before:  # a checkpoint written now repeats the step
            for buffer, value in zip(self.estimator.buffers(), own, strict=True):
                buffer.copy_(value)
            set_generators(before, self.device)
        raise NonFiniteError(
            f"{found}, at step {step} (epoch {self.current_epoch}, batch of {len(x)} images)"
        )

    def _log_training(self, x: Tensor, bound: Tensor, step: int) -> None:
        with evaluation.fixed_noise(x.device, step):
            terms = evaluation.elbo_terms(self.vae, x)
        self.latest = {"bound": bound} | {
            name: value.mean() for name, value in terms.named().items()
        }
        values = {f"train/{name}": float(value) for name, value in self.latest.items()}
        for name, buffer in self.named_buffers():
            if name.endswith(("beta", ".temperature")):
                values[f"schedule/{name.rpartition('.')[2]}"] = float(buffer)
        for logger in self.trainer.loggers:
            logger.log_metrics(values | {"epoch": self.current_epoch}, step)

    def _evaluate(self, split: str, x: Tensor, batch_idx: int) -> None:
        with evaluation.fixed_noise(x.device, batch_idx):  # the same at every evaluation
            terms = evaluation.elbo_terms(self.vae, x).named()
            if split == "test":
                name = f"log_likelihood_{self.test_samples}"
                terms[name] = self.vae.log_likelihood(x, self.test_samples)
        values = {f"{split}/{name}": value.mean() for name, value in terms.items()}
        self.log_dict(values, batch_size=len(x), on_step=False, on_epoch=True, sync_dist=True)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate("val", images_in(batch), batch_idx)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate("test", images_in(batch), batch_idx)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        groups: list[dict[str, Any]] = [{"params": list(self.vae.parameters())}]
        own = list(self.estimator.parameters())
        if own:  # a group of the one optimiser: two optimisers would count every step twice
            groups.append({"params": own})
        if self.make_optimizer is not None:
            if own and self.given_estimator_lr is not None:
                groups[1]["lr"] = self.given_estimator_lr
            return self.make_optimizer(groups)
        if own:
            groups[1]["lr"] = self.estimator_lr
        return Adam(groups, lr=self.lr, fused=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        data = getattr(self.trainer, "datamodule", None)
        checkpoint.setdefault("vae", {}).update(
            {
                **self.names(),
                **data_names(data),
                "precision": self.trainer.precision,
                # of a run that is continued, and has not drawn yet, those to draw from
                "generators": self._generators or self._all_generators(),
            }
        )

        plain_hyper_parameters(checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._generators = checkpoint["vae"].get("generators", {})

    def on_fit_start(self) -> None:
        if self.trainer.world_size > 1 and not self._generators:
            # Every process starts from the same seed, for the same weights: not for the same
            # noise. Before the first checkpoint, which holds the generators.
            torch.manual_seed(mix_seeds(torch.initial_seed(), self.global_rank))

    def on_train_start(self) -> None:
        self._prepare_step()
        if self.device.type == "cpu":
            keep_freed_memory()
            # Lightning has torch ask the driver whether there is a GPU; Adam asks at every step
            os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)

    def _all_generators(self) -> dict[str, Tensor]:
        """Of all processes, each with a leading dimension if they are several."""
        states = generators(self.device)
        if self.trainer.world_size == 1:
            return states
        gathered = {k: self.all_gather(v.to(self.device)) for k, v in states.items()}
        return {k: cast(Tensor, v).cpu() for k, v in gathered.items()}

    def _restore_generators(self) -> None:
        states, self._generators = self._generators, {}
        if states["cpu"].dim() == 1:
            alone = self.trainer.world_size == 1
            states = {k: v[None] for k, v in states.items()} if alone else {}
        same = self.device.type in states and len(states["cpu"]) == self.trainer.world_size
        if not same:  # another device, or number of processes: not the same run any more
            seed = mix_seeds(torch.initial_seed(), self.global_step, self.global_rank)
            torch.manual_seed(seed)
            return
        set_generators({k: v[self.global_rank] for k, v in states.items()}, self.device)


def _checked(bound: Tensor, vectors: Sequence[Tensor]) -> Tensor:
    """A number, (), that is finite if the bound and the gradients are. Of the gradients it looks at
    the biases': what is wrong in a layer's gradient is wrong in its bias's, at a fraction of the
    cost."""
    total = bound.detach()
    for vector in vectors:
        if vector.grad is not None:
            total = total + vector.grad.sum()
    return total
