"""Readies a process that a shell started, before the imports that take seconds.

Ctrl-C during those is one line and exit code 130. A reader of the output that goes away (``| head
-1``), or was never there (``>&-``), does not end the process.
"""

from __future__ import annotations

import atexit
import codecs
import gc
import io
import os
import signal
import sys
import tempfile
import unicodedata
from types import FrameType
from typing import TextIO

__all__ = ["finished", "prepare"]


NEEDED = {
    os.getcwd: "the current folder was deleted: change to another (cd)",
    tempfile.gettempdir: "no folder takes temporary files (is the disk full?): set TMPDIR",
}
"""What importing torch needs, each with the line to print where it is missing."""


SPELT = {
    "±": "+-", "≥": ">=", "≤": "<=", "→": "->", "×": "x", "∇": "grad ", "…": "...", "✓": "*",
    "−": "-", "–": "-", "—": "-", "≈": "~", "·": ".", "’": "'", "‘": "'", "“": '"', "”": '"',
}  # fmt: skip
"""What stands for a sign in an encoding that lacks it; a letter loses its accents."""


def spelt(error: UnicodeError) -> tuple[str, int]:
    """Spells what an encoding lacks, a question mark where nothing else is known."""
    assert isinstance(error, UnicodeEncodeError)
    signs = error.object[error.start : error.end]
    return "".join(map(_spelt, signs)), error.end


def _spelt(sign: str) -> str:
    plain = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return SPELT.get(sign) or plain or "?"


codecs.register_error("vae.spelt", spelt)


class Stream(io.TextIOWrapper):
    """Standard output or error that survives the end of its reader.

    What nobody reads is dropped; a sign that the encoding lacks is spelt: >= for ≥.
    """

    def __init__(self, descriptor: int, like: TextIO) -> None:
        super().__init__(
            io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False)),
            encoding=like.encoding,
            errors="vae.spelt",
            line_buffering=descriptor == 2 or like.isatty(),
        )

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def leave(number: int, frame: FrameType | None) -> None:
    """Ends at once: nothing has begun yet."""
    os.write(2, b"interrupted\n")
    os._exit(130)


_CODES: list[int] = []


def finished(code: int = 0) -> None:
    """Says that all is done: the process that :func:`prepare` was called in may end at once.

    Python would first take apart all modules that were imported: of torch and Lightning, that takes
    a third as long as the imports.

    Arguments:
        code: With which the process is about to end.
    """
    _CODES.append(code)


def _end() -> None:
    """Ends the process, after all other functions of ``atexit``, if it is :func:`finished`."""
    measured = sys.gettrace() is not None or "coverage" in sys.modules  # which saves at the end
    if not _CODES or measured or hasattr(sys, "last_value"):  # an error since then
        gc.unfreeze()  # of what is frozen (vae.cli.imports), some C++ would say that it leaks
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # Python says so, and has an exit code for it
        return
    os._exit(_CODES[-1])


def _speak_utf8() -> None:
    """Begins anew in Python's UTF-8 mode, where the locale has another encoding.

    Libraries read configurations, and words of the command line, in that of the locale. What is
    printed keeps it.
    """
    if sys.getfilesystemencoding().lower() == "utf-8" or not sys.executable:
        return
    if sys.stdout is not None:
        os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
    os.environ["PYTHONUTF8"] = "1"  # of processes that are started, too
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def prepare() -> None:
    """Makes Ctrl-C end the process at once, and the standard streams usable.

    :func:`vae.cli.errors.one_line_errors` takes over Ctrl-C.
    """
    _speak_utf8()
    atexit.register(_end)  # the first one, which is called last
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # one that was closed: the next file that is opened would take its place
    os.close(descriptor)
    for needed, message in NEEDED.items():
        try:
            needed()
        except FileNotFoundError:
            os.write(2, f"error: {message}\n".encode())
            os._exit(2)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))
    sys.stdout, sys.stderr = Stream(1, sys.stdout), Stream(2, sys.stderr)
