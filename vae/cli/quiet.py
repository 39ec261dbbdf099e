"""Silences what Lightning says that is no news to the person training."""

from __future__ import annotations

import logging
import os
import warnings

__all__ = ["quiet"]


IRRELEVANT = (
    ".*LeafSpec.* is deprecated.*",  # Lightning's own code, with the newest torch
    ".*functional.all_gather is deprecated",  # the same
    "LightningCLI's args parameter is intended .*",  # we hand it this process's own arguments
    "Total length of .* across ranks is zero",  # data.num_val 0
    "Checkpoint directory .* exists and is not empty",  # of a run that is continued
    "The `srun` command is available",  # one process needs no srun; several do not start without
    # a checkpoint after every so many steps holds the weights after them, as it should
    "Using ModelCheckpoint with manual optimization and every_n_train_steps",
    # a run that ends inside an epoch was not validated: what it saved last is tested
    ".*monitor='val/elbo'.* could not find",
    ".*is smaller than the logging interval.*",  # we count steps across epochs: short ones too
)
"""Warnings that call for no action."""


def quiet() -> None:
    """Hides Lightning's banners and the warnings that call for no action."""
    # Lightning calls what the newest jsonargparse deprecates.
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    logging.raiseExceptions = False  # no traceback for a log line that a full disk refuses
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("profilers", "utilities.model_summary"):  # shown when asked for
        logging.getLogger(f"lightning.pytorch.{name}").setLevel(logging.INFO)
    # a home that cannot be written to costs it a second
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # torch.compile looks for CUDA's compiler, and has no need of it on a CPU
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    for message in IRRELEVANT:
        warnings.filterwarnings("ignore", message=message)
