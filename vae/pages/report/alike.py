"""Which runs' numbers compare: bounds of the same images, under likelihoods of the same kind."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vae.pages.report.about import option_in_words
from vae.pages.report.contents import Contents
from vae.run.defaults import defaults_of
from vae.run.history import Configuration

__all__ = ["alike", "same_objective"]

OBJECTIVE = ("objective", "num_samples", "beta", "beta_warmup", "kl", "free_bits")
"""Options of a model that change what it maximises."""

SERVING = re.compile(r"(eval_)?batch_size|steps_per_batch|num_val|num_workers|binarization|.*seed")
"""Options of data that leave the test's images as they are, or are told apart from the others."""


def alike(
    groups: Sequence[Configuration], found: Mapping[Path, Contents]
) -> dict[str, list[Configuration]]:
    """The configurations whose bounds compare, by a line on what they are bounds of.

    Arguments:
        groups: The configurations, in the order of the page.
        found: The folders of their runs.
    """
    kinds: dict[str, list[Configuration]] = {}
    for group in groups:
        kinds.setdefault(_images(group, found), []).append(group)
    return kinds


def _images(group: Configuration, found: Mapping[Path, Contents]) -> str:
    """The images and the likelihood of a configuration's bounds."""
    options = group.runs[0].options
    data = str(options.get("data.class_path", "unknown data")).rpartition(".")[2]
    known = [results for run in group.runs if (results := found[run.run].results)]
    pixels = options.get("data.init_args.binarization")
    if known and "binarization" in known[0]:
        pixels = known[0]["binarization"]
    own = str(options.get("model.init_args.likelihood.class_path") or "").rpartition(".")[2]
    likelihood = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", own).lower()  # ContinuousBernoulli
    likelihood = likelihood or str(options.get("model.init_args.likelihood") or "bernoulli")
    binary = "no binarisation" if pixels in (None, "none") else f"{pixels} binarisation"
    likelihood = likelihood.replace("_", " ").title()
    parts = [data.removesuffix("DataModule"), *_chosen(options), binary]
    return ", ".join([*parts, f"{likelihood} likelihood"])


def _chosen(options: Mapping[str, Any]) -> list[str]:
    """The data's own options that are not what they are by default."""
    defaults = defaults_of(str(options.get("data.class_path", ""))) or {}
    own = {k[15:]: v for k, v in options.items() if k.startswith("data.init_args.")}
    return [
        f"{name} {option_in_words(value)}"
        for name, value in own.items()
        if not SERVING.fullmatch(name) and value != defaults.get(name)
    ]


def same_objective(groups: Sequence[Configuration]) -> bool:
    """Whether all configurations maximise the same, as far as their options say."""
    told = [
        {
            key: value
            for key, value in group.runs[0].options.items()
            if any(part in OBJECTIVE for part in key.split(".")[2:])
        }
        for group in groups
    ]
    return all(own == told[0] for own in told)
