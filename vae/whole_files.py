"""Files are written whole or not at all, here and nowhere else."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["replace_bytes", "replace_text", "replacing", "utf8"]

LONGEST = 60
"""Characters of a file's name in that of its temporary file: file systems take 255 bytes."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Opens a file to write, which takes the path's name once all of it is on the disk.

    So an error, a full disk or a power cut leaves the file that was there. Processes that write to
    one path take turns, and each file is whole; what a killed one has left is written over.

    Example::

        with replacing(path) as file:
            file.write(content)

    Arguments:
        path: The file; its folder is made.

    Raises:
        OSError: If it cannot be written; the message names it.
    """
    temporary = path.with_name(f".{path.name[:LONGEST]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _held(temporary) as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                with suppress(OSError):  # of a folder that has become read-only
                    temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise OSError(f"cannot write {path} ({error.strerror or error})") from None
    with suppress(OSError):  # of file systems that sync no folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name too
        finally:
            os.close(folder)


def _held(path: Path) -> BinaryIO:
    """Opens an empty temporary file, as soon as no other process writes to it."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b")
        try:
            with suppress(OSError):  # of file systems without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.truncate()
                return file
        except FileNotFoundError:  # another process has just given it its name
            pass
        except BaseException:
            file.close()
            raise
        file.close()


def replace_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, as :func:`replacing` does."""
    with replacing(path) as file:
        file.write(content)


def replace_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8, whatever the locale, whole or not at all."""
    replace_bytes(path, utf8(text))


def utf8(text: str) -> bytes:
    """Text in UTF-8.

    Names of files and words of a command line that Python could not decode, as in an ASCII locale,
    have their own bytes again; what is no character at all becomes a question mark.
    """
    text = re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", text)  # halves of characters
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()
