"""What ``--help`` says: the parsers' own words, without what is of no use to a reader of them."""

from __future__ import annotations

import re
import textwrap
from argparse import Action
from collections.abc import Iterable

from jsonargparse import ActionConfigFile, DefaultHelpFormatter

from vae.cli.arguments import CONFIGS, LINKED
from vae.cli.help_words import number_of, tidied, unmarked

__all__ = ["HelpFormatter"]


NAMED = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
"""The names of the package's configurations."""

KNOWN = ", known subclasses: "
"""What jsonargparse puts before the names of all classes, imported by anything, of a kind."""

HEADINGS = {
    "A DataModule": "The images, by split",
    "Runs the full optimization": "Where to start from",
}
"""Headings in place of the first words of Lightning's docstrings."""

HELP = {
    "seed_everything": "The seed of the initial weights, the order of the images, and all noise.",
    "ckpt_path": "A run's folder, or a checkpoint, to continue from; vae resume RUN gives it itself.",
    "weights_only": "Lightning's; checkpoints here hold plain values and tensors in any case.",
}
"""Help in place of Lightning's for options that mean something else, or more, here."""


class HelpFormatter(DefaultHelpFormatter):
    """Names the classes that can be chosen, and leaves out what follows from something else."""

    def start_section(self, heading: str | None) -> None:
        own = (new for old, new in HEADINGS.items() if (heading or "").startswith(old))
        heading = next(own, heading)
        super().start_section(heading and textwrap.fill(unmarked(heading), self._width - 1))

    def add_arguments(self, actions: Iterable[Action]) -> None:
        super().add_arguments(a for a in actions if type(a).__name__ != "ActionLink")

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = (unmarked(part) for part in text.strip().split("\n\n"))
        return "\n\n".join("\n".join(self._split_lines(part, width)) for part in parts)

    def _split_lines(self, text: str, width: int) -> list[str]:
        words = " ".join(text.split())  # paths of classes stay whole
        return textwrap.wrap(words, width, break_long_words=False, break_on_hyphens=False)

    def _get_default_metavar_for_optional(self, action: Action) -> str:
        return number_of(
            self._get_type_str(action) or ""
        ) or super()._get_default_metavar_for_optional(action)

    def _expand_help(self, action: Action) -> str:
        text = super()._expand_help(action)
        if action.nargs == "*" or action.nargs == "?":
            text = re.sub(r"\(required(, )?", "(", text).removesuffix(" ()")
        if action.nargs == 0:  # a flag
            text = text.removesuffix(" (default: False)")
        shown = self._format_args(action, "") if action.option_strings else ""
        return tidied(text, shown.startswith("{"), _short)

    def _get_help_string(self, action: Action) -> str:
        if action.dest in LINKED:
            return f"{action.help} (set by {LINKED[action.dest]})"
        text = super()._get_help_string(action)
        if isinstance(action, ActionConfigFile) and action.dest == "config":  # of vae fit
            return f"A YAML file, or one of the package's by name: {', '.join(NAMED)}."
        if action.dest in HELP:
            text = text.replace(action.help or "", HELP[action.dest], 1)
        text, found, names = text.partition(KNOWN)
        if not found:
            return text
        paths = choices(names.removesuffix(")").split(", "), action.dest.rpartition(".")[2])
        return f"{text}{KNOWN if paths else ''}{', '.join(paths)})"


def _short(path: str) -> str:
    """The name by which a class is given: Lightning's and torch's go without their path."""
    return path if path.startswith("vae.") else re.sub(r"^(lightning|torch)\..*\.", "", path)


def choices(paths: Iterable[str], option: str) -> list[str]:
    """Of all known classes of a kind, those that a reader could choose.

    Arguments:
        paths: Their class paths; the first one is the kind itself, where that can be made.
        option: The name of the option, such as encoder.
    """
    first, *others = paths
    found = [path for path in (first, *others) if _is_public(path)]
    if first == "torch.nn.Module":  # any module would be of the kind: those that are named for it
        found = [path for path in found if path.lower().endswith(option)]
    return found


def _is_public(path: str) -> bool:
    """Whether a class is one of this library's public ones, a trainer's or optimiser's, or the user's."""
    root, _, rest = path.partition(".")
    if root == "vae":
        return "." not in rest
    if root == "torch":
        return rest.startswith("optim.")
    return root not in ("torchvision", "torchmetrics") and path != "lightning.LightningDataModule"
