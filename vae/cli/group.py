"""The runs of models that are trained at once, from the first step to the results.

The group has a folder of its own: ``config.yaml``, from which all of them can be trained again,
``run.json``, which names their runs, ``checkpoints/last.ckpt``, from which all of them go on, and at
the end ``summary.json``.
"""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger

from vae.cli.closing_report import report_of_several, wanted
from vae.cli.errors import clear
from vae.cli.group_summary import number_of, summarize
from vae.cli.results import epochs_trained, training_of
from vae.cli.session import page_of
from vae.cli.starting_point import StartingPoint, run_folder
from vae.data.batch import DataError
from vae.run.continued import assert_same_data, assert_same_options
from vae.run.files import write_json
from vae.run.finding import set_aside
from vae.run.folder import new_run
from vae.run.last import LastCheckpoint
from vae.run.lock import RunLock
from vae.run.members import MemberRun
from vae.run.metrics import JSONLLogger
from vae.run.record import describe_run
from vae.run.signals import Interruption
from vae.run.state import how_to_go_on
from vae.run.wandb import wandb_logger
from vae.training.lightning_private import set_epochs
from vae.training.many.data import EnsembleData
from vae.training.many.module import Ensemble
from vae.whole_files import replace_text

__all__ = ["Group"]


class Group:
    """Trains and tests many models, each in a run's folder of its own.

    Nothing is written before training starts (:meth:`begin`).

    Arguments:
        options: The options of ``train-many`` as plain values.
        text: The YAML of the group's ``config.yaml``.
        runs: Those of the models.
        start: The checkpoint to continue from.
        interruption: The handler of signals.

    Raises:
        FileNotFoundError: If a run that is to be continued is not there.
        ValueError: If the checkpoint is of other models.
    """

    trainer: Trainer

    def __init__(
        self,
        options: dict[str, Any],
        text: str,
        runs: list[MemberRun],
        start: StartingPoint | None,
        interruption: Interruption,
    ) -> None:
        self.options, self.text, self.runs, self.start = options, text, runs, start
        self.interruption = interruption
        self.folder = run_folder(f"{options['name']}-x{len(runs)}", start)
        self.lock = RunLock(self.folder)
        self.last = LastCheckpoint(
            self.folder / "checkpoints",
            options["checkpoint_every_n_steps"],
            options["checkpoint_every_n_minutes"],
            interruption,
        )
        if start:
            self._go_on(start)
        else:
            for run in runs:
                run.folder = new_run(run.config["name"])
        for run in runs:
            run.lock = RunLock(run.folder)
        self.begun = self.trained = False

    def _go_on(self, start: StartingPoint) -> None:
        """Gives each model its run, if it is the one that the checkpoint holds."""
        assert start.together is not None
        members, models = start.together
        if len(members) != len(self.runs):
            raise ValueError(
                f"{start.path} holds {len(members)} models, not {len(self.runs)}: continue with"
                " the run's own configuration (vae resume RUN)"
            )
        for run, state, held in zip(self.runs, members, models, strict=True):
            if state["seed"] != run.seed:
                raise ValueError(
                    f"{start.path} was trained with seed_everything {state['seed']}, not"
                    f" {run.seed}: continue with the run's own configuration (vae resume RUN)"
                )
            assert_same_options(start.path, held["model"], run.options.model)
            assert_same_data(start.path, {"vae": held}, run.options.data)
            run.go_on(state, self.folder.resolve().parent)
            if not (run.folder / "run.json").is_file():
                raise FileNotFoundError(
                    f"{run.folder} is not there, one of the runs of {self.folder}: they go on"
                    " together or not at all"
                )

    def attach(self, trainer: Trainer) -> None:
        """Sets the trainer."""
        self.trainer = trainer
        device = str(trainer.strategy.root_device)
        self.record = describe_run(self.folder, None, device) | {"together": len(self.runs)}
        for run in self.runs:
            own = {"id": run.folder.name, "seed": run.seed, "group_run": self.folder.name}
            run.record = self.record | own

    def sync(self) -> None:
        """Returns when every row of every model's metrics is on the disk."""
        for run in self.runs:
            run.sync()

    def train_and_test(self, model: Ensemble, data: EnsembleData, **kwargs: Any) -> None:
        """Trains, tests the best checkpoint of each model, and writes and prints the results.

        Arguments:
            model: The models.
            data: Their images.
            kwargs: Further arguments of ``Trainer.fit``.

        Raises:
            Interrupted: If a signal ended it; it can be continued.
            ValueError: If another process works in one of the folders.
        """
        try:
            self._hold()
            self._train_and_test(model, data, **kwargs)
        finally:
            for lock in (self.lock, *(run.lock for run in self.runs)):
                if lock:
                    lock.close()

    def _hold(self) -> None:
        """Takes the locks of all folders."""
        if not self.start:
            return
        self.lock.acquire()
        for run in self.runs:
            assert run.lock
            run.lock.acquire()
        if self.start.has_changed():
            raise ValueError(f"{self.start.path} was just written anew: try again")

    def begin(self, trains: bool = True) -> None:
        """Gives each model its folder, record and loggers, and them all the group's.

        Arguments:
            trains: Whether training follows; a group that was at its end already is only tested.
        """
        if self.begun:
            return
        self.begun = True
        self.interruption.listen()  # W&B's process must not inherit held signals
        runs = [run.folder.name for run in self.runs]
        if not self.start:
            self.lock.create()
        self.lock.note(self.record | {"runs": runs})
        replace_text(self.folder / "config.yaml", self.text)
        os.environ["WANDB_REINIT"] = "create_new"  # several W&B runs in one process
        for run in self.runs:
            self._begin_one(run, trains)
        verb = "continuing" if self.start else "training"
        print(f"{verb} {number_of(self.runs)} at once in {self.folder}", flush=True)

    def _begin_one(self, run: MemberRun, trains: bool) -> None:
        assert run.lock
        if not self.start:
            run.lock.create()
        elif trains:
            set_aside(run.folder, self.start.step)
        run.lock.note(run.record)
        replace_text(run.folder / "config.yaml", yaml.safe_dump(run.config, sort_keys=False))
        metrics = JSONLLogger(run.folder, run.rows)
        metrics.begin()
        run.loggers = [metrics]
        page = page_of(run.config, run.record, run.data, run.model)
        group, tags = self.options["group"] or self.folder.name, self.options["tags"]
        online = wandb_logger(run.folder, page, group=group, tags=tags, rows=metrics.rows)
        run.loggers += [online] if online else []

    def _train_and_test(self, model: Ensemble, data: EnsembleData, **kwargs: Any) -> None:
        exit_code, tested = 1, {}
        try:
            self._fit(model, data, **kwargs)
            self.begin(trains=False)  # of no step, or at its end already
            for run in self.runs:
                run.save(self.trainer, "last.ckpt", self.trainer.current_epoch - 1)
            seconds, epochs = self.last.seconds, epochs_trained(self.trainer)
            set_epochs(self.trainer, int(epochs))  # the test's rows have this epoch
            self.trained = True
            started = time.monotonic()
            self._test(model, data)
            steps, took = self.trainer.global_step, (seconds, time.monotonic() - started)
            tested = training_of(self.runs[0].model, data, epochs, steps, *took)
            exit_code = 0
        finally:
            for logger in itertools.chain(*(run.loggers for run in self.runs)):
                if isinstance(logger, WandbLogger):
                    logger.experiment.finish(exit_code=exit_code)
        for run in self.runs:
            run.results = {"metrics": {}, "diverged": False} | run.results | tested
            write_json(run.folder / "results.json", run.results)
        # written last: a group that has it is complete
        summarize(self.folder, self.record, self.runs)
        if wanted(self.options["report"]):
            report_of_several(self.folder)

    def _fit(self, model: Ensemble, data: EnsembleData, **kwargs: Any) -> None:
        """Trains; what goes wrong becomes one line."""
        self.interruption.patient = True
        self.interruption.hold()  # until training starts
        try:
            self.trainer.fit(model, datamodule=data, **kwargs)
        except OSError as error:  # a full disk: what was written before is whole
            hint = how_to_go_on(self.folder)
            raise OSError(f"{clear(error)}; when that is mended, {hint}") from error
        except DataError:
            raise
        except (ValueError, NotImplementedError) as error:  # a user's mistake was found before
            raise RuntimeError(f"training failed: {error}") from error
        finally:
            self.interruption.listen()

    def _test(self, model: Ensemble, data: EnsembleData) -> None:
        """Tests each model at its best; a signal now ends the process at once."""
        self.interruption.patient = False
        self.interruption.check()
        for run in self.runs:
            run.restore("best.ckpt")
        if data.count("test") == 0:
            print("the data have no test images: nothing is tested")
        else:
            self.trainer.test(model, data, verbose=False)

    def last_words(self) -> str:
        """What to say when a signal ended them."""
        if not self.last.path.exists():
            return "interrupted before the first step: there is nothing to continue"
        if self.trained:
            how = how_to_go_on(self.folder)
            return f"interrupted after training, before the test's end; to test them, {how}"
        step = self.last.saved_at_step
        where = f" at step {step}" if step >= 0 else ""
        return f"interrupted{where}; {how_to_go_on(self.folder)}"
