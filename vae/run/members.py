"""The runs of models that are trained together: each has a folder and checkpoints of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from torch import Tensor

from vae.data.description import data_names
from vae.data.source import ImageSource
from vae.models.schedules import scheduled
from vae.run.lock import RunLock
from vae.run.metrics import JSONLLogger
from vae.training.callbacks.standard_errors import with_errors
from vae.training.many.module import Ensemble
from vae.training.module import VAEModule

__all__ = ["MemberRun", "MemberRuns"]


@dataclass
class MemberRun:
    """One of the models, with what a run of its own would leave behind.

    Attributes:
        model: The model; its weights are a part of the stack.
        data: Its images, in the order of its own seed.
        config: What ``config.yaml`` holds: with it, ``vae fit`` trains this model alone.
        options: The same, as they were parsed.
        seed: Its seed.
        varied: The hyper-parameters in which it differs from others.
        folder: Its run's folder.
        lock: Holds the folder.
        record: What ``run.json`` holds.
        loggers: Its ``metrics.jsonl`` and its page in W&B.
        best: The highest ``val/elbo`` so far, in nats.
        diverged: Whether a metric was NaN or infinite.
        rows: How many rows of its ``metrics.jsonl`` to keep, where it is continued.
        results: What ``results.json`` holds.
    """

    model: VAEModule
    data: ImageSource
    config: dict[str, Any]
    options: Any
    seed: int = 0
    varied: dict[str, float] = field(default_factory=dict)
    folder: Path = Path()
    lock: RunLock | None = None
    record: dict[str, Any] = field(default_factory=dict)
    loggers: list[Logger] = field(default_factory=list)
    best: float = -math.inf
    diverged: bool = False
    rows: int | None = None
    results: dict[str, Any] = field(default_factory=dict)

    def log(self, metrics: Mapping[str, float], step: int, epoch: int) -> None:
        """Logs a row, and notes if the model has diverged."""
        self.diverged |= not all(map(math.isfinite, metrics.values()))
        for logger in self.loggers:
            logger.log_metrics({**metrics, "epoch": epoch}, step)

    def state(self) -> dict[str, Any]:
        """What the group's checkpoint holds of this run, besides the model."""
        rows = [logger.rows for logger in self.loggers if isinstance(logger, JSONLLogger)]
        return {
            "id": self.folder.name,
            "seed": self.seed,
            "rows": rows[0] if rows else 0,
            "best": self.best,
            "diverged": self.diverged,
        }

    def sync(self) -> None:
        """Returns when every row of its metrics is on the disk."""
        for logger in self.loggers:
            if isinstance(logger, JSONLLogger):
                logger.sync()

    def go_on(self, state: Mapping[str, Any], runs: Path) -> None:
        """Continues as :meth:`state` said, in its folder among ``runs``."""
        self.folder, self.rows = runs / state["id"], state["rows"]
        self.best, self.diverged = state["best"], state["diverged"]

    def save(self, trainer: Trainer, name: str, epoch: int) -> None:
        """Writes a checkpoint as a run of its own would, but for the optimiser's state."""
        contents = {
            "epoch": epoch,
            "global_step": trainer.global_step,
            "pytorch-lightning_version": lightning.__version__,
            # copies: a view would take the whole stack into the file
            "state_dict": {k: v.detach().clone() for k, v in self.model.state_dict().items()},
            "vae": {**self.model.names(), **data_names(self.data)},
        }
        trainer.strategy.save_checkpoint(contents, self.folder / "checkpoints" / name)

    def restore(self, name: str) -> None:
        """Gives the model the weights of a checkpoint of its own, if there is one."""
        path = self.folder / "checkpoints" / name
        if path.exists():
            contents = torch.load(path, map_location="cpu", weights_only=True)
            self.model.load_state_dict(contents["state_dict"])


class MemberRuns(Callback):
    """Logs, judges and saves each model of an ensemble as a run of its own.

    What it knows of each is in the group's checkpoint, under ``["vae"]["members"]``.

    Arguments:
        runs: In the order of the models in the :class:`~vae.training.many.module.Ensemble`.
    """

    def __init__(self, runs: list[MemberRun]) -> None:
        self.runs = runs
        self.values: dict[str, list[Tensor]] = {}

    takes_groups = True  # logs after the optimiser's steps, by ``after_step``

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Ensemble)
        pl_module.after_step.append(partial(self._log_step, trainer, pl_module))

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        members = [run.state() for run in self.runs]
        checkpoint.setdefault("vae", {})["members"] = members

    def _log_step(self, trainer: Trainer, pl_module: Ensemble, step: int, batch: Tensor) -> None:
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not every or step % every:
            return
        terms = pl_module.terms("train", batch, step - 1)
        values = {"train/bound": pl_module.bounds}
        values |= {name: value.mean(1) for name, value in terms.items()}
        pl_module.latest = {"bound": pl_module.bounds.mean()}
        for run, row in zip(self.runs, _rows(values), strict=True):
            for name, buffer in scheduled(run.model, run.model.schedules).items():
                row[f"schedule/{name}"] = float(buffer)
            run.log(row, step - 1, trainer.current_epoch)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Tensor,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        for name, values in outputs.items():
            self.values.setdefault(name, []).append(values)

    on_test_batch_end = on_validation_batch_end

    def _log_averages(self, trainer: Trainer, step: int, test: bool = False) -> None:
        values = {name: torch.cat(parts, 1) for name, parts in self.values.items()}  # (S, N)
        self.values = {}
        means = {name: value.mean(1) for name, value in values.items()}
        for place, (run, row) in enumerate(zip(self.runs, _rows(means), strict=True)):
            run.log(row, step, trainer.current_epoch)
            finite = {k: round(v, 4) if math.isfinite(v) else None for k, v in row.items()}
            own = {k: value[place] for k, value in values.items()} if test else {}
            run.results = {"metrics": finite, **with_errors(own), "diverged": run.diverged}
            if row.get("val/elbo", -math.inf) > run.best:  # never, of a model that diverged
                run.best = row["val/elbo"]
                run.save(trainer, "best.ckpt", trainer.current_epoch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log_averages(trainer, trainer.global_step - 1)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log_averages(trainer, trainer.global_step, test=True)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        for run in self.runs if trainer.global_step else []:
            run.save(trainer, "last.ckpt", trainer.current_epoch)


def _rows(values: Mapping[str, Tensor]) -> list[dict[str, float]]:
    """One row of numbers a model, of tensors (S,)."""
    columns = {name: column.tolist() for name, column in values.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
