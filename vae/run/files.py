"""JSON files, what can be read of damaged ones, and whether a file can be written."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from vae.whole_files import replace_text

__all__ = [
    "assert_writable",
    "digest",
    "finite",
    "lines_of",
    "read_json",
    "writable",
    "write_json",
]


OWN = ("run.json", "config.yaml", "results.json")
"""Files of a run that only training writes."""

RESULTS = tuple(".json .csv .png .jpg .jpeg .gif .webp .pdf .npz .html .onnx".split())
"""Suffixes of results, which can be computed again."""


def lines_of(path: Path) -> tuple[list[str], str]:
    """The lines of a file, which may be damaged, and its whole text."""
    text = path.read_bytes().decode(errors="replace")
    return text.removesuffix("\n").split("\n") if text else [], text


def writable(path: Path) -> Path:
    """Checks that a result can be written to a path, before the hours that computing it may take.

    Nothing is left there.

    Returns:
        The path, with ``~`` expanded.

    Raises:
        OSError: If it cannot be.
        ValueError: If the file there is a checkpoint, a configuration or a record, not a result.
    """
    path = path.expanduser()
    own = path.name in OWN and any((path.parent / name).is_file() for name in OWN[:2])
    if path.is_file() and (own or path.suffix not in RESULTS):
        raise ValueError(f"{path} is there, and no result to be replaced: name another file")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not path.is_file():  # a device
            with path.open("ab"):
                return path
        assert_writable(path.parent)
    except OSError as error:
        from vae.run.folder import runs_dir  # which takes this module

        here = path.is_relative_to(runs_dir())
        or_all = ", or set VAE_RUNS_DIR to a folder for all results" if here else ""
        where = f"name another place by --output{or_all}"
        raise OSError(f"cannot write {path} ({error.strerror}): {where}") from None
    return path


def assert_writable(folder: Path) -> None:
    """Raises an OSError if no file can be written to a folder, which need not be there yet."""
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    with tempfile.TemporaryFile(dir=there):
        pass


def read_json(path: Path, **parts: type | tuple[type, ...]) -> dict[str, Any]:
    """The object that a JSON file holds.

    Arguments:
        path: The file.
        parts: Names that it must hold, with the types of their values.

    Raises:
        ValueError: If it is not JSON, no object, or lacks a part.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text in UTF-8: save it as such, or delete it") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is not JSON: it was cut short or edited; delete it") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object: it was edited; delete it")
    for name, kind in parts.items():
        if not isinstance(content.get(name), kind):
            raise ValueError(f"{path} has no {name}, or of another kind: it was edited; delete it")
    return content


def finite(content: Any) -> Any:
    """The same, with None for every number that JSON has no word for: infinities and NaN."""
    if isinstance(content, dict):
        return {name: finite(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_json(path: Path, content: Any) -> None:
    """Writes a file whole or not at all; :func:`finite` numbers only."""
    text = json.dumps(finite(content), indent=2, allow_nan=False, ensure_ascii=False)
    replace_text(path, f"{text}\n")


def digest(path: Path) -> str:
    """The SHA-256 of a file's contents, in hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            found.update(block)
    return found.hexdigest()
