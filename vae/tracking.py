"""The run directory, its id, and the loggers.

A run owns one folder, ``runs/<id>``: ``config.yaml``, ``run.json`` (id, command, git revision,
versions, seed), ``metrics.jsonl``, ``checkpoints/best.ckpt`` and ``last.ckpt``, ``images/``,
``results.json`` and ``wandb/``. The id is made before anything else, and W&B uses it too.

W&B logs online where this machine is logged in, offline where it is not, and as ``WANDB_MODE``
says where that is set. It never asks.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import platform
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning
import torch
import wandb
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor

from vae.history import read_history

__all__ = [
    "JSONLLogger",
    "RunLogger",
    "assert_name",
    "check_wandb",
    "describe_run",
    "find_device",
    "finish_wandb",
    "new_run",
    "hardware",
    "log_table",
    "read_json",
    "run_id",
    "runs_dir",
    "wandb_logger",
    "wandb_id",
    "writable",
    "write_json",
]


def runs_dir() -> Path:
    """Where runs are: ``VAE_RUNS_DIR`` if it is set, else ``runs`` in the current folder."""
    return Path(os.environ.get("VAE_RUNS_DIR", "").strip() or "runs").expanduser()


ROOM = 2**20
"""Bytes that a disk must have left for a run to begin: on a full one, W&B complains for ever."""


def assert_name(name: str) -> None:
    """Refuses a name that cannot be a part of a folder's and a W&B run's name everywhere.

    Raises:
        ValueError: If it is not of plain letters, digits and few signs, or too long.
    """
    if not re.fullmatch(r"[\w.-]{1,80}", name, re.ASCII):
        raise ValueError(
            f"name {name[:100]!r}: unaccented letters, digits, '.', '_' and '-' only, please, 80"
            " at most"
        )


def new_run(name: str) -> Path:
    """The folder of a new run, which does not exist yet; its name is the run's id.

    Raises:
        ValueError: If the name cannot be part of a folder's and a W&B run's name, or no folder can
            be made.
    """
    assert_name(name)
    try:
        runs_dir().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=runs_dir()) as file:
            file.write(bytes(ROOM))
            file.flush()
    except OSError as error:
        raise ValueError(
            f"cannot write runs to {runs_dir()} ({error.strerror}): set VAE_RUNS_DIR"
        ) from None
    while True:
        run = runs_dir() / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}-{secrets.token_hex(4)}"
        if not run.exists():
            return run


def run_id(run: Path) -> str:
    """The id of a run: what its ``run.json`` says, wherever the folder is now and by whatever link
    it was reached; without one, the folder's name.

    Raises:
        ValueError: If it is no id.
    """
    record = read_json(run / "run.json") if (run / "run.json").is_file() else {}
    found = record.get("id", run.resolve().name) if isinstance(record, dict) else None
    return _checked_id(found, run / "run.json")


def _checked_id(found: object, path: Path) -> str:
    """It becomes a part of W&B's file names."""
    if not isinstance(found, str) or not re.fullmatch(r"[\w.-]{1,128}", found):
        raise ValueError(f"{path} names no run (its id is {found!r}): it was damaged or edited")
    return found


def describe_run(run: Path, seed: int | None, device: str) -> dict[str, Any]:
    """What ``run.json`` holds: enough to know where a number came from, and who works there."""
    return {
        "id": run_id(run),
        "command": shlex.join(["python", *sys.argv]),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "host": platform.node(),
        "pid": os.getpid(),
        "seed": seed,
        "git": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain")),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "wandb": wandb.__version__,
        "hardware": hardware(device),
    }


def find_device(name: str) -> str:
    """``name`` itself, or the accelerator where there is one for "auto".

    Raises:
        ValueError: If torch cannot use it.
    """
    if name == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return "cpu" if found is None else found.type
    try:
        torch.empty(1, device=name).cpu()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ValueError(f"device {name} is not there: use cpu, cuda or auto") from None
    return name


def hardware(device: str) -> str:
    """The GPU's name, or the processor's with the number of threads in use."""
    module = torch.get_device_module(device)
    if hasattr(module, "get_device_name"):
        return str(module.get_device_name(device))
    cpuinfo = Path("/proc/cpuinfo")
    names = (
        [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text().splitlines()
            if line.startswith("model name")
        ]
        if cpuinfo.exists()
        else []
    )
    return f"{names[0] if names else platform.machine()}, {torch.get_num_threads()} threads"


def _git(*arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):  # installed without git, or outside a repository
        return None


OWN = ("run.json", "config.yaml", "results.json")
"""Files of a run that training writes, and nothing else."""

RESULTS = (".json", ".csv", ".png")
"""Suffixes of what is computed, and can be again."""


def replace_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(f"cannot write {path} ({error.strerror})") from None


def writable(path: Path) -> Path:
    """A path that a result can be written to, ``~`` expanded: asked before the result is computed,
    which may take hours. Nothing is left there.

    Raises:
        OSError: If it cannot be.
        ValueError: If a file is there that is no result: a checkpoint, a configuration, a run's own.
    """
    path = path.expanduser()
    own = path.name in OWN and any((path.parent / name).is_file() for name in OWN[:2])
    if path.is_file() and (own or path.suffix not in RESULTS):
        raise ValueError(f"{path} is there, and no result to be replaced: name another file")
    folder = next(p for p in path.absolute().parents if p.exists())
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not path.is_file():  # a device
            with path.open("ab"):
                return path
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"cannot write {path} ({error.strerror})") from None
    return path


def read_json(path: Path, **parts: type | tuple[type, ...]) -> dict[str, Any]:
    """The object that a JSON file holds.

    Arguments:
        path: The file.
        parts: Names that it must hold, with the types of their values.

    Raises:
        ValueError: If it is not JSON, no object, or lacks a part.
    """
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is not JSON: it was cut short or edited; delete it") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object: it was edited; delete it")
    for name, kind in parts.items():
        if not isinstance(content.get(name), kind):
            raise ValueError(f"{path} has no {name}, or of another kind: it was edited; delete it")
    return content


def write_json(path: Path, content: Any) -> None:
    """Writes a file whole or not at all."""
    replace_text(path, json.dumps(content, indent=2) + "\n")


def _lines(path: Path) -> tuple[list[str], str]:
    """The lines of a file that may be damaged, and its text."""
    text = path.read_bytes().decode(errors="replace")
    return text.removesuffix("\n").split("\n") if text else [], text


class JSONLLogger(Logger):
    """Appends every logged set of metrics to ``metrics.jsonl``, a line each, with its optimiser
    step and the time.

    Arguments:
        run: The run's folder.
        rows: How many of the lines that are there are kept, by default all: a run that is continued
            logs anew what came after its checkpoint. The others go when the first row is logged,
            or with :meth:`begin`.
    """

    def __init__(self, run: Path, rows: int | None = None) -> None:
        super().__init__()
        self.run, self.path, self.rows = run, run / "metrics.jsonl", 0
        self._kept: str | None = None  # what it is to be cut to
        if self.path.exists():
            lines, text = _lines(self.path)
            self.rows = len(lines[:rows])
            kept = "".join(f"{line}\n" for line in lines[:rows])
            self._kept = kept if kept != text else None

    def begin(self) -> None:
        """Cuts the file to the rows that are kept."""
        if self._kept is not None:
            replace_text(self.path, self._kept)
            self._kept = None

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def version(self) -> str:
        return self.run.name

    @property
    def save_dir(self) -> str:
        return str(self.run)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The configuration is in ``config.yaml``."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float | Tensor], step: int | None = None) -> None:
        line = {"step": step, "time": round(time.time(), 3)} | {
            k: float(v) for k, v in metrics.items()
        }
        self.run.mkdir(parents=True, exist_ok=True)
        self.begin()
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise OSError(f"cannot write {self.path} ({error.strerror})") from None
        self.rows += 1

    def sync(self) -> None:
        """Returns when every line is on the disk."""
        if self.path.exists():
            with self.path.open("a") as file:
                os.fsync(file.fileno())


class RunLogger(WandbLogger):
    """W&B's page of a run: the same rows as ``metrics.jsonl``, each once, however often the run
    was cut short and continued.

    Every row carries its number, ``row``. What a continued run logs again, W&B already has, and
    is not sent; what W&B lost, is sent first. Where W&B fails in mid-run, a line says so, and the
    run goes on without it.

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
        """Sends the rows of a ``metrics.jsonl`` that W&B has not."""
        lines = _lines(path)[0] if path.exists() else []
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
        """A row of numbers, with the best ``val/elbo`` so far as ``best/val_elbo``, one number, which
        a sweep can maximise and a table of runs sort by."""
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
        except Exception as error:  # whatever it is: the run is worth more
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
        """The page has the whole configuration from its start: Lightning's would be there twice."""

    @rank_zero_only
    def log_image(self, *args: Any, **kwargs: Any) -> None:
        self._attempt(lambda: super(RunLogger, self).log_image(*args, **kwargs))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self._attempt(lambda: super(RunLogger, self).finalize(status))


def rows_sent(run: Path) -> int:
    """The number of rows that a run's offline W&B files hold, 0 if there are none."""
    last = -1
    for path in sorted(run.glob("wandb/offline-run-*/*.wandb")):
        for row in read_history(path):
            number = row.get("row")
            last = max(last, number if isinstance(number, int) else -1)
    return last + 1


def wandb_mode() -> str:
    """``WANDB_MODE`` if set; else online if this machine is logged in and reaches W&B; else
    offline.

    Raises:
        ValueError: If ``WANDB_MODE`` is none that W&B knows.
    """
    mode = os.environ.get("WANDB_MODE")
    if mode:
        if mode not in ("online", "offline", "disabled", "dryrun"):
            raise ValueError(f"WANDB_MODE={mode}: choose from online, offline, disabled")
        return mode
    os.environ.pop("WANDB_MODE", None)  # set but empty, which W&B itself would refuse
    try:
        return "online" if wandb.login(prompt=False) else "offline"
    except wandb.errors.Error:  # logged in, but W&B cannot be reached
        return "offline"


def check_wandb() -> str:
    """The mode in which W&B can be started; nothing is written.

    Raises:
        ValueError: If it is to be online, and this machine is not logged in, or there is no such
            mode.
    """
    os.environ.setdefault("WANDB_SILENT", "true")  # before W&B is asked anything: read only once
    mode = wandb_mode()
    if mode == "online" and not wandb.login(prompt=False):
        raise ValueError(
            "WANDB_MODE=online, and this machine is not logged in: wandb login, or"
            " WANDB_MODE=offline"
        )
    return mode


def _prepare_wandb(run: Path) -> str:
    """Points W&B at a run's folder, which is made if it is not there, and tells the mode."""
    mode = check_wandb()
    run.mkdir(parents=True, exist_ok=True)
    # Artifacts are staged here, not in the home folder.
    os.environ["WANDB_DATA_DIR"] = str((run / "wandb" / "data").resolve())
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # of a lost W&B, RunLogger tells once
    if wandb.run is not None:
        wandb.finish()  # else the new run would silently continue it
    return mode


def wandb_id(run: Path) -> str:
    """The W&B run's id: the run's own, or what a sweep's agent says, which is then kept in the
    folder."""
    kept = run / "wandb_id"
    if "WANDB_SWEEP_ID" in os.environ and "WANDB_RUN_ID" in os.environ and not kept.exists():
        replace_text(kept, _checked_id(os.environ["WANDB_RUN_ID"], Path("WANDB_RUN_ID")))
    return _checked_id(kept.read_text(), kept) if kept.exists() else run_id(run)


def wandb_logger(
    run: Path,
    config: dict[str, Any],
    project: str = "vae",
    group: str | None = None,
    tags: list[str] | None = None,
    rows: int = 0,
) -> Logger | None:
    """A W&B logger for a run, under the run's own id and inside its folder; None if W&B is
    disabled, or on other ranks than zero.

    Arguments:
        run: The run's folder.
        config: What the page shows as the run's configuration.
        project: The W&B project, unless ``WANDB_PROJECT`` names one.
        group: The W&B group.
        tags: W&B tags.
        rows: The number of rows in ``metrics.jsonl``, of a run that is continued.

    The W&B run is made here and handed to Lightning's logger, which would otherwise pass it an
    argument that W&B warns about.
    """
    if getattr(rank_zero_only, "rank", 0) != 0:
        return None
    mode = _prepare_wandb(run)
    if mode == "disabled":
        return None
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
    """Ends the W&B run, if there is one, as well as that can be done; of a loss that a logger has
    told, nothing more is said."""
    if wandb.run is not None:
        try:
            wandb.finish(exit_code=exit_code)
        except Exception as error:
            if not any(isinstance(logger, RunLogger) and logger.lost for logger in loggers):
                print(f"warning: W&B did not end well ({error})", file=sys.stderr)
            with suppress(Exception):  # its process is gone, which else would be told at exit
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
