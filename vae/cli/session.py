"""One run: its folder, its record and its page in W&B, from the first step to the results."""

from __future__ import annotations

import shlex
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from vae.cli.closing_report import ClosingReport, wanted
from vae.cli.errors import clear
from vae.cli.results import epochs_trained, results_of, show_results, training_of
from vae.cli.starting_point import StartingPoint, run_folder
from vae.data.batch import DataError
from vae.data.source import ImageSource
from vae.models.checkpoint import read_checkpoint
from vae.run.best import BestCheckpoint, forget_foreign_paths
from vae.run.files import write_json
from vae.run.finding import set_aside
from vae.run.here import vae_here
from vae.run.last import LastCheckpoint
from vae.run.lock import RunLock
from vae.run.metrics import JSONLLogger
from vae.run.record import describe_run
from vae.run.signals import Interrupted, Interruption
from vae.run.state import how_to_go_on
from vae.run.wandb import wandb_logger
from vae.run.wandb_mode import finish_wandb
from vae.training.callbacks.standard_errors import StandardErrors
from vae.training.capture import CaptureError
from vae.training.lightning_private import set_epochs
from vae.training.module import VAEModule
from vae.training.nonfinite import NonFiniteError
from vae.training.traced import CompileError
from vae.whole_files import replace_text

__all__ = ["Session", "page_of"]


class Session:
    """Trains and tests in a run's folder.

    Nothing is written before training starts (:meth:`begin`): what is refused until then leaves no
    folder behind.

    Arguments:
        options: The options of ``fit`` as plain values.
        text: The YAML of ``config.yaml``.
        start: The checkpoint to continue from.
        validates: Whether there are validations, the best of which is kept.
        logs: Whether to write ``metrics.jsonl`` and a page in W&B.
        interruption: The handler of signals.
    """

    trainer: Trainer
    model: VAEModule
    data: ImageSource

    def __init__(
        self,
        options: dict[str, Any],
        text: str,
        start: StartingPoint | None,
        validates: bool,
        logs: bool,
        interruption: Interruption,
    ) -> None:
        self.options, self.text, self.start = options, text, start
        self.interruption = interruption
        self.run = run_folder(options["name"], start)
        self.lock = RunLock(self.run)
        folder = self.run / "checkpoints"
        self.last = LastCheckpoint(
            folder,
            options["checkpoint_every_n_steps"],
            options["checkpoint_every_n_minutes"],
            interruption,
        )
        self.best = BestCheckpoint(folder) if validates else None
        rows = start.rows if start else None
        self.metrics = JSONLLogger(self.run, rows) if logs else None
        self.errors = StandardErrors()
        self.record: dict[str, Any] = {}
        self.begun = self.trained = False

    def attach(self, trainer: Trainer, model: VAEModule, data: ImageSource) -> None:
        """Sets the trainer, the model and the data."""
        self.trainer, self.model, self.data = trainer, model, data
        device = str(trainer.strategy.root_device)
        self.record = describe_run(self.run, self.options["seed_everything"], device)

    @property
    def rehearsal(self) -> bool:
        """Whether this is a ``fast_dev_run``, which leaves nothing behind."""
        return bool(self.trainer.fast_dev_run)  # type: ignore[attr-defined]

    def train_and_test(self, **kwargs: Any) -> None:
        """Trains, tests the best checkpoint, and writes and prints the results.

        Arguments:
            kwargs: Further arguments of ``Trainer.fit``.

        Raises:
            Interrupted: If a signal ended it; it can be continued.
            ValueError: If another process works in the run's folder.
        """
        try:
            self._hold()
            self._train_and_test(**kwargs)
        finally:
            self.lock.close()

    def _hold(self) -> None:
        """Takes the lock of the run's folder."""
        if not self.trainer.is_global_zero or self.rehearsal:
            return
        self.lock.acquire()
        if self.start and self.start.has_changed():
            raise ValueError(f"{self.start.path} was just written anew: try again")

    def begin(self, trains: bool = True) -> None:
        """Makes the run's folder, or brings it up to date where it is continued.

        Arguments:
            trains: Whether training follows; a run that was at its end already is only tested.
        """
        if self.begun or self.rehearsal:
            return
        self.begun = True
        self.interruption.listen()  # W&B's process must not inherit held signals
        self.run = self.trainer.strategy.broadcast(self.run)  # the first process has named it
        self.last.folder = self.run / "checkpoints"
        own = [self.best, self.last]
        forget_foreign_paths([c for c in self.trainer.callbacks if c not in own])  # type: ignore[attr-defined]
        if not self.trainer.is_global_zero:
            return
        new = not self.run.exists()
        try:
            if new:
                self.lock.create()
            self._start_page()
            verb = "continuing" if self.lock.note(self.record) else "training"
        except BaseException as error:
            if new:
                shutil.rmtree(self.run, ignore_errors=True)
            if isinstance(error, ValueError):  # during training, it would count as our mistake
                raise MisconfigurationException(str(error)) from None
            raise
        if trains and self.start and not new:
            if aside := set_aside(self.run, self.start.step):
                print(f"the results made before are now in {aside}")
        replace_text(self.run / "config.yaml", self.text)
        if self.metrics:
            self.metrics.begin()
        where = " (metrics.jsonl grows there)" if self.metrics else ""
        print(f"{verb} in {self.run}{where}", flush=True)
        objective = self.model.objective
        if objective.bounds != "a lower bound of log p(x)":
            print(
                f"train/bound, by {type(objective).__name__}, is {objective.bounds}; train/elbo and"
                " val/elbo are the model's ELBO, whatever it is trained by",
                flush=True,
            )
        if self.data.promise:
            print(self.data.promise, flush=True)

    def _start_page(self) -> None:
        """Starts the run's page in W&B, with its whole configuration."""
        if not self.metrics:
            return
        online = wandb_logger(
            self.run,
            page_of(self.options, self.record, self.data, self.model),
            group=self.options["group"],
            tags=self.options["tags"],
            rows=self.metrics.rows,
        )
        self.trainer.loggers = [*self.trainer.loggers, *([online] if online else [])]

    def _train_and_test(self, **kwargs: Any) -> None:
        exit_code, results = 1, None
        report = ClosingReport(self.run) if wanted(self.options["report"]) else None
        try:
            self._fit(**kwargs)
            self.begin(trains=False)  # if it was at its end already
            seconds, steps = self.last.seconds, self.trainer.global_step
            epochs = epochs_trained(self.trainer)  # the test forgets the loader
            self.trained = True
            # The test's row has this epoch: Lightning counts a fraction of one as a whole one, or
            # not at all.
            set_epochs(self.trainer, int(epochs))
            best = self.run / "checkpoints" / "best.ckpt"
            if not self.best or not best.exists():
                best = self.last.path
            if not self.rehearsal:
                started = time.monotonic()
                tested = self._test(best)
                if self.trainer.is_global_zero:
                    took = seconds, time.monotonic() - started
                    how = training_of(self.model, self.data, epochs, steps, *took)
                    results = results_of(tested, self.errors.found) | how
                    if report:
                        report.draw(self.model, self.data, best, self.trainer.loggers)
            exit_code = 0
        finally:
            finish_wandb(exit_code, self.trainer.loggers)
        if results:  # written last: a run that has it is complete, in W&B too
            write_json(self.run / "results.json", results)
            show_results(results, self.run, best, self.data, self.model)
            if report:
                report.write()

    def _fit(self, **kwargs: Any) -> None:
        """Trains; what goes wrong becomes one line."""
        if self.last in self.trainer.callbacks:  # type: ignore[attr-defined]  # which then saves
            self.interruption.patient = True
            self.interruption.hold()  # until training starts
        try:
            self.trainer.fit(self.model, datamodule=self.data, **kwargs)  # type: ignore[arg-type]
        except Interrupted:
            raise
        except SystemExit:  # Lightning's, on a second Ctrl-C
            raise Interrupted(signal.SIGINT) from None
        except NonFiniteError as error:
            crash = self.run / "checkpoints" / "crash.ckpt"
            if self.trainer.is_global_zero:  # all processes share the gradients, and the error
                repeat = f"; repeat it: {vae_here()} replay {crash}" if crash.exists() else ""
                print(f"error: {error}{repeat}", file=sys.stderr)
            raise SystemExit(1) from None
        except OSError as error:  # a full disk: what was written before is whole
            hint = how_to_go_on(self.run)
            raise OSError(f"{clear(error)}; when that is mended, {hint}") from error
        except (CaptureError, CompileError, DataError):
            raise
        except (ValueError, NotImplementedError) as error:  # a user's mistake was found before
            raise RuntimeError(f"training failed: {error}") from error
        finally:
            self.interruption.listen()

    def _test(self, checkpoint: Path) -> Mapping[str, float]:
        """The test's metrics of a checkpoint.

        A process on its own has nothing more to save, and a signal ends it at once; several end
        together, after a batch.
        """
        if self.data.count("test") == 0:
            print("the data have no test images: nothing is tested")
            return {}
        if self.trainer.world_size == 1:
            self.interruption.patient = False
            self.interruption.check()
        else:
            self.interruption.hold()  # until the test starts
        # Each process has chosen a folder's name; only the first one's was written to.
        checkpoint = Path(self.trainer.strategy.broadcast(str(checkpoint)))
        if checkpoint.exists():  # a run without a step has none
            self.model.load_state_dict(read_checkpoint(checkpoint)["state_dict"])
        try:
            tested = self.trainer.test(self.model, self.data, verbose=False)
        finally:
            self.interruption.listen()
        self.interruption.patient = False
        return tested[0] if tested else {}

    def last_words(self) -> str:
        """What to say when a signal ended the run."""
        if not (self.run / "checkpoints" / "last.ckpt").exists():
            return "interrupted before the first step: there is nothing to continue"
        if self.trained and (self.run / "results.json").exists():
            how = f"{vae_here()} report {shlex.quote(str(self.run))}"
            return f"interrupted; the run is complete, but for its report: {how}"
        if self.trained:
            how = how_to_go_on(self.run)
            return f"interrupted after training, before the test's end; to test it, {how}"
        step = self.last.saved_at_step
        where = f" at step {step}" if step >= 0 else ""
        return f"interrupted{where}; {how_to_go_on(self.run)}"


def page_of(
    options: dict[str, Any], record: dict[str, Any], data: ImageSource, model: VAEModule
) -> dict[str, Any]:
    """The configuration that a run's page in W&B shows: every value once."""
    page = deepcopy(options)
    page["model"]["init_args"].pop("image_shape", None)  # shown beside it, as the data's
    return page | {
        "run": {name: value for name, value in record.items() if name not in ("host", "pid")},
        "image_shape": list(data.image_shape),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
