"""``vae fit``: LightningCLI with a run's folder, which trains and then tests."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

import vae
from vae.cli.arguments import (
    assert_free,
    assert_words,
    read_configurations,
    with_classes_first,
    with_named_configurations,
)
from vae.cli.checks import (
    assert_feasible,
    assert_fits_in_memory,
    assert_no_nulls,
    assert_supported,
    make_absolute,
    name_by_public_names,
)
from vae.cli.parser import OneLine
from vae.cli.quiet import quiet
from vae.cli.session import Session
from vae.cli.starting_point import StartingPoint, find_starting_point
from vae.cli.trainer import add_parts, check_and_prepare
from vae.data.source import ImageSource, image_shape_of, images_of
from vae.models.trust import allow_current_folder
from vae.run.defaults import EPOCHS, FIT, TRAINER
from vae.run.folder import assert_runs_can_be_written
from vae.run.signals import Interrupted, Interruption
from vae.run.wandb_mode import check_wandb
from vae.training.lightning_private import parser_of
from vae.training.limits import assert_trains
from vae.training.module import VAEModule

__all__ = ["VAECLI"]


OPTIONS: dict[str, tuple[Any, str]] = {
    "name": (str, "The run's name, a part of its id."),
    "group": (str, "The W&B group."),
    "tags": (list[str], "W&B tags."),
    "image_every": (int, "Epochs between image grids."),
    "report": (bool, "Whether report.html is written at the end, all that is known of the run."),
    "checkpoint_every_n_steps": (
        int | None,
        "Optimiser steps between checkpoints inside an epoch; each epoch's end has one.",
    ),
    "checkpoint_every_n_minutes": (
        float | None,
        "Minutes between checkpoints inside an epoch.",
    ),
    "float32_matmul_precision": (
        Literal["highest", "high", "medium"],
        "Of matrix products in 32-true: high lets a GPU use TF32, medium bfloat16.",
    ),
}
"""The options of ``vae fit`` itself: their types, and what they are; defaults: ``vae.run.defaults``."""


class FitParser(OneLine, LightningArgumentParser):  # type: ignore[misc]
    """The parser of ``vae fit``."""


class UnusableData(BaseException):
    """Carries an error out of jsonargparse, which would print the data module, and its own workings."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


def linked_image_shape(data: LightningDataModule) -> tuple[int, int, int]:
    """The shape of a data module's images, for the model.

    Raises:
        UnusableData: If it serves none.
    """
    try:
        return image_shape_of(data)
    except Exception as error:
        raise UnusableData(error) from error


class VAECLI(LightningCLI):
    """Builds module, data and trainer from YAML and flags, trains, and tests the best checkpoint.

    Arguments:
        args: The command line's words; by default those of this process.
    """

    session: Session | None = None
    start: StartingPoint | None = None

    models = 1
    """How many models are trained at once."""

    usage = "vae fit [--config FILE] [--OPTION VALUE ...]"
    description = (
        "Trains a VAE from a configuration and flags, and tests it. Options of a model's or a data"
        " module's class: --model.help CLASS, --data.help CLASS; of one of its parts:"
        " --model CLASS --model.latent.help CLASS."
    )
    """What ``--help`` begins with."""

    def __init__(self, args: list[str] | None = None) -> None:
        quiet()
        # Adam's moments of the weights of pixels that are never on decay into denormal numbers,
        # which are many times slower on a CPU. Set before torch starts the threads that inherit it.
        torch.set_flush_denormal(True)
        self.interruption = Interruption()
        self.parent = os.getppid()
        with self.interruption:
            try:
                self._start(args)
            except UnusableData as error:
                raise error.reason from error.reason.__cause__
            except Interrupted:
                if getattr(rank_zero_only, "rank", 0) == 0:
                    print(self._last_words(), flush=True)
                self._wait_for_parent()
                raise

    def _start(self, args: list[str] | None) -> None:
        allow_current_folder()  # where a user's own parts are
        for name in vae.PLACES:  # classes are named on the command line once they are imported
            getattr(vae, name)
        super().__init__(
            VAEModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_class=FitParser,
            parser_kwargs={"fit": {"usage": self.usage, "description": self.description}},
            save_config_callback=None,
            trainer_defaults=dict(TRAINER),
            args=args,
        )

    @property
    def run(self) -> Path:
        """The run's folder."""
        assert self.session is not None
        return self.session.run

    def _parse_ckpt_path(self) -> None:
        """Does nothing, where Lightning would import the classes that the checkpoint names.

        They are imported once they are known to be trusted (:mod:`vae.models.trust`).
        """

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {"fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule"}}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        for name, (kind, words) in OPTIONS.items():
            parser.add_argument(f"--{name}", type=kind, default=FIT[name], help=words)
        parser.link_arguments(
            "data", "model.init_args.image_shape", linked_image_shape, apply_on="instantiate"
        )
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=int)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses, and refuses before anything is built what would fail later."""
        words = sys.argv[1:] if args is None else args
        assert_words(words)
        words = with_classes_first(with_named_configurations(words))
        assert_free(words, read_configurations(words))
        super().parse_arguments(parser, words)
        options = self.config[self.config.subcommand]
        name_by_public_names(options)
        make_absolute(options.data)
        assert_no_nulls(options, vars(parser_of(self).get_defaults()))
        assert_trains(options.trainer, continued=bool(options.ckpt_path))
        assert_supported(options.trainer)
        torch.set_float32_matmul_precision(options.float32_matmul_precision)
        if options.trainer.max_epochs is None and options.trainer.max_steps == -1:
            options.trainer.max_epochs = EPOCHS
        self.start = self._find_start(options)

    def _find_start(self, options: Any) -> StartingPoint | None:
        """The checkpoint to continue from."""
        return find_starting_point(options)

    def before_instantiate_classes(self) -> None:
        if self.start is None and not self.config[self.config.subcommand].trainer.fast_dev_run:
            assert_runs_can_be_written()
        assert_fits_in_memory(self.config[self.config.subcommand], self.models)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        options, config = self.config_dump, self.config_init["fit"].get("trainer")
        self.model.describe_as(options["model"])
        described = self.config["fit"].get("data").as_dict()
        self.datamodule = images_of(self.datamodule, options["seed_everything"], described)
        self.datamodule.prepare_data()  # missing data are noticed here, before anything is written
        self.datamodule.setup("fit")
        self.datamodule.assert_served()
        assert_feasible(self.model, self.datamodule)
        validates = self.datamodule.count("val") != 0 and config["limit_val_batches"] != 0
        logs = not config.get("fast_dev_run") and config.get("logger") in (None, True)
        self.session = session = Session(
            options, self._config_text(), self.start, validates, logs, self.interruption
        )
        add_parts(
            config,
            session.best,
            session.last,
            session.metrics,
            session.begin,
            options["image_every"],
            session.errors,
        )
        try:
            trainer = super().instantiate_trainer(**kwargs)
        except (TypeError, OverflowError) as error:  # Lightning's, on some numbers
            raise ValueError(error) from None
        check_and_prepare(trainer, self.model, self.datamodule, validates)
        session.attach(trainer, self.model, self.datamodule)
        if logs:
            check_wandb()
        return trainer

    def _config_text(self) -> str:
        """The options of ``fit`` in YAML, as ``config.yaml`` holds them."""
        config = self.config["fit"].clone()
        config.ckpt_path = None  # training with this file starts a run of its own
        return parser_of(self).dump(config, skip_none=False)

    def fit(self, model: VAEModule, datamodule: ImageSource, **kwargs: Any) -> None:
        assert self.session is not None
        self.session.train_and_test(**kwargs)

    def _last_words(self) -> str:
        """What to say when a signal ended this process."""
        if self.session is None:
            return "interrupted before the first step: there is nothing to continue"
        return self.session.last_words()

    def _wait_for_parent(self) -> None:
        """Lets the process that started this one end first.

        Lightning kills it as soon as another process ends with an error.
        """
        strategy = getattr(getattr(self, "trainer", None), "strategy", None)
        environment = getattr(strategy, "cluster_environment", None)
        if isinstance(environment, LightningEnvironment) and environment.local_rank() > 0:
            deadline = time.monotonic() + 60
            while os.getppid() == self.parent and time.monotonic() < deadline:
                time.sleep(0.05)
