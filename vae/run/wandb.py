"""The rows of a run that is trained, on its page in W&B."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor

from vae.run.files import lines_of
from vae.run.folder import run_id
from vae.run.wandb_mode import prepare_wandb, wandb_id

__all__ = ["RunLogger", "wandb_logger"]


class RunLogger(WandbLogger):
    """A run's page in W&B: the rows of ``metrics.jsonl``, each of them once.

    Every row carries its number, ``row``. A continued run logs some rows again, which W&B already
    has: they are not sent. Rows that W&B has lost are sent first. If W&B fails during a run, a line
    says so, and the run goes on without it.

    Arguments:
        rows: The number of rows in ``metrics.jsonl``.
        sent: The number of rows that W&B has.
        kwargs: As Lightning's ``WandbLogger``.
    """

    def __init__(self, rows: int = 0, sent: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.row, self.sent, self.lost = rows, sent, False
        self.best = -math.inf

    def resend(self, path: Path) -> None:
        """Sends the rows of a ``metrics.jsonl`` that W&B does not have."""
        lines = lines_of(path)[0] if path.exists() else []
        for number, line in enumerate(lines[: self.row]):
            try:
                metrics = json.loads(line)
                step = metrics.pop("step")
                del metrics["time"]
                metrics = self._with_best(metrics)
            except (ValueError, LookupError, AttributeError, TypeError):
                continue  # damaged
            if number >= self.sent:
                self._send(metrics | {"trainer/global_step": step, "row": number})

    def _with_best(self, metrics: dict[str, Any]) -> dict[str, Any]:
        """Adds the best ``val/elbo`` so far to a row, as ``best/val_elbo``.

        A sweep can maximise this one number, and a table of runs be sorted by it.
        """
        if "val/elbo" in metrics:
            self.best = max(self.best, metrics["val/elbo"])  # of a NaN: the one before
            if math.isfinite(self.best):
                return metrics | {"best/val_elbo": self.best}
        return metrics

    def _send(self, metrics: Mapping[str, Any]) -> None:
        self._attempt(lambda: self.experiment.log(dict(metrics)))

    def _attempt(self, send: Callable[[], None]) -> None:
        if self.lost:
            return
        try:
            send()
        except Exception as error:  # no error of W&B's may end the run
            self.lost = True
            reason = " ".join(str(error).split()) or type(error).__name__
            print(
                f"warning: W&B is lost ({reason}); the run goes on without it, and metrics.jsonl"
                " has every number",
                file=sys.stderr,
            )

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        if all(isinstance(value, (int, float, Tensor)) for value in metrics.values()):
            row = self._with_best({k: float(v) for k, v in metrics.items()})
            if self.row >= self.sent:
                self._send(row | {"trainer/global_step": step, "row": self.row})
            self.row += 1
        elif self.row >= self.sent:  # images, which are no rows
            self._send({**metrics, "trainer/global_step": step})

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the page has the whole configuration from its start."""

    @rank_zero_only
    def log_image(self, *args: Any, **kwargs: Any) -> None:
        self._attempt(lambda: super(RunLogger, self).log_image(*args, **kwargs))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self._attempt(lambda: super(RunLogger, self).finalize(status))


def wandb_logger(
    run: Path,
    config: dict[str, Any],
    project: str = "vae",
    group: str | None = None,
    tags: list[str] | None = None,
    rows: int = 0,
) -> Logger | None:
    """Makes a W&B logger for a run, under the run's own id and inside its folder.

    The W&B run is started here and handed to Lightning's logger, which would otherwise pass it an
    argument that W&B warns about.

    Arguments:
        run: The run's folder.
        config: What the page shows as the run's configuration.
        project: The W&B project, unless ``WANDB_PROJECT`` names one.
        group: The W&B group.
        tags: W&B tags.
        rows: The number of rows in ``metrics.jsonl``, of a run that is continued.

    Returns:
        The logger; None if W&B is disabled, and in other processes than the first.

    Raises:
        OSError: If W&B does not start.
    """
    if getattr(rank_zero_only, "rank", 0) != 0:
        return None
    mode = prepare_wandb(run)
    if mode == "disabled":
        return None
    import wandb

    from vae.run.wandb_file import rows_sent

    # Parts of a run are told apart by the second: one restarted at once must not meet the last.
    while list(run.glob(f"wandb/*run-{time.strftime('%Y%m%d_%H%M%S')}-*")):
        time.sleep(0.1)
    page, there = wandb_id(run), set(run.glob("wandb/*"))
    try:
        experiment = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or project,
            id=page,
            name=run_id(run),
            dir=str(run),
            mode=mode,  # type: ignore[arg-type]
            resume="allow",
            config=config,
            group=group,
            tags=tags,
            job_type="train",
        )
    except Exception as error:  # W&B's own are of several kinds
        for path in set(run.glob("wandb/*")) - there:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        raise OSError(
            f"W&B does not start ({error}): WANDB_MODE=offline or disabled goes on without it"
        ) from error
    experiment.define_metric("trainer/global_step")
    experiment.define_metric("row", hidden=True)
    experiment.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    experiment.define_metric("val/elbo", step_metric="trainer/global_step", summary="max,last")
    sent = int(experiment.summary.get("row", -1)) + 1 if mode == "online" else rows_sent(run)
    logger = RunLogger(
        rows,
        sent,
        experiment=experiment,
        project=project,
        save_dir=str(run),
        id=page,
        name=run_id(run),
        log_model=mode == "online",
    )
    logger.resend(run / "metrics.jsonl")
    return logger
