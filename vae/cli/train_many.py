"""Trains one configuration with many seeds, and hyper-parameters, as one batched computation.

``vae train-many --config gaussian --seeds 64 --vary '{"lr": [1e-3, 3e-4]}'``: configurations and
flags are those of ``vae fit``. Every seed is trained with every combination of the values that are
varied. Each model takes the steps that it would take alone, to rounding, and has a run of its own:
a folder, a page in W&B, and checkpoints that every verb reads; its ``config.yaml`` trains it alone.
The group's folder holds ``summary.json``: means and standard errors over seeds.

A model that diverges is trained on beside the others; it is named at the end, and is in no mean.
These runs have no image grids (use ``vae reconstruct``), no warning of a collapsed posterior, no
checkpoint from which training can be continued, and no copies of their checkpoints in W&B.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from pathlib import Path
from typing import Any

import yaml
from jsonargparse.typing import PositiveInt
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import WandbLogger

from vae.cli.app import VAECLI
from vae.cli.seeds import MOST
from vae.cli.session import page_of
from vae.cli.summary import print_summary, summed_up
from vae.cli.trainer import as_list, shows_progress, trust_world_size
from vae.data.source import images_of
from vae.run.atomic import AtomicCheckpointIO
from vae.run.files import replace_text, write_json
from vae.run.folder import new_run
from vae.run.lock import RunLock
from vae.run.members import MemberRun, MemberRuns
from vae.run.metrics import JSONLLogger
from vae.run.record import describe_run
from vae.run.wandb import check_wandb, wandb_logger
from vae.training.callbacks.progress import Progress
from vae.training.lightning_private import parser_of
from vae.training.limits import count_in_steps
from vae.training.many.data import EnsembleData
from vae.training.many.module import VARIABLE, Ensemble, check_mappable, seeded
from vae.training.module import VAEModule


class ManyCLI(VAECLI):
    """Trains many models at once, as one batched computation: seeds, and values of ``--vary``."""

    usage = "vae train-many [--config FILE] [--seeds N] [--vary VALUES] [--OPTION VALUE ...]"
    description = __doc__

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
        self.runs: list[MemberRun] = []
        whole, given, generators = self.config, self.config.fit, []
        vary, self.name = given.vary, given.name
        for values in itertools.product(*vary.values()):
            varied = dict(zip(vary, values, strict=True))
            label = "".join(f"-{k}{v}".replace("+", "") for k, v in varied.items())
            for seed in range(given.seed_everything, given.seed_everything + given.seeds):
                self.config = whole.clone()
                own = self.config.fit
                own.seed_everything, own.name = seed, f"{given.name}{label}-seed{seed}"
                if "seed" in own.data.get("init_args", {}):  # it follows seed_everything
                    own.data.init_args.seed = seed
                for option, value in varied.items():
                    own[f"model.init_args.{option}"] = value
                self.parser.validate(self.config)
                generators.append(seeded(seed, self._build)[1])
                self.runs[-1].seed, self.runs[-1].varied = seed, varied
        self.model = Ensemble([run.model for run in self.runs], generators)
        self.datamodule = EnsembleData([run.data for run in self.runs])
        self.trainer = self.instantiate_trainer()

    def _build(self) -> VAEModule:
        """One model, built as ``vae fit`` builds it: by the same parser, after the same draws."""
        self.__dict__.pop("config_dump", None)  # of the model before
        self.config_init = self.parser.instantiate_classes(self.config)
        config = yaml.safe_load(parser_of(self).dump(self.config.fit, skip_none=False))
        del config["seeds"], config["vary"]
        model, data = (self.config_init["fit"].get(part) for part in ("model", "data"))
        model.describe_as(config["model"])
        described = self.config.fit.data.as_dict()
        data = images_of(data, self.config.fit.seed_everything, described)
        self.runs.append(MemberRun(model, data, config))
        return model

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        self.datamodule.prepare_data()  # what is missing fails here, before anything is written
        self.datamodule.setup("fit")
        self.runs[0].data.assert_served()
        x = next(iter(self.runs[0].data.loader("train", train=True)))
        check_mappable(self.runs[0].model, x[:2])
        config = self.config_init["fit"].get("trainer")
        bar = shows_progress(config)
        begin = LambdaCallback(on_train_start=lambda *_: self._begin())
        config["callbacks"] = [MemberRuns(self.runs), *([Progress()] if bar else []), begin]
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


def summarize(folder: Path, record: dict[str, Any], runs: list[MemberRun]) -> None:
    """Sums up the runs that did not diverge; writes them as JSON and prints a table."""
    variants: dict[str, list[MemberRun]] = {}
    for run in runs:
        label = ", ".join(f"{name} {value}" for name, value in run.varied.items())
        variants.setdefault(label or "all", []).append(run)
    seeds, metrics = len(next(iter(variants.values()))), list(runs[0].results["metrics"])
    rows: dict[str, Any] = {
        label: {"varied": members[0].varied, "runs": [run.folder.name for run in members]}
        for label, members in variants.items()
    }
    for metric in metrics:
        values = {
            label: [None if run.diverged else run.results["metrics"][metric] for run in members]
            for label, members in variants.items()
        }
        for label, row in summed_up(values).items():
            rows[label][metric] = row
    shared = ("epochs", "steps", "seconds", "binarization", "parameters")
    summary = {
        "models": len(runs),
        "seeds": [run.seed for run in runs[:seeds]],
        **{key: runs[0].results[key] for key in shared},
        "config": {k: v for k, v in runs[0].config.items() if k in ("model", "data", "trainer")},
        "run": record,
        "variants": rows,
    }
    write_json(folder / "summary.json", summary)
    number = f"{seeds} seed{'s' * (seeds > 1)}"
    if metrics:
        title = f"mean ± standard error over {number}, {runs[0].data.pixels}"
        print_summary(title, rows, metrics)
    if diverged := [run.folder.name for run in runs if run.diverged]:
        print(f"{len(diverged)} diverged, and are in no mean: {', '.join(diverged)}")
    print(f"{summary['steps']} steps of {_models(runs)} in {summary['seconds']} s")
    print(f"written {folder / 'summary.json'}")


def _models(runs: list[MemberRun]) -> str:
    return f"{len(runs)} model{'s' * (len(runs) > 1)}"


def main(words: list[str], program: str) -> None:
    # "fit" is the only subcommand that Lightning's parser knows here
    ManyCLI(words if words[:1] == ["fit"] else ["fit", *words])
