"""A user's mistake as one line and exit code 2; with ``--debug``, or ``VAE_DEBUG=1`` in the
environment, as the traceback that it was."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import torch
import wandb
from lightning.pytorch.utilities.exceptions import MisconfigurationException

__all__ = ["clear", "debugging", "fail", "one_line_errors"]


USER_ERRORS = (
    ValueError,
    NotImplementedError,
    OSError,
    MemoryError,
    torch.OutOfMemoryError,
    MisconfigurationException,
    wandb.errors.Error,
)
"""What the library raises for a user's mistake; anything else is ours, and keeps its traceback."""

TOO_LARGE = ("can't allocate memory", "size calculation overflowed", "Overflow when unpacking")
"""What torch says, in a RuntimeError, of numbers that are too large."""

LONGEST = 500
"""Characters of a message: some quote a whole configuration."""


def fail(message: object) -> NoReturn:
    print(f"error: {clear(message)}", file=sys.stderr)
    raise SystemExit(2)


def clear(message: object) -> str:
    """A message in one line, without what jsonargparse says about its own workings."""
    if isinstance(message, OSError) and message.strerror:
        file = f"{os.fsdecode(message.filename)}: " if message.filename else ""
        return f"{file}{message.strerror}"
    text = " ".join(str(message).partition("\nException raised from")[0].split())
    text = text or type(message).__name__
    if asked := re.search(r"can't allocate memory: you tried to allocate (\d+) bytes", text):
        return f"out of memory: {int(asked[1]) / 2**30:,.0f} GiB were asked for"
    text = re.sub(r"- Expected a path but .*? either not accessible or invalid ", "", text)
    wrapped = re.fullmatch(
        r"(.*?)(?:- )?Does not validate against any of the Union subtypes.*?Errors: - (.*?)"
        r"(?: Given value type: .*? Given value: (.*))?",
        text,
    )
    if wrapped:  # one complaint for each member of a union
        key, complaints, value = wrapped.groups()
        complaints = complaints.partition(" Subclass types expect one of")[0]
        found = [c for c in re.split(r" - (?=Expected)", complaints) if "NoneType" not in c]
        named = [c for c in found if not re.match("Expected(?! a dot import)", c)]
        text = key + " or ".join(named or found)
        if value and not named:
            text += f". Got value: {value}"
    text = re.sub(r"Expected a dot import path string: (\S+)", r"there is no class \1", text)
    text = re.sub(r"typing\.Literal\[(.*?)\]", r"one of \1", text)
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text)
    text = re.sub(r"(?<=[:r] )Expected( an?)?(?= )", "expected", text).replace("or expected", "or")
    text = re.sub(r'Parser key "([^"]+)"', r"\1", text).replace(". Got value: ", ", got ")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."


def debugging() -> bool:
    return bool(os.environ.get("VAE_DEBUG"))


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns a user's mistake into one line and exit code 2, and Ctrl-C into one line and exit code
    130. ``--debug`` on the command line, which is taken from it, keeps the traceback."""
    if callable(signal.getsignal(signal.SIGINT)):  # not of what runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "--debug" in sys.argv[1:]:
        sys.argv.remove("--debug")
        os.environ["VAE_DEBUG"] = "1"  # for the processes that are started too
    try:
        yield
    except KeyboardInterrupt:
        if debugging():
            raise
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except USER_ERRORS as error:
        if debugging():
            raise
        fail(error)
    except RuntimeError as error:
        if debugging() or not any(words in str(error) for words in TOO_LARGE):
            raise
        fail(error)
