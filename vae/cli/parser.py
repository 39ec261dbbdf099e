"""Argument parsers in which every mistake is one line."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jsonargparse
import yaml

from vae.cli.arguments import assert_values, assert_words
from vae.cli.errors import debugging, fail
from vae.cli.help import HelpFormatter
from vae.models.trust import allow_current_folder
from vae.nearest import meant
from vae.run.plain_yaml import load_yaml

__all__ = ["OneLine", "ScriptParser", "add_data", "checkpoint_parser", "data_parser"]


CHECKPOINT = (
    "a .ckpt file, a run's folder, a folder of the Hugging Face hub, or in a clone the name of one"
    " of experiments/checkpoints; by default the newest run's best"
)


class OneLine:
    """What the parsers of ``vae fit`` and of the other verbs share."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        note = (
            "--debug, anywhere: a traceback where a mistake is otherwise one line. --trust MODULE:"
            " a checkpoint may name classes of this module."
        )
        super().__init__(*args, **{"epilog": note, "formatter_class": HelpFormatter, **kwargs})

    def parse_args(self, args: Sequence[str] | None = None, *rest: Any, **kwargs: Any) -> Any:
        assert_words(sys.argv[1:] if args is None else args)
        options = super().parse_args(args, *rest, **kwargs)  # type: ignore[misc]
        assert_values(options)
        return options

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if debugging() and ex is not None:
            raise ex
        if unknown := re.fullmatch(r"Option '([^']+)' is not accepted", message.strip()):
            fail(f"the chosen class has no option {unknown[1]}: {_where_they_are(unknown[1])}")
        if unknown := re.match(r"unrecognized arguments: (--[^\s=]+)", message.strip()):
            message = f"{message.strip()}{self._meant(unknown[1])}"
        fail(message)

    def _meant(self, flag: str) -> str:
        """What to add of the option that was meant: it is spelt alike, or ends in this word."""
        flags = [
            name for name in getattr(self, "_option_string_actions", {}) if name[-5:] != ".help"
        ]
        ending = [name for name in flags if name.endswith(f".{flag[2:]}")]
        near = meant(ending[0] if ending else flag, flags, likeness=0.8)
        return near or " (--help lists the options)"


def _where_they_are(option: str) -> str:
    """What lists the options of the class that was given one that it has not."""
    names = [word.partition("=")[0] for word in sys.argv]
    parts = [name.removesuffix(f".{option}") for name in names if name.endswith(f".{option}")]
    part = parts[-1].replace(".init_args", "") if parts else ""
    if "." in part:
        return f"{part}.help CLASS lists those that it has"
    return "--model.help CLASS, or --data.help CLASS, lists those that it has"


class ScriptParser(OneLine, jsonargparse.ArgumentParser):  # type: ignore[misc]
    """The parser of the other verbs."""

    def add_function_arguments(self, *args: Any, **kwargs: Any) -> Any:
        """Adds them beside the other options: the description has said what they are for."""
        return super().add_function_arguments(*args, **{"as_group": False, **kwargs})

    def arguments(self, words: Sequence[str]) -> dict[str, Any]:
        """The arguments that the words give, a data module among them made."""
        allow_current_folder()
        options = self.parse_args(words)
        try:
            return dict(vars(self.instantiate(options)))
        except TypeError as error:  # a data module with an argument missing
            raise ValueError(str(error)) from None


def checkpoint_parser(
    function: Callable[..., Any],
    program: str,
    *skip: str,
    checkpoint: str = CHECKPOINT,
) -> ScriptParser:
    """A parser of a function's arguments, with its ``checkpoint`` as an optional first word.

    Arguments:
        function: The function.
        program: What the help calls the program.
        skip: Arguments that are no options.
        checkpoint: The help of the first word.
    """
    parser = ScriptParser(prog=program, description=sys.modules[function.__module__].__doc__)
    parser.add_argument("checkpoint", nargs="?", help=checkpoint)
    parser.add_function_arguments(function, skip={"checkpoint", *skip})
    return parser


def data_parser(
    function: Callable[..., Any], program: str, words: Sequence[str], *skip: str
) -> ScriptParser:
    """As :func:`checkpoint_parser`, of a function that takes ``data`` too, a data module.

    Its option is there only where the command line names it or asks for help: to know the classes
    that it may name, Lightning must be imported.

    Arguments:
        function: The function.
        program: What the help calls the program.
        words: The command line.
        skip: Arguments that are no options.
    """
    parser = checkpoint_parser(function, program, "data", *skip)
    add_data(parser, words)
    return parser


def add_data(parser: ScriptParser, words: Sequence[str]) -> None:
    """Adds the option ``--data``, a data module, where the words name it or ask for help."""
    if any(re.match(r"(-h|--help|--data\b)", word) for word in words):
        from lightning.pytorch import LightningDataModule

        import vae
        from vae.data.load import data_modules

        for name in data_modules():  # so that --data DigitsDataModule is known
            getattr(vae, name)
        parser.add_argument(
            "--data",
            type=LightningDataModule | None,
            default=None,
            help="Other data than those trained on: a data module, as --data mine.MyData.",
        )


jsonargparse.set_loader("yaml", load_yaml, (yaml.YAMLError,))
