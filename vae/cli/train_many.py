"""Trains one configuration with many seeds, and hyper-parameters, as one batched computation:
``python experiments/train_many.py --config experiments/configs/gaussian.yaml --seeds 64 --vary
'{"lr": [1e-3, 3e-4]}'``.

Configurations and flags are those of train.py. Every seed is trained with every combination of the
values that are varied. Each model takes the steps that it would take alone under train.py, to
rounding, and is in a run of its own: a folder, a W&B page and checkpoints that all scripts read; its
``config.yaml`` trains it alone. The group's folder holds ``summary.json``: means and standard errors over seeds.

A model that diverges goes on beside the others; it is named at the end, and is in no mean. What a
run of train.py has and these have not: image grids (``vae reconstruct``), a watch for
collapse, a checkpoint from which training is continued, and copies of the checkpoints in W&B.
"""

from __future__ import annotations

import itertools
import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from jsonargparse.typing import PositiveInt
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import Logger, WandbLogger
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vae.cli.app import VAECLI
from vae.cli.seeds import MOST, statistics, text
from vae.cli.session import page_of
from vae.cli.trainer import as_list, shows_progress, trust_world_size
from vae.data.source import ImageSource, images_of
from vae.run.atomic import AtomicCheckpointIO
from vae.run.files import replace_text, write_json
from vae.run.folder import new_run
from vae.run.lock import RunLock
from vae.run.metrics import JSONLLogger
from vae.run.record import describe_run
from vae.run.wandb import check_wandb, wandb_logger
from vae.training.callbacks.progress import Progress
from vae.training.limits import count_in_steps
from vae.training.many.data import EnsembleData
from vae.training.many.module import VARIABLE, Ensemble, check_mappable, seeded
from vae.training.module import VAEModule


@dataclass
class Run:
    """One of the models, and what it leaves behind: what its own run would."""

    model: VAEModule
    data: ImageSource
    config: dict[str, Any]
    seed: int = 0
    varied: dict[str, float] = field(default_factory=dict)
    folder: Path = Path()
    lock: RunLock | None = None
    record: dict[str, Any] = field(default_factory=dict)
    loggers: list[Logger] = field(default_factory=list)
    best: float = -math.inf
    diverged: bool = False
    results: dict[str, Any] = field(default_factory=dict)

    def log(self, metrics: Mapping[str, float], step: int, epoch: int) -> None:
        self.diverged |= not all(map(math.isfinite, metrics.values()))
        for logger in self.loggers:
            logger.log_metrics({**metrics, "epoch": epoch}, step)

    def save(self, trainer: Trainer, name: str, epoch: int) -> None:
        """Writes a checkpoint as a run of its own would, but for the optimiser's state."""
        contents = {
            "epoch": epoch,
            "global_step": trainer.global_step,
            "pytorch-lightning_version": lightning.__version__,
            # copies: a view would take the whole stack into the file
            "state_dict": {k: v.detach().clone() for k, v in self.model.state_dict().items()},
            "vae": {"module": type(self.model).__name__, "data": type(self.data).__name__},
        }
        for part in (self.model, self.data):
            contents[part.CHECKPOINT_HYPER_PARAMS_KEY] = dict(part.hparams)
        trainer.strategy.save_checkpoint(contents, self.folder / "checkpoints" / name)

    def restore(self, name: str) -> None:
        path = self.folder / "checkpoints" / name
        if path.exists():
            contents = torch.load(path, map_location="cpu", weights_only=True)
            self.model.load_state_dict(contents["state_dict"])


class Runs(Callback):
    """Logs, judges and saves each model of an :class:`~vae.training.many.module.Ensemble` as a run of its
    own."""

    def __init__(self, runs: list[Run]) -> None:
        self.runs = runs
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Tensor, n: int
    ) -> None:
        step, every = trainer.global_step, trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not every or step % every:
            return
        assert isinstance(pl_module, Ensemble)
        terms = pl_module.terms("train", batch, step - 1)
        values = {"train/bound": pl_module.bounds}
        values |= {name: total / batch.shape[1] for name, total in terms.items()}
        pl_module.latest = {"bound": pl_module.bounds.mean()}
        for run, row in zip(self.runs, _rows(values), strict=True):
            for name, buffer in run.model.named_buffers():
                if name.endswith(("beta", ".temperature")):
                    row[f"schedule/{name.rpartition('.')[2]}"] = float(buffer)
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
        for name, total in outputs.items():
            self.sums[name] = self.sums.get(name, 0) + total
        self.count += len(batch)

    on_test_batch_end = on_validation_batch_end

    def _log_averages(self, trainer: Trainer, step: int) -> None:
        values = {name: total / self.count for name, total in self.sums.items()}
        self.sums, self.count = {}, 0
        for run, row in zip(self.runs, _rows(values), strict=True):
            run.log(row, step, trainer.current_epoch)
            finite = {k: round(v, 4) if math.isfinite(v) else None for k, v in row.items()}
            run.results = {"metrics": finite, "diverged": run.diverged}
            if row.get("val/elbo", -math.inf) > run.best:  # never, of a model that diverged
                run.best = row["val/elbo"]
                run.save(trainer, "best.ckpt", trainer.current_epoch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log_averages(trainer, trainer.global_step - 1)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log_averages(trainer, trainer.global_step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for run in self.runs:
            run.save(trainer, "last.ckpt", trainer.current_epoch - 1)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        for run in self.runs if trainer.global_step else []:
            run.save(trainer, "last.ckpt", trainer.current_epoch)


def _models(runs: list[Run]) -> str:
    return f"{len(runs)} model{'s' * (len(runs) > 1)}"


def _rows(values: Mapping[str, Tensor]) -> list[dict[str, float]]:
    """One row of numbers a model, of tensors (S,)."""
    columns = {name: column.tolist() for name, column in values.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


class ManyCLI(VAECLI):
    """VAECLI with many models in the place of one."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.add_argument(
            "--seeds",
            type=PositiveInt,
            default=8,
            help="The number of seeds, from seed_everything on.",
        )
        parser.add_argument(
            "--vary",
            type=dict[str, list[int | float]],
            default={},
            help=f"Values of {', '.join(VARIABLE)}; each seed has every combination.",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, args)
        options = self.config.fit
        for name, values in options.vary.items():
            if name not in VARIABLE or not values or len(set(values)) < len(values):
                raise ValueError(f"vary {name}: give different values of {', '.join(VARIABLE)}")
        model = [f"model.init_args.{name}" for name in ("compile", "capture")]
        trainer = [f"trainer.{name}" for name in ("callbacks", "fast_dev_run", "overfit_batches")]
        for name in ("ckpt_path", "checkpoint_every_n_steps", *model, *trainer):
            if options.get(name) not in (None, False, []):
                raise ValueError(f"{name} is not for many models at once: use vae fit")
        for name in ("logger", "enable_checkpointing"):
            if options.trainer[name] not in (None, True):
                raise ValueError(f"trainer.{name} is not for many models at once: leave it out")
        if options.seeds > MOST:
            raise ValueError(f"seeds must be at most {MOST}, got {options.seeds}")
        self.models = options.seeds * math.prod(map(len, options.vary.values()))
        if "WANDB_SWEEP_ID" in os.environ:
            raise ValueError("a sweep's agent asks for one model at a time: use vae fit")
        if str(options.trainer.precision) == "16-mixed":
            raise ValueError(
                "precision 16-mixed has one loss scale for all models: use bf16-mixed"
            )

    def instantiate_classes(self) -> None:
        self.runs: list[Run] = []
        whole, given, generators = self.config, self.config.fit, []
        vary, self.name = given.vary, given.name
        for values in itertools.product(*vary.values()):
            varied = dict(zip(vary, values, strict=True))
            label = "".join(f"-{k}{v}".replace("+", "") for k, v in varied.items())
            for seed in range(given.seed_everything, given.seed_everything + given.seeds):
                model = {"class_path": given.model.class_path, "init_args": varied}
                changes = {"seed_everything": seed, "name": f"{given.name}{label}-seed{seed}"}
                self.config = self.parser.parse_object({"fit": changes | {"model": model}}, whole)
                generators.append(seeded(seed, self._build)[1])
                self.runs[-1].seed, self.runs[-1].varied = seed, varied
        self.model = Ensemble([run.model for run in self.runs], generators)
        self.datamodule = EnsembleData([run.data for run in self.runs])
        self.trainer = self.instantiate_trainer()

    def _build(self) -> VAEModule:
        """One model, as train.py builds it: by the same parser, after the same draws."""
        self.__dict__.pop("config_dump", None)  # of the model before
        self.config_init = self.parser.instantiate_classes(self.config)
        config = yaml.safe_load(self._parser("fit").dump(self.config.fit, skip_none=False))
        del config["seeds"], config["vary"]
        model, data = (self._get(self.config_init, part) for part in ("model", "data"))
        described = self.config.fit.data.as_dict()
        data = images_of(data, self.config.fit.seed_everything, described)
        self.runs.append(Run(model, data, config))
        return model

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        self.datamodule.prepare_data()  # what is missing fails here, before anything is written
        self.datamodule.setup("fit")
        self.runs[0].data.assert_served()
        x = next(iter(self.runs[0].data.loader("train", train=True)))
        check_mappable(self.runs[0].model, x[:2])
        config = self._get(self.config_init, "trainer")
        bar = shows_progress(config)
        begin = LambdaCallback(on_train_start=lambda *_: self._begin())
        config["callbacks"] = [Runs(self.runs), *([Progress()] if bar else []), begin]
        config["plugins"] = [*as_list(config.get("plugins")), AtomicCheckpointIO()]
        config["logger"] = config["enable_checkpointing"] = False
        config["enable_progress_bar"] = bar
        trainer = super(VAECLI, self).instantiate_trainer(**kwargs)
        trust_world_size(trainer)
        if trainer.world_size > 1:
            raise ValueError("many models at once take one device: set --trainer.devices 1")
        count_in_steps(trainer, self.runs[0].data, grouped=False)
        check_wandb()
        S, self.begun = len(self.runs), False
        self.folder = new_run(f"{self.name}-x{S}")
        self.lock = RunLock(self.folder)
        device = str(trainer.strategy.root_device)
        self.record = describe_run(self.folder, None, device) | {"together": S}
        for run in self.runs:
            run.folder = new_run(run.config["name"])
            run.record = self.record | {"id": run.folder.name, "seed": run.seed}
        return trainer

    def _begin(self) -> None:
        """Gives each model its run: folder, record, and loggers; and them all the group's."""
        if self.begun:
            return
        self.begun = True
        options = self.config_dump
        self.lock.create()
        self.lock.write(self.record | {"runs": [run.folder.name for run in self.runs]})
        os.environ["WANDB_REINIT"] = "create_new"  # several W&B runs in one process
        for run in self.runs:
            run.lock = RunLock(run.folder)
            run.lock.create()
            run.lock.write(run.record)
            config = yaml.safe_dump(run.config, sort_keys=False)
            replace_text(run.folder / "config.yaml", config)
            run.loggers = [JSONLLogger(run.folder)]
            page = page_of(run.config, run.record, run.data, run.model)
            group, tags = options["group"] or self.folder.name, options["tags"]
            online = wandb_logger(run.folder, page, group=group, tags=tags)
            run.loggers += [online] if online else []
        print(f"training {_models(self.runs)} at once; summary in {self.folder}", flush=True)

    def fit(self, model: Ensemble, datamodule: Any, **kwargs: Any) -> None:  # type: ignore[override]
        exit_code = 1
        try:
            started = time.monotonic()
            self._fit(model, datamodule, **kwargs)
            self._begin()  # of no step
            seconds = time.monotonic() - started
            for run in self.runs:
                run.restore("best.ckpt")
            if self.runs[0].data.count("test") == 0:
                print("the data have no test images: nothing is tested")
            else:
                self.trainer.test(model, datamodule, verbose=False)
            for run in self.runs:
                run.results = {"metrics": {}, "diverged": False} | run.results
                run.results |= {
                    "epochs": self.trainer.current_epoch,
                    "steps": self.trainer.global_step,
                    "seconds": round(seconds, 1),
                    "binarization": run.data.binarization,
                    "parameters": sum(p.numel() for p in run.model.parameters()),
                }
                write_json(run.folder / "results.json", run.results)
            summarize(self.folder, self.record, self.runs)
            exit_code = 0
        finally:
            for logger in itertools.chain(*(run.loggers for run in self.runs)):
                if isinstance(logger, WandbLogger):
                    logger.experiment.finish(exit_code=exit_code)
            for lock in (self.lock, *(run.lock for run in self.runs)):
                if lock:
                    lock.close()

    def _fit(self, model: Ensemble, datamodule: Any, **kwargs: Any) -> None:
        try:
            self.trainer.fit(model, datamodule=datamodule, **kwargs)
        finally:
            self.interruption.listen()

    def _last_words(self) -> str:
        files = [r.folder / "checkpoints" / "last.ckpt" for r in getattr(self, "runs", [])]
        if files and all(file.exists() for file in files):
            return "interrupted; each run has the last.ckpt of its last epoch"
        return "interrupted; nothing was kept"


def summarize(folder: Path, record: dict[str, Any], runs: list[Run]) -> None:
    """Means and standard errors over seeds, and of the differences to the first variant by seed,
    of the runs that did not diverge; writes them and prints a table."""
    variants: dict[str, list[Run]] = {}
    for run in runs:
        label = ", ".join(f"{name} {value}" for name, value in run.varied.items())
        variants.setdefault(label or "all", []).append(run)
    first, metrics = next(iter(variants.values())), list(runs[0].results["metrics"])
    rows: dict[str, Any] = {}
    for label, members in variants.items():
        rows[label] = {"varied": members[0].varied, "runs": [run.folder.name for run in members]}
        for metric in metrics:
            values, base = (
                [None if r.diverged else r.results["metrics"][metric] for r in of]
                for of in (members, first)
            )
            gaps = [
                a - b for a, b in zip(values, base, strict=True) if a is not None and b is not None
            ]
            kept = [value for value in values if value is not None]
            rows[label][metric] = (statistics(kept) if kept else {}) | {"values": values}
            if members is not first and gaps:
                rows[label][metric]["difference"] = statistics(gaps)
    shared = ("epochs", "steps", "seconds", "binarization", "parameters")
    summary = {
        "models": len(runs),
        "seeds": [run.seed for run in first],
        **{key: runs[0].results[key] for key in shared},
        "config": {k: v for k, v in runs[0].config.items() if k in ("model", "data", "trainer")},
        "run": record,
        "variants": rows,
    }
    write_json(folder / "summary.json", summary)
    title = (
        f"mean ± standard error over {len(first)} seed{'s' * (len(first) > 1)},"
        f" {runs[0].data.pixels}"
    )
    table = Table("variant", *metrics, title=title, title_justify="left")
    if len(rows) > 1:
        table.add_column(f"{metrics[0]}, minus the first's, paired")
    for label, row in rows.items():
        cells = [text(row[metric] if "mean" in row[metric] else None) for metric in metrics]
        if len(rows) > 1:
            cells.append(text(row[metrics[0]].get("difference")))
        table.add_row(label, *cells)
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(table)
    if diverged := [run.folder.name for run in runs if run.diverged]:
        print(f"{len(diverged)} diverged, and are in no mean: {', '.join(diverged)}")
    print(f"{summary['steps']} steps of {_models(runs)} in {summary['seconds']} s")
    print(f"written {folder / 'summary.json'}")


def main(words: list[str], program: str) -> None:
    # "fit" is the only subcommand that Lightning's parser knows here
    ManyCLI(words if words[:1] == ["fit"] else ["fit", *words])
