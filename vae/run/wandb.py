"""The run's page in W&B.

W&B logs online where this machine is logged in, offline where it is not, and as ``WANDB_MODE``
says where that is set. It never asks, and is imported only where there is a page.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor

from vae.run.files import replace_text
from vae.run.folder import checked_id, run_id
from vae.run.metrics import lines_of

__all__ = ["RunLogger", "check_wandb", "finish_wandb", "log_table", "wandb_id", "wandb_logger"]


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


def wandb_mode() -> str:
    """The mode of W&B: ``WANDB_MODE``, or else online where W&B can be reached, or else offline.

    It can be reached where this machine is logged in and has a connection.

    Raises:
        ValueError: If ``WANDB_MODE`` is none that W&B knows.
    """
    mode = os.environ.get("WANDB_MODE")
    if mode:
        if mode not in ("online", "offline", "disabled", "dryrun"):
            raise ValueError(f"WANDB_MODE={mode}: choose from online, offline, disabled")
        return mode
    os.environ.pop("WANDB_MODE", None)  # set but empty, which W&B itself would refuse
    import wandb

    try:
        return "online" if wandb.login(prompt=False) else "offline"
    except wandb.errors.Error:  # logged in, but W&B cannot be reached
        return "offline"


def check_wandb() -> str:
    """The mode in which W&B will start; nothing is written.

    Raises:
        ValueError: If the mode is unknown, or online while this machine is not logged in.
    """
    os.environ.setdefault("WANDB_SILENT", "true")  # before W&B is asked anything: read only once
    mode = wandb_mode()
    if mode == "online":
        import wandb

        if not wandb.login(prompt=False):
            raise ValueError(
                "WANDB_MODE=online, and this machine is not logged in: wandb login, or"
                " WANDB_MODE=offline"
            )
    return mode


def _prepare_wandb(run: Path) -> str:
    """Makes a run's folder, has W&B write there, and returns the mode of W&B."""
    mode = check_wandb()
    run.mkdir(parents=True, exist_ok=True)
    # Artifacts are staged here, not in the home folder.
    os.environ["WANDB_DATA_DIR"] = str((run / "wandb" / "data").resolve())
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # RunLogger warns of a lost W&B, once
    finish_wandb(0)  # a page that is open: the new run would silently continue it
    return mode


def wandb_id(run: Path) -> str:
    """The id of the W&B run: the run's own, or the one that a sweep's agent gives.

    The agent's is kept in the folder, for when the run is continued without the agent.
    """
    kept = run / "wandb_id"
    if "WANDB_SWEEP_ID" in os.environ and "WANDB_RUN_ID" in os.environ and not kept.exists():
        replace_text(kept, checked_id(os.environ["WANDB_RUN_ID"], Path("WANDB_RUN_ID")))
    return checked_id(kept.read_text(), kept) if kept.exists() else run_id(run)


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
    mode = _prepare_wandb(run)
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


def finish_wandb(exit_code: int, loggers: Sequence[Logger] = ()) -> None:
    """Ends the W&B run, if there is one, as W&B shows it; a failure is a warning, not an error.

    Arguments:
        exit_code: Of the process.
        loggers: The run's. After one that has warned that W&B was lost, there is no other warning.
    """
    if (wandb := sys.modules.get("wandb")) is None:  # then no page is open
        return
    lost = any(isinstance(logger, RunLogger) and logger.lost for logger in loggers)
    if wandb.run is not None:
        try:
            wandb.finish(exit_code=exit_code)
        except Exception as error:
            if not lost:
                print(f"warning: W&B did not end well ({error})", file=sys.stderr)
            lost = True
    if lost or exit_code:
        with suppress(Exception):  # else W&B reports a dead process of its own at exit
            wandb.teardown(exit_code)


def log_table(run: Path, name: str, rows: list[dict[str, Any]], figure: Path) -> None:
    """Adds a table and its figure to a run's page in W&B, under the run's own id.

    Arguments:
        run: The run's folder.
        name: What the table is called there.
        rows: Column names to values, every row with the same columns.
        figure: A PNG.
    """
    mode = _prepare_wandb(run)
    if mode == "disabled":
        return
    import wandb

    project = os.environ.get("WANDB_PROJECT") or "vae"
    with wandb.init(
        project=project,
        id=wandb_id(run),
        dir=str(run),
        mode=mode,  # type: ignore[arg-type]
        resume="allow",
    ) as page:
        table = wandb.Table(columns=list(rows[0]), data=[list(row.values()) for row in rows])
        page.log({name: table, f"{name}/figure": wandb.Image(str(figure))})
