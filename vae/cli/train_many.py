"""Trains one configuration with many seeds, and hyper-parameters, as one batched computation.

``vae train-many --config gaussian --seeds 64 --vary '{"lr": [1e-3, 3e-4]}'``: configurations and
flags are those of ``vae fit``. Every seed is trained with every combination of the values that are
varied. Each model takes the steps that it would take alone, to rounding, and has a run of its own:
a folder, a page in W&B, and checkpoints that every verb reads; its ``config.yaml`` trains it alone.
The group's folder holds ``summary.json``, means and standard errors over seeds, and the checkpoint
from which ``vae resume`` continues all of them, as if they had never stopped.

A model that diverges is trained on beside the others; it is named at the end, and is in no mean.
These runs have no image grids (use ``vae reconstruct``), no warning of a collapsed posterior, and
no copies of their checkpoints in W&B.
"""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path
from typing import Any, cast

import torch
import yaml
from jsonargparse.typing import PositiveInt
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.cli import LightningArgumentParser

from vae.cli.app import VAECLI
from vae.cli.group import Group
from vae.cli.next_step import about
from vae.cli.seeds import MOST
from vae.cli.starting_point import StartingPoint, find_starting_point
from vae.cli.trainer import as_list, shows_progress, trust_world_size
from vae.data.source import images_of
from vae.devices import asynchronous
from vae.run.background import BackgroundCheckpointIO
from vae.run.members import MemberRun, MemberRuns
from vae.run.wandb_mode import check_wandb
from vae.training.callbacks.progress import Progress
from vae.training.chosen_step import LONG, is_known
from vae.training.grouping import group_steps
from vae.training.lightning_private import parser_of
from vae.training.limits import planned_steps
from vae.training.many.data import EnsembleData
from vae.training.many.mapped import check_mappable
from vae.training.many.module import VARIABLE, Ensemble, seeded
from vae.training.module import VAEModule


class ManyCLI(VAECLI):
    """Trains many models at once, as one batched computation: seeds, and values of ``--vary``."""

    usage = "vae train-many [--config FILE] [--OPTION VALUE ...]"
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
        parser.add_argument(
            "--compile",
            type=bool | None,
            default=None,
            help="Whether the step of all models is one compiled graph, where it can be; by default"
            f" on a CPU, and from {LONG:,} steps on. Their weights change by rounding.",
        )

    group: Group | None = None

    def _find_start(self, options: Any) -> StartingPoint | None:
        return find_starting_point(options, together=True)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, args)
        options = self.config.fit
        for name, values in options.vary.items():
            if name not in VARIABLE or not values or len(set(values)) < len(values):
                raise ValueError(f"vary {name}: give different values of {', '.join(VARIABLE)}")
        model = [f"model.init_args.{name}" for name in ("compile", "capture")]
        trainer = [f"trainer.{name}" for name in ("callbacks", "fast_dev_run", "overfit_batches")]
        for name in (*model, *trainer):
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

        if options.compile and str(options.trainer.precision) not in ("None", "32", "32-true"):
            raise ValueError("compile is for 32-true precision: leave out --compile")

    def instantiate_classes(self) -> None:
        self.runs: list[MemberRun] = []
        self.text = self._config_text()
        self.whole = whole = self.config.clone()
        given, generators = whole.fit, list[torch.Generator]()
        vary = given.vary
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
        for name in ("seeds", "vary", "compile"):
            del config[name]
        config["ckpt_path"] = None  # the group's
        model, data = (self.config_init["fit"].get(part) for part in ("model", "data"))
        model.describe_as(config["model"])
        described = self.config.fit.data.as_dict()
        data = images_of(data, self.config.fit.seed_everything, described)
        self.runs.append(MemberRun(model, data, config, self.config.fit.clone()))
        return model

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        self.datamodule.prepare_data()  # what is missing fails here, before anything is written
        self.datamodule.setup("fit")
        self.runs[0].data.assert_served()
        x = next(iter(self.runs[0].data.loader("train", train=True)))
        check_mappable(self.runs[0].model, x[:2])
        config = self.config_init["fit"].get("trainer")
        bar = shows_progress(config)
        options = self.whole.fit.as_dict()
        self.group = group = Group(options, self.text, self.runs, self.start, self.interruption)
        config["callbacks"] = [
            LambdaCallback(on_train_start=lambda *_: group.begin()),  # nothing was refused before
            MemberRuns(self.runs),
            *([Progress()] if bar else []),
            group.last,  # the last callback: it saves the state of all the others
        ]
        config["default_root_dir"] = config["default_root_dir"] or str(group.folder)
        config["plugins"] = [
            *as_list(config.get("plugins")),
            BackgroundCheckpointIO(group.last.folder, group.sync),
        ]
        config["logger"] = False
        config["enable_progress_bar"] = bar
        trainer = super(VAECLI, self).instantiate_trainer(**kwargs)
        trust_world_size(trainer)
        if trainer.world_size > 1:
            raise ValueError("many models at once take one device: set --trainer.devices 1")
        group_steps(trainer, self.model, self.datamodule)
        compiles = self.whole.fit.compile
        self.model.compiled = self._is_worth_it(trainer) if compiles is None else compiles
        check_wandb()
        self.group.attach(trainer)
        return trainer

    def _is_worth_it(self, trainer: Trainer) -> bool:
        """Whether a training is long enough for its step to be compiled, and where that was tried."""
        plain = trainer.precision_plugin.precision == "32-true"
        if not plain or asynchronous(trainer.strategy.root_device):
            return False
        if not all(map(is_known, cast(Ensemble, self.model))):
            return False
        return planned_steps(trainer, self.datamodule) >= LONG

    def fit(self, model: Ensemble, datamodule: Any, **kwargs: Any) -> None:  # type: ignore[override]
        assert self.group is not None
        self.group.train_and_test(model, datamodule, **kwargs)

    @property
    def run(self) -> Path:
        """The group's folder."""
        assert self.group is not None
        return self.group.folder

    def _last_words(self) -> str:
        if self.group is None:
            return "interrupted before the first step: there is nothing to continue"
        return self.group.last_words()


def main(words: list[str], program: str) -> None:
    # "fit" is the only subcommand that Lightning's parser knows here
    about(ManyCLI(words if words[:1] == ["fit"] else ["fit", *words]).run)
