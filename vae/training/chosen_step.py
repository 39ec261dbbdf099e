"""The way to take a training's steps: eagerly, compiled, captured, or by Lightning."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from lightning.pytorch import Callback
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.optim import Optimizer

from vae.data.source import ImageSource
from vae.devices import asynchronous
from vae.training.grouping import OPTIMIZER_HOOKS, overriding
from vae.training.lightning_private import count_step
from vae.training.limits import planned_steps
from vae.training.optimizers import assert_capturable
from vae.training.step import GraphStep, LightningStep, Step
from vae.training.whole import WholeStep

if TYPE_CHECKING:
    from vae.training.module import VAEModule

__all__ = ["LONG", "is_known", "make_step", "what_is_compiled"]

LONG = 5_000
"""The steps of a training from which on it pays, on a CPU, to compile its step.

Measured with the Gaussian model (experiments/results/bench.json): compiling takes as long as it saves
in some 2,400 steps if it was done before on this machine, and in some 11,000 if not; a run of the
default 50 epochs has 19,550.
"""

Compiled = bool | str
"""``step``, the whole step; True, the bound; False, nothing."""


def what_is_compiled(module: VAEModule, before: Compiled | None) -> Compiled:
    """What was asked for; else what was compiled before, where a run is continued; else what pays.

    Arguments:
        module: That a trainer trains.
        before: What its checkpoint says; None if it starts anew.
    """
    if module.compiled is not None:
        return module.compiled
    if before is not None:
        return before
    data = getattr(module.trainer, "datamodule", None)
    if not _is_plain(module) or asynchronous(module.device) or not isinstance(data, ImageSource):
        return False
    if not is_known(module):
        return False
    return "step" if planned_steps(module.trainer, data) >= LONG else False


def make_step(module: VAEModule, optimizer: Optimizer, compiled: Compiled) -> Step:
    """What takes the steps of a module that a trainer trains.

    Raises:
        MisconfigurationException: If they are to be captured, and cannot be.
    """
    trainer, captured = module.trainer, module.captured
    for group in optimizer.param_groups:  # whatever a checkpoint says of another machine
        if "capturable" in group:
            group["capturable"] = captured and asynchronous(module.device)
    if _is_plain(module):
        took = partial(count_step, trainer)
        if not captured:
            return _plain_step(module, optimizer, compiled, took)
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        assert_capturable(optimizer, *schedulers[:1])
        return GraphStep(_plain_step(module, optimizer, compiled, lambda: None), took)
    if captured:
        raise MisconfigurationException(
            "capture is for one process in 32-true precision, without hooks between backward"
            " pass and optimiser step: leave out --model.capture"
        )
    if compiled == "step" and module.global_rank == 0:
        print(
            "the step cannot be one graph, since Lightning takes it (hooks, precision, several"
            " processes): the bound is compiled",
            file=sys.stderr,
        )
    return LightningStep(module, bool(compiled))


def _plain_step(
    module: VAEModule, optimizer: Optimizer, compiled: Compiled, took: Callable[[], None]
) -> Step:
    if compiled != "step":
        return Step(module, optimizer, bool(compiled), took)
    data, size = getattr(module.trainer, "datamodule", None), None
    if isinstance(data, ImageSource):
        size = min(data.batch_size, data.count("train") or data.batch_size)
    return WholeStep(module, optimizer, took, size, otherwise=module.compiled is not None)


def is_known(module: VAEModule) -> bool:
    """Whether all of its parts are classes of this library or of torch.

    Others may look at what a graph does not follow, such as ``trainer.current_epoch``, or keep a
    tensor for a callback to look at: their step is one graph where that was asked for.
    """
    known = {type(part).__module__.partition(".")[0] for part in module.modules()}
    return known <= {"vae", "torch"} and "bound" not in vars(module)


def _is_plain(module: VAEModule) -> bool:
    """Whether steps need nothing of Lightning's: no hooks, one process, full precision."""
    trainer = module.trainer
    if not isinstance(trainer.strategy, SingleDeviceStrategy):
        return False
    if trainer.precision_plugin.precision != "32-true":
        return False
    callbacks = cast(list[Callback], trainer.callbacks)  # type: ignore[attr-defined]
    return not overriding(OPTIMIZER_HOOKS, [*callbacks, module])
