r"""Many models at once: S models of one architecture, trained as one batched computation.

Stack the parameters of S models along a new first dimension, and a training step is one function
of one model, mapped over that dimension::

    vmap(grad_and_value(loss))(parameters, buffers, model, x)  # each (S, ...)

What were S matrix products is one batched product; what were S kernels is one. Adam is elementwise
and takes the stack as it is.

**Every model takes the steps that it would take alone, to rounding.** It has its own initial
weights, order of images, binarisation and latent noise: its own *stream* of random numbers.
:class:`Streams` intercepts whatever is drawn inside the map, and lets each model draw its slice
from its own generator, which starts where the construction of the model left the global one.
In float64 the weights are those of a run of its own to 1e-12 (``tests/training/test_ensemble.py``); in
float32 the two part at 1e-8, and training may carry that on: to 1e-7 after 240 steps for most, to
6e-3 for RELAX under IWAE.

The members' parameters are views of the stack. So each is an ordinary module all along, which
evaluates, is annealed and is saved as if there were no others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple, cast

import torch
from lightning.pytorch import LightningModule, seed_everything
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.func import stack_module_state
from torch.optim import Optimizer

from vae.data.description import data_names
from vae.data.loader import mix_seeds
from vae.devices import keep_freed_memory
from vae.models.centering import center
from vae.models.schedules import fill
from vae.training.grouping import group_steps
from vae.training.lightning_private import count_step, regroup, set_logged_step
from vae.training.many.compiled import CompiledGradients
from vae.training.many.data import EnsembleData
from vae.training.many.mapped import Loss, detached, gradients
from vae.training.many.streams import Generators, on_device
from vae.training.many.terms import terms_of
from vae.training.module import VAEModule
from vae.training.optimizers import plain_numbers
from vae.training.step import laid_out_as
from vae.training.traced import Untraceable

__all__ = ["Ensemble", "VARIABLE", "seeded"]


VARIABLE = (
    "lr",
    "estimator_lr",
    "beta",
    "beta_warmup",
    "temperature",
    "temperature_min",
    "anneal_rate",
    "anneal_every",
    "prior_temperature",
)
"""The hyper-parameters in which models may differ: they are in a buffer, a schedule, or the
optimiser's groups. Any other is a Python number inside the one function that is mapped."""


def seeded(seed: int, make: Callable[[], VAEModule]) -> tuple[VAEModule, torch.Generator]:
    """A model with the weights that a run of its own would start with, and its generator.

    The generator is in the state in which drawing the weights leaves the global one.
    """
    seed_everything(seed, workers=True, verbose=False)
    module = make()
    return module, torch.Generator().set_state(torch.get_rng_state())


class _Slice(NamedTuple):
    """A parameter of consecutive models, as the optimiser has it: a view of the stack."""

    name: str
    models: slice
    values: Tensor


class Ensemble(LightningModule):
    """Trains S models at once.

    Arguments:
        members: The models, of one class and architecture; they may differ in ``VARIABLE``.
        generators: For each, the state in which its construction left the global generator
            (:func:`seeded`).
        compile: Whether the mapped step is compiled (torch.compile), where it can be.

    Attributes:
        bounds: That of each model at the last step, (S,), in nats an image.
        latest: Their mean, for the progress bar.
        after_step: Functions to call after each optimiser step with its number, from 1 on, and the
            images, ``(S, B, *image)``.

    Raises:
        ValueError: If the models differ in what they must share.
    """

    bounds: Tensor

    def __init__(
        self,
        members: Sequence[VAEModule],
        generators: Sequence[torch.Generator],
        compile: bool = False,
    ) -> None:
        super().__init__()
        if not members or len(members) != len(generators):
            raise ValueError(f"{len(members)} models, and generators of {len(generators)}")
        for member in members:
            first, own = _shared(members[0]), _shared(member)
            if differing := [key for key in first | own if first.get(key) != own.get(key)]:
                raise ValueError(
                    f"models trained at once may differ in {', '.join(VARIABLE)}, not in"
                    f" {', '.join(differing)}"
                )
        self.automatic_optimization = False
        self.compiled, self._compiled = compile, cast(CompiledGradients | None, None)
        self.members = nn.ModuleList(members)
        self.latest: dict[str, Tensor] = {}
        self.after_step: list[Callable[[int, Tensor], None]] = []
        self._starts = list(generators)
        self._saved: dict[str, Tensor] = {}  # the generators' states, of a run that is continued

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[VAEModule]:
        return iter(cast(list[VAEModule], self.members))

    def configure_optimizers(self) -> Any:
        """Stacks the models on their device, and makes one optimiser for all.

        Models with other options have groups of their own.
        """
        losses = [Loss(member) for member in self]
        parameters, buffers = stack_module_state(losses)
        self._stack = detached(parameters), buffers
        for s, loss in enumerate(losses):
            for stacked, named in zip(
                self._stack, (loss.named_parameters(), loss.named_buffers()), strict=True
            ):
                for name, tensor in named:
                    tensor.data = stacked[name][s]
        self._generators = self._continued_generators()
        if self.compiled:
            self._compiled = CompiledGradients(losses[0], *self._stack, self._generators)
        optimizers = [loss.module.build_optimizer() for loss in losses]
        self._slices: list[_Slice] = []
        groups: list[dict[str, Any]] = []
        for _, alike in groupby(range(len(losses)), key=lambda s: _options(optimizers[s])):
            numbers = list(alike)
            models = slice(numbers[0], numbers[-1] + 1)
            names = {id(p): name for name, p in losses[models.start].named_parameters()}
            for group in optimizers[models.start].param_groups:
                slices = [
                    _Slice(name, models, self._stack[0][name][models])
                    for name in (names[id(p)] for p in group["params"])
                ]
                self._slices += slices
                groups.append(group | {"params": [values for _, _, values in slices]})
        optimizer = losses[0].module.build_optimizer(groups)
        scheduler = losses[0].module.build_scheduler(optimizer)
        return optimizer if scheduler is None else ([optimizer], [scheduler])

    def _continued_generators(self) -> list[torch.Generator]:
        """What each model draws from: from its start on, or from where a checkpoint was written."""
        found = [on_device(start, self.device) for start in self._starts]
        if not self._saved:
            return found
        states = [self._saved[str(s)] for s in range(len(found))]
        self._saved = {}
        for s, (generator, state) in enumerate(zip(found, states, strict=True)):
            if generator.get_state().shape == state.shape:
                generator.set_state(state)
            else:  # of another kind of device, where it cannot go on exactly
                generator.manual_seed(mix_seeds(generator.initial_seed(), self._saved_step, s))
        return found

    def setup(self, stage: str) -> None:
        data = getattr(self.trainer, "datamodule", None)
        if stage == "fit" and isinstance(data, EnsembleData):
            center(self, data.mean_image)
            group_steps(self.trainer, self, data)

    def on_train_start(self) -> None:
        if self.device.type == "cpu":
            keep_freed_memory()

    def training_step(self, batch: Tensor | Iterable[Tensor], batch_idx: int) -> None:
        """One optimiser step of every model for each batch ``(S, B, *image)`` of a group."""
        for x in [batch] if isinstance(batch, Tensor) else batch:
            self._train_on(x)
            if self.global_step == self.trainer.max_steps:
                break

    def _train_on(self, x: Tensor) -> None:
        """One optimiser step of every model, each on its images: ``(S, B, *image)``."""
        trainer, step = self.trainer, self.global_step
        for member in self:
            fill(member, member.schedules, step)
        gradient, self.bounds = self._gradients(x)
        for name, models, values in self._slices:
            values.grad = laid_out_as(values, gradient[name][models])
        cast(LightningOptimizer, self.optimizers()).optimizer.step()
        count_step(trainer)
        for config in trainer.lr_scheduler_configs:
            config.scheduler.step()  # type: ignore[call-arg]
        set_logged_step(trainer, step)
        for call in self.after_step:
            call(step + 1, x)

    def _gradients(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Those of each model, and its bound (S,); compiled, where that was asked for."""
        if self._compiled is not None:
            try:
                return self._compiled(x)
            except Untraceable as reason:
                self._compiled = None
                print(f"the step is not compiled, since {reason}", file=sys.stderr)
        template, source = Loss(next(iter(self))), Generators(self._generators)
        return gradients(template, *self._stack, source, x)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        models = f"it holds {len(self)} models trained at once"
        checkpoint.setdefault("vae", {}).update(
            {
                "model": None,
                "parts": None,
                "why_not": models,
                "data": None,
                "data_why_not": models,
                "together": [
                    {**member.names(), **data_names(data)}
                    for member, data in zip(self, self._data(), strict=True)
                ],
                "precision": self.trainer.precision,
                "generators": {str(s): g.get_state() for s, g in enumerate(self._generators)},
            }
        )
        for name in ("optimizer_states", "lr_schedulers", "callbacks"):
            plain_numbers(checkpoint.get(name))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._saved = checkpoint["vae"]["generators"]
        self._saved_step = checkpoint["global_step"]
        if isinstance(data := getattr(self.trainer, "datamodule", None), EnsembleData):
            regroup(checkpoint, data.steps_per_batch)

    def _data(self) -> Sequence[Any]:
        data = getattr(self.trainer, "datamodule", None)
        return data.members if isinstance(data, EnsembleData) else [None] * len(self)

    def validation_step(self, x: Tensor, batch_idx: int) -> dict[str, Tensor]:
        return self.terms("val", x, batch_idx)

    def test_step(self, x: Tensor, batch_idx: int) -> dict[str, Tensor]:
        return self.terms("test", x, batch_idx)

    def terms(self, split: str, x: Tensor, seed: int) -> dict[str, Tensor]:
        """What a run of each model would log of images ``(B, *image)``, or ``(S, B, *image)``:
        (S, B), in nats."""
        # one after the other, and not mapped: all have the same noise in an evaluation
        rows = [
            terms_of(member, x[s] if split == "train" else x, seed, split == "test")
            for s, member in enumerate(self)
        ]
        return {f"{split}/{name}": torch.stack([row[name] for row in rows]) for name in rows[0]}


def _shared(member: VAEModule) -> dict[str, Any]:
    own = {key: value for key, value in member.hparams.items() if key not in VARIABLE}
    return own | {"class": type(member)}


def _options(optimizer: Optimizer) -> list[dict[str, Any]]:
    return [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
