"""The command line: LightningCLI with a run directory."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jsonargparse
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    Callback,
    LambdaCallback,
    LearningRateFinder,
)
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from rich.console import Console
from rich.table import Table

from vae.cli.messages import OneLine, ScriptParser, clear
from vae.cli.words import assert_free, assert_words, read_configurations
from vae.data.loader import StepLoader
from vae.data.module import ImageDataModule
from vae.devices import takes_graphs
from vae.models.likelihoods import assert_defined
from vae.run.atomic import AtomicCheckpointIO
from vae.run.best import BestCheckpoint, forget_foreign_paths
from vae.run.checkpoint import (
    assert_not_past,
    assert_same_data,
    assert_same_model,
    find_last,
    folder_of,
    how_to_go_on,
    read_checkpoint,
)
from vae.run.cluster import assert_started, cluster_environment
from vae.run.continued import assert_same_run
from vae.run.files import read_json, replace_text, write_json
from vae.run.finding import set_aside
from vae.run.folder import new_run
from vae.run.last import LastCheckpoint
from vae.run.lock import RunLock
from vae.run.metrics import JSONLLogger
from vae.run.record import describe_run
from vae.run.signals import Interrupted, Interruption
from vae.run.wandb import check_wandb, finish_wandb, wandb_logger
from vae.training.averaging import average_every_step
from vae.training.callbacks.collapse import CollapseWatch
from vae.training.callbacks.images import ImageGrids
from vae.training.callbacks.progress import Progress
from vae.training.capture import CaptureError
from vae.training.limits import assert_monitored, assert_trains, count_in_steps
from vae.training.nonfinite import NonFiniteError
from vae.training.presets import ImageVAE
from vae.training.sizes import DECODINGS, assert_trainable, skeleton

__all__ = ["VAECLI", "checkpoint_parser", "print_table"]


EPOCHS = 50
"""Of a run that says neither ``max_epochs`` nor ``max_steps``."""

MOST_IMAGES = 60_000
"""Of a data set that is not read yet: so many, at most, are in a batch, whatever its size."""

TUNERS = (BatchSizeFinder, LearningRateFinder)
"""Callbacks that train by themselves, by an optimisation that is not ours."""


def quiet() -> None:
    """Silences what Lightning says that is no news to the person training."""
    # Lightning calls what the newest jsonargparse deprecates
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    logging.raiseExceptions = False  # what cannot be logged, on a full disk, is not told at length
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # no banners
    for name in ("profilers", "utilities.model_summary"):  # what is asked for is shown
        logging.getLogger(f"lightning.pytorch.{name}").setLevel(logging.INFO)
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated.*")  # Lightning's own
    warnings.filterwarnings(
        "ignore", message="Total length of .* across ranks is zero"
    )  # num_val 0
    warnings.filterwarnings(
        "ignore", message=".*functional.all_gather is deprecated"
    )  # Lightning's
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    # One process needs none; several without it do not start.
    warnings.filterwarnings("ignore", message="The `srun` command is available")
    # Our interval counts across epochs, so that short ones are logged too.
    warnings.filterwarnings("ignore", message=".*is smaller than the logging interval.*")


def several(given: Any) -> list[Any]:
    """What the trainer takes as one, as a list, or not at all."""
    return given if isinstance(given, list) else [given] if given else []


def checkpoint_parser(function: Callable[..., Any], *skip: str) -> ScriptParser:
    """A parser of ``function``'s arguments, with its ``checkpoint`` as an optional first word."""
    parser = ScriptParser(description=sys.modules[function.__module__].__doc__)
    parser.add_argument(
        "checkpoint",
        nargs="?",
        help="a .ckpt file or a run's folder; by default the newest run's best",
    )
    parser.add_function_arguments(function, skip={"checkpoint", *skip})
    return parser


class _CLIParser(OneLine, LightningArgumentParser):  # type: ignore[misc]
    pass


def trust_world_size(trainer: Trainer) -> None:
    """One process is the one that writes, whatever rank the environment says it has: a job's script,
    or srun, starts independent trainings too."""
    if trainer.world_size == 1:
        rank_zero_only.rank = 0  # type: ignore[attr-defined]


def page_of(
    options: dict[str, Any], record: dict[str, Any], data: ImageDataModule, model: ImageVAE
) -> dict[str, Any]:
    """What a run's page in W&B shows as its configuration: every value once."""
    page = deepcopy(options)
    page["model"]["init_args"].pop("image_shape", None)  # it is the data's
    return page | {
        "run": {name: value for name, value in record.items() if name not in ("host", "pid")},
        "image_shape": list(data.image_shape),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def print_table(title: str, rows: Mapping[str, object]) -> None:
    """A small table of names and values."""
    table = Table("", "nats an image", title=title, title_justify="left", title_style="bold")
    table.columns[1].justify = "right"
    for name, value in rows.items():
        table.add_row(name, str(value))
    Console(highlight=False, width=None if sys.stdout.isatty() else 100).print(table)


def _assert_compiles(device: torch.device) -> None:
    """Refuses to compile where it does not work, before anything is written."""
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.ones(2, device=device))
    except Exception as error:  # of many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"torch.compile does not work here ({reason}): leave out --model.compile"
        ) from error


def _class_of(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _defaults(class_: type) -> dict[str, Any]:
    """Of the arguments of a class and of those that it passes on."""
    signatures = [inspect.signature(base.__init__) for base in reversed(class_.__mro__)]  # type: ignore[misc]
    return {name: p.default for s in signatures for name, p in s.parameters.items()}


class Source(NamedTuple):
    """Where a run is continued from: the checkpoint's path, which file it was when it was read, its
    step, and how many rows of ``metrics.jsonl`` it knows of."""

    path: Path
    file: tuple[int, int]
    step: int
    rows: int | None


def file_at(path: Path) -> tuple[int, int]:
    """Which file is at a path: another one, or one that was written to, is told from it."""
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns


class VAECLI(LightningCLI):
    """Builds module, data and trainer from a YAML file and flags, trains, tests the best
    checkpoint, and says what it wrote."""

    run: Path
    record: dict[str, Any]
    lock: RunLock
    begun: bool
    best: BestCheckpoint | None
    last: LastCheckpoint
    metrics: JSONLLogger | None
    source: Source | None
    epochs: int | float

    def __init__(self, args: list[str] | None = None) -> None:
        quiet()
        # Adam's moments of the weights of pixels that are never on decay into denormal numbers,
        # on which a CPU is many times slower; before torch's threads start, which take it over.
        torch.set_flush_denormal(True)
        self.interruption, self.trained = Interruption(), False
        self.parent = os.getppid()
        with self.interruption:
            try:
                self._start(args)
            except Interrupted:
                if getattr(rank_zero_only, "rank", 0) == 0:
                    print(self._last_words(), flush=True)
                self._wait_for_the_first()
                raise

    def _start(self, args: list[str] | None) -> None:
        super().__init__(
            ImageVAE,
            ImageDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_class=_CLIParser,
            save_config_callback=None,
            trainer_defaults={
                "devices": 1,
                "num_sanity_val_steps": 0,
                "enable_model_summary": False,
            },
            args=args,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {"fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule"}}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--name", type=str, default="vae", help="The run's name, a part of its id."
        )
        parser.add_argument("--group", type=str, default=None, help="The W&B group.")
        parser.add_argument("--tags", type=list[str], default=[], help="W&B tags.")
        parser.add_argument(
            "--image_every", type=int, default=10, help="Epochs between image grids."
        )
        parser.add_argument(
            "--checkpoint_every_n_steps",
            type=int | None,
            default=None,
            help="Optimiser steps between checkpoints inside an epoch; each epoch's end has one.",
        )
        parser.add_argument(
            "--checkpoint_every_n_minutes",
            type=float | None,
            default=10.0,
            help="Minutes between checkpoints inside an epoch.",
        )
        parser.add_argument(
            "--float32_matmul_precision",
            type=Literal["highest", "high", "medium"],
            default="highest",
            help="Of matrix products in 32-true: high lets a GPU use TF32, medium bfloat16.",
        )
        parser.link_arguments(
            "data.image_shape", "model.init_args.image_shape", apply_on="instantiate"
        )
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=int)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        options = self.config_dump
        self.datamodule.prepare_data()  # what is missing fails here, before anything is written
        self.datamodule.setup("fit")
        self._assert_feasible()
        self.run, self.begun = self._run_folder(options), False
        self.lock = RunLock(self.run)
        config = self._get(self.config_init, "trainer")
        validates = len(self.datamodule.splits["val"]) and config["limit_val_batches"] != 0
        self.last = LastCheckpoint(
            self.run / "checkpoints",
            options["checkpoint_every_n_steps"],
            options["checkpoint_every_n_minutes"],
            self.interruption,
        )
        self.best = None
        if validates:
            self.best = BestCheckpoint(self.run / "checkpoints")
        callbacks: list[Callback] = []
        if not config.get("fast_dev_run"):  # a rehearsal leaves nothing behind
            callbacks += [self.best] if self.best else []
            callbacks += [
                CollapseWatch(),
                ImageGrids(self.run / "images", options["image_every"]),
                LambdaCallback(on_train_start=lambda *_: self._begin()),  # all are content
                self.last,  # the last to see an epoch's end, as its state has all the others'
            ]
        plugins = several(config.get("plugins"))
        config["plugins"] = [
            *plugins,
            *cluster_environment(plugins, config["devices"], config["num_nodes"]),
            AtomicCheckpointIO(),
        ]
        # Under Slurm, Lightning starts from a checkpoint that any job has left in this folder.
        config["default_root_dir"] = config["default_root_dir"] or str(self.run)
        if sys.stderr.isatty() and config.get("enable_progress_bar") is not False:
            callbacks.append(Progress())
        else:
            kwargs["enable_progress_bar"] = False
        config["callbacks"] = [*several(config.get("callbacks")), *callbacks]
        self.metrics = None
        if config.get("fast_dev_run"):
            config["logger"] = False
        elif config.get("logger") in (None, True):
            rows = self.source.rows if self.source else None
            kwargs["logger"] = self.metrics = JSONLLogger(self.run, rows)
        try:
            trainer = super().instantiate_trainer(**kwargs)
        except (TypeError, OverflowError) as error:  # what Lightning says of some numbers
            raise ValueError(error) from None
        trust_world_size(trainer)
        if any(isinstance(callback, TUNERS) for callback in config["callbacks"]):
            raise ValueError(
                "a finder of step or batch sizes is not supported: vary them (README)"
            )
        assert_started(trainer)
        assert_monitored(config["callbacks"], bool(validates))
        count_in_steps(trainer, self.datamodule)
        average_every_step(trainer, self.model)
        device, processors = str(trainer.strategy.root_device), os.cpu_count() or 1
        if device == "cpu" and trainer.num_devices > processors:
            raise ValueError(
                f"trainer.devices {trainer.num_devices}: as many processes on {processors}"
                " processors; use fewer"
            )
        graphs = takes_graphs(trainer.strategy.root_device)
        one = graphs and isinstance(trainer.strategy, SingleDeviceStrategy)
        if self.model.captured and not (one and trainer.precision == "32-true"):
            raise ValueError(
                f"capture is for one CUDA device in 32-true precision, not for {device} in"
                f" {trainer.precision}: leave out --model.capture"
            )
        if self.model.compiled:
            _assert_compiles(trainer.strategy.root_device)
        self.record = describe_run(self.run, options["seed_everything"], device)
        if self.metrics:
            check_wandb()
        return trainer

    models = 1
    """How many are trained at once."""

    def before_instantiate_classes(self) -> None:
        """Refuses what is too large while it is not built."""
        options = self.config[self.config.subcommand]
        model, data = (_class_of(options[part].class_path) for part in ("model", "data"))
        arguments = options.model.get("init_args", jsonargparse.Namespace()).as_dict()
        arguments["image_shape"] = data.image_shape
        with torch.random.fork_rng(devices=[]):
            try:
                module = skeleton(model, arguments)
            except (TypeError, RuntimeError) as error:  # of one that knows no meta device
                if isinstance(error, NotImplementedError):
                    raise
                return
        given = options.data.get("init_args", jsonargparse.Namespace())
        batch_size = given.get("batch_size") or 1  # of what is no number, the class will speak
        assert_trainable(module, max(2, min(batch_size, MOST_IMAGES)), self.models)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Refuses, before anything is built, what would fail later or do something else than it
        says."""
        words = sys.argv[1:] if args is None else args
        assert_words(words)
        assert_free(words, read_configurations(words))
        super().parse_arguments(parser, args)
        options = self.config[self.config.subcommand]
        if isinstance(options.seed_everything, bool):
            raise ValueError("seed_everything takes a number: the data's order depends on it")
        for name, default in vars(self._parser("fit").get_defaults()).items():
            if default is not None and options[name] is None:
                raise ValueError(f"{name} is empty: give it a value, or leave it out")
        for part in ("model", "data"):
            given = options[part].get("init_args", jsonargparse.Namespace()).as_dict()
            for name, default in _defaults(_class_of(options[part].class_path)).items():
                if default is not None and name in given and given[name] is None:
                    raise ValueError(f"{part}.{name} is empty: give it a value, or leave it out")
        assert_trains(options.trainer, continued=bool(options.ckpt_path))
        torch.set_float32_matmul_precision(options.float32_matmul_precision)
        if options.trainer.max_epochs is None and options.trainer.max_steps == -1:
            options.trainer.max_epochs = EPOCHS
        precision = str(options.trainer.precision)
        if precision not in ("None", "32", "32-true", "bf16-mixed", "16-mixed"):
            raise ValueError(f"precision {precision}: use 32-true, bf16-mixed or 16-mixed")
        self.source = None
        for name in ("gradient_clip_val", "gradient_clip_algorithm"):
            if options.trainer[name]:
                raise ValueError(f"{name} is the trainer's: use --model.gradient_clip_norm")
        if options.trainer.accumulate_grad_batches > 1:
            raise ValueError("accumulate_grad_batches is not supported: use a larger batch_size")
        if options.ckpt_path:
            given = Path(options.ckpt_path).expanduser()
            files = {p: file_at(p) for p in (given, *given.glob("checkpoints/*")) if p.exists()}
            path, contents = find_last(given)
            assert_same_model(path, contents, options.model)
            assert_same_data(path, contents, options.data)
            if path.parent.name == "checkpoints":
                assert_same_run(folder_of(path), options.as_dict())
            assert_not_past(path, contents, options.trainer.max_epochs, options.trainer.max_steps)
            if (record := folder_of(path) / "run.json").exists():
                read_json(record)  # to be written anew
            rows = contents["vae"].get("rows")
            self.source = Source(path, files.get(path, (0, 0)), contents["global_step"], rows)
            options.ckpt_path = str(path)

    def _assert_feasible(self) -> None:
        """Refuses what would fail, or mean nothing, after hours of training."""
        data, splits = self.datamodule, self.datamodule.splits
        assert_trainable(self.model, min(data.batch_size, len(splits["train"])))
        assert_defined(self.model.vae.likelihood, data.binarization)
        if len(splits["test"]) * self.model.test_samples > DECODINGS:
            raise ValueError(
                f"test_samples {self.model.test_samples}: the test of {len(splits['test'])} images"
                f" would take weeks; give at most {DECODINGS // len(splits['test'])}"
            )

    def _run_folder(self, options: dict[str, Any]) -> Path:
        """A new run's; or that of the checkpoint that is continued, under the same id."""
        if self.source:
            folder = folder_of(self.source.path)
            own = any((folder / name).is_file() for name in ("run.json", "config.yaml"))
            if own and folder != self.source.path.parent:
                plain = folder.name and ".." not in folder.parts and not folder.is_symlink()
                return folder if plain else folder.resolve()
        return new_run(options["name"])

    def _hold(self) -> None:
        """Holds the run's folder until the end of this process, or of :meth:`fit`.

        Raises:
            ValueError: If another process trains there, or has since it was looked at.
        """
        if not self.trainer.is_global_zero or self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self.lock.acquire()
        if self.source and file_at(self.source.path) != self.source.file:
            raise ValueError(f"{self.source.path} was just written anew: try again")

    def _begin(self, trains: bool = True) -> None:
        """Makes the run's folder, or changes what continuing it changes there: called when training
        starts, so that whatever is refused before, nothing is written."""
        if self.begun or self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self.begun = True
        self.interruption.listen()  # W&B's process is not to inherit held signals
        self.run = self.trainer.strategy.broadcast(self.run)  # all processes have the first one's
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
            verb = self._write_record()
        except BaseException as error:
            if new:
                shutil.rmtree(self.run, ignore_errors=True)
            if isinstance(error, ValueError):  # the user's; of training, it would be ours
                raise MisconfigurationException(str(error)) from None
            raise
        if trains and self.source and not new:
            aside = set_aside(self.run, self.source.step)
            if aside:
                print(f"what was made from its checkpoints up to here is now in {aside}")
        config = self.config["fit"].clone()
        config.ckpt_path = None  # trained from, it makes a run of its own
        text = self._parser("fit").dump(config, skip_none=False)
        replace_text(self.run / "config.yaml", text)
        if self.metrics:
            self.metrics.begin()
        where = " (metrics.jsonl grows there)" if self.metrics else ""
        print(f"{verb} in {self.run}{where}", flush=True)

    def _start_page(self) -> None:
        """The run's page in W&B, with its whole configuration."""
        if not self.metrics:
            return
        options = self.config_dump
        online = wandb_logger(
            self.run,
            page_of(options, self.record, self.datamodule, self.model),
            group=options["group"],
            tags=options["tags"],
            rows=self.metrics.rows,
        )
        self.trainer.loggers = [*self.trainer.loggers, *([online] if online else [])]

    def fit(self, model: ImageVAE, **kwargs: Any) -> None:
        try:
            self._hold()
            self._train_and_test(model, **kwargs)
        finally:
            self.lock.close()

    def _train_and_test(self, model: ImageVAE, **kwargs: Any) -> None:
        exit_code, results = 1, None
        try:
            rehearsal = bool(self.trainer.fast_dev_run)  # type: ignore[attr-defined]
            self._fit(model, **kwargs)
            self._begin(trains=False)  # of a run that was at its end already
            seconds = self.last.seconds
            self.trained, self.epochs = True, self._epochs()  # the test forgets the loader
            # what the test's row says; Lightning counts a part of an epoch as a whole one, or none
            vars(self.trainer.fit_loop.epoch_progress.current).update(
                dict.fromkeys(("processed", "completed"), int(self.epochs))
            )
            best = self.run / "checkpoints" / "best.ckpt"
            if not self.best or not best.exists():
                best = self.last.path
            if not rehearsal:
                tested = self._test(model, kwargs["datamodule"], best)
                if self.trainer.is_global_zero:
                    results = self._results(tested, seconds)
            exit_code = 0
        finally:
            finish_wandb(exit_code, self.trainer.loggers)
        if results:  # the last thing written: a run that has it is complete, on W&B too
            write_json(self.run / "results.json", results)
            self._show(results, seconds, best)  # nobody has to read it

    def _write_record(self) -> str:
        """``run.json``; a run that is continued keeps the first one, and lists the others."""
        path = self.run / "run.json"
        if not path.exists():
            self.lock.write(self.record)
            return "training"
        first = read_json(path)
        first["continued"] = [*several(first.get("continued")), self.record]
        self.lock.write(first)
        return "continuing"

    def _fit(self, model: ImageVAE, **kwargs: Any) -> None:
        """Trains, and makes a line of what goes wrong."""
        if self.last in self.trainer.callbacks:  # type: ignore[attr-defined]  # else there is nothing to save
            self.interruption.patient = True
            self.interruption.hold()  # until training starts
        try:
            self.trainer.fit(model, **kwargs)
        except Interrupted:
            raise
        except SystemExit:  # how Lightning ends on a second Ctrl-C
            raise Interrupted(signal.SIGINT) from None
        except NonFiniteError as error:
            crash = self.run / "checkpoints" / "crash.ckpt"
            if self.trainer.is_global_zero:  # gradients are shared: it is every process's
                repeat = f"; repeat it: make replay CKPT={crash}" if crash.exists() else ""
                print(f"error: {error}{repeat}", file=sys.stderr)
            raise SystemExit(1) from None
        except OSError as error:  # a full disk: what was written before is whole
            hint = how_to_go_on(self.run)
            raise OSError(f"{clear(error)}; when that is mended, {hint}") from error
        except CaptureError:
            raise
        except (ValueError, NotImplementedError) as error:  # in training that is our mistake
            raise RuntimeError(f"training failed: {error}") from error
        finally:
            self.interruption.listen()

    def _test(
        self, model: ImageVAE, data: ImageDataModule, checkpoint: Path
    ) -> Mapping[str, float]:
        """The metrics of the test, of what the checkpoint holds. A process on its own, which has
        nothing to save any more, is interrupted at once; several are after a batch."""
        if self.trainer.world_size == 1:
            self.interruption.patient = False
            self.interruption.check()
        else:
            self.interruption.hold()  # until the test starts
        # Each process has named the run's folder by itself; the first one's was written.
        checkpoint = Path(self.trainer.strategy.broadcast(str(checkpoint)))
        if checkpoint.exists():  # not of a run without a step
            model.load_state_dict(read_checkpoint(checkpoint)["state_dict"])
        try:
            tested = self.trainer.test(model, data, verbose=False)
        finally:
            self.interruption.listen()
        self.interruption.patient = False
        return tested[0] if tested else {}

    def _epochs(self) -> int | float:
        """How many were trained; a part of one, where ``max_steps`` ended it, as a part."""
        loader, steps = self.trainer.train_dataloader, self.trainer.global_step
        if not isinstance(loader, StepLoader) or not loader.total:
            return self.trainer.current_epoch
        return (
            steps // loader.total if steps % loader.total == 0 else round(steps / loader.total, 2)
        )

    def _last_words(self) -> str:
        """What an interruption leaves."""
        run: Path | None = getattr(self, "run", None)
        if run is None or not (run / "checkpoints" / "last.ckpt").exists():
            return "interrupted before the first step: there is nothing to continue"
        if self.trained:
            return (
                "interrupted after training, before the test's end; to test it,"
                f" {how_to_go_on(run)}"
            )
        step = self.last.saved_at_step if hasattr(self, "last") else -1
        where = f" at step {step}" if step >= 0 else ""
        return f"interrupted{where}; {how_to_go_on(run)}"

    def _wait_for_the_first(self) -> None:
        """Lets the process that started this one end before it: Lightning kills that one when it
        sees another end with an error."""
        strategy = getattr(getattr(self, "trainer", None), "strategy", None)
        environment = getattr(strategy, "cluster_environment", None)
        if isinstance(environment, LightningEnvironment) and environment.local_rank() > 0:
            deadline = time.monotonic() + 60
            while os.getppid() == self.parent and time.monotonic() < deadline:
                time.sleep(0.05)

    def _results(self, metrics: Mapping[str, float], seconds: float) -> dict[str, Any]:
        """What ``results.json`` will hold."""
        return {
            "metrics": {name: round(value, 4) for name, value in metrics.items()},
            "epochs": self.epochs,
            "steps": self.trainer.global_step,
            "seconds": round(seconds, 1),
            "binarization": self.datamodule.binarization,
            "parameters": sum(p.numel() for p in self.model.parameters()),
        }

    def _show(self, results: Mapping[str, Any], seconds: float, checkpoint: Path) -> None:
        """Prints what came of the run."""
        metrics, epochs, binarization = (
            results[name] for name in ("metrics", "epochs", "binarization")
        )
        if metrics:
            print_table(
                f"test set, {binarization} binarisation",
                {k: f"{v:.2f}" for k, v in metrics.items()},
            )
        if self.model.vae.likelihood.binary and binarization == "none":
            print(
                "grey pixels under a Bernoulli likelihood: these are cross-entropies, not bounds on log p(x)"
            )
        print(
            f"{epochs} epoch{'s' * (epochs != 1)} in {seconds:.0f} s ({seconds / max(1, epochs):.2f} s an epoch, validation included)"
        )
        if checkpoint.exists():  # not of a run without a step
            print(f"checkpoint  {checkpoint}")
        print(f"run folder  {self.run}")
