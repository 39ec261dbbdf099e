"""Turns a user's mistake into one line and exit code 2.

With ``--debug``, or ``VAE_DEBUG=1`` in the environment, it remains a traceback.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

__all__ = ["TRUSTED", "clear", "debugging", "fail", "one_line_errors", "take_debug_flag"]


USER_ERRORS = (ValueError, NotImplementedError, OSError, MemoryError)
"""What a user's mistake raises; any other exception is a bug, and keeps its traceback."""

USER_ERRORS_OF = {
    "torch": "OutOfMemoryError",
    "lightning.pytorch.utilities.exceptions": "MisconfigurationException",
    "wandb.errors": "Error",
}
"""The same of libraries, by module: what was not imported cannot have raised it."""

TOO_LARGE = ("can't allocate memory", "size calculation overflowed", "Overflow when unpacking")
"""What torch says, in a RuntimeError, of numbers that are too large."""

TRUSTED: list[str] = []
"""The modules that this process's command line trusts."""

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
    text = re.sub(r"(Parser key \S+) - ", r"\1 ", text)
    # of a part: what its factory is called in Python, before what was wrong
    text = re.sub(r"Type \S*Callable\[.*\] expects a function or a callable class: ", "", text)
    text = re.sub(
        r"Expected '([^']+)' to be a (?:function that returns|subclass of) <class '(?:\w+\.)*(\w+)'>.*",
        r"\1 is no \2",
        text,
    )
    text = re.sub(
        r"Not of type PositiveInt: (?:.*?'(.*)'|.*, got (.*))$",
        lambda found: f"expected a whole number above 0, got {found[1] or found[2]}",
        text,
    )
    wrapped = re.fullmatch(
        r"(.*?)(?:- )?Does not validate against any of the Union subtypes.*?Errors: - (.*?)"
        r"(?: Given value type: .*? Given value: (.*))?",
        text,
    )
    if wrapped:  # one complaint for each member of a union
        key, complaints, value = wrapped.groups()
        complaints = complaints.partition(" Subclass types expect one of")[0]
        found = [c for c in re.split(r" - (?=Expected)", complaints) if "NoneType" not in c]
        named = [c for c in found if not re.match("Expected(?! a dot import| a typing.Lit)", c)]
        text = key + " or ".join(dict.fromkeys(named or found))
        if value and not named:
            text += f". Got value: {value}"
    text = re.sub(
        r"Expected a dot import path string: (\S+)", r"no class of this kind is called \1", text
    )
    text = re.sub(r"typing\.Literal\[(.*?)\]", r"one of \1", text)
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text)
    text = re.sub(r"(?<=[:r] )Expected( an?)?(?= )", "expected", text).replace("or expected", "or")
    text = re.sub(
        r"Subcommand 'fit' does not accept option '([^'.]+).*", r"no option is called \1", text
    )
    text = re.sub(r'Parser key "([^"]+)"', r"\1", text).replace(". Got value: ", ", got ")
    text = text.replace("expected list,", "expected a list, as [a, b],")
    text = text.replace("expected dict,", "expected a mapping,")
    text = text.replace(" or no class of this kind", "; no class of this kind")
    text = re.sub(
        r"\b(\w+): expected instantiatable class, but \S+ is abstract, got NestedArg\(key='(\w+)'.*",
        r"\1: name its class before the class's option \2, as in --model.\1 CLASS",
        text,
    )
    text = re.sub(r"got Namespace\(class_path='([^']+)'.*", r"got \1", text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."


def debugging() -> bool:
    """Whether a mistake keeps its traceback."""
    return bool(os.environ.get("VAE_DEBUG"))


def take_debug_flag() -> None:
    """Takes ``--debug`` from the command line: from here on, :func:`debugging` is true."""
    if "--debug" in sys.argv[1:]:
        sys.argv.remove("--debug")
        os.environ["VAE_DEBUG"] = "1"  # for the processes that are started too


def take_trust_flags() -> None:
    """Takes every ``--trust MODULE`` from the command line.

    From here on these modules are trusted (:mod:`vae.models.trust`), in processes that are started
    too.
    """
    words, kept, named = sys.argv[1:], sys.argv[:1], os.environ.get("VAE_TRUST", "").split()
    while words:
        name, given, value = words.pop(0).partition("=")
        if name != "--trust":
            kept.append(name + given + value)
            continue
        if not given:
            value = words.pop(0) if words and not words[0].startswith("-") else ""
        modules = value.replace(",", " ").split()
        if not modules or not all(part.isidentifier() for m in modules for part in m.split(".")):
            fail(f"--trust {value}: give the name of a module, such as mine")
        named += modules
        TRUSTED.extend(modules)
    if kept != sys.argv:
        sys.argv[:] = kept
        os.environ["VAE_TRUST"] = " ".join(named)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns a user's mistake into one line and exit code 2; Ctrl-C into one line and 130.

    ``--debug``, which keeps the traceback, and ``--trust MODULE`` are taken from the command line.
    """
    if callable(signal.getsignal(signal.SIGINT)):  # in the background it is ignored, and stays so
        signal.signal(signal.SIGINT, signal.default_int_handler)
    take_debug_flag()
    take_trust_flags()
    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_DFL:  # temporary files are removed, as at Ctrl-C
        signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except KeyboardInterrupt:
        if debugging():
            raise
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except Exception as error:
        if debugging() or not _is_a_users(error):
            raise
        fail(error)
    finally:
        if before is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, before)


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _is_a_users(error: Exception) -> bool:
    """Whether an exception says what the user did wrong."""
    if isinstance(error, USER_ERRORS):
        return True
    for module, name in USER_ERRORS_OF.items():
        if module in sys.modules and isinstance(error, getattr(sys.modules[module], name)):
            return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in TOO_LARGE)
