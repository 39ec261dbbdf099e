"""A run's folder is held by one process at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import sys
import time
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from vae.run.files import read_json
from vae.whole_files import replacing, utf8

__all__ = ["RunLock", "is_running", "record_of"]


NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""How a file system says that it has no locks."""


class RunLock:
    """A run's folder, held by one process at a time.

    The lock is the kernel's, on ``run.json``: nothing is written to take it, it ends with the
    process however that ends, and it holds between machines on file systems that share locks, as
    NFS does. Where there are no locks at all, a line says so.

    Arguments:
        run: The folder, which need not exist yet.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.path = run, run / "run.json"
        self._files: list[BufferedIOBase] = []

    def acquire(self) -> None:
        """Takes it; without a ``run.json`` there is nothing to take.

        Raises:
            ValueError: If another process has it.
            OSError: If ``run.json`` cannot be written.
        """
        for attempt in range(5):
            try:
                file = self.path.open("r+b")  # NFS gives locks to those who may write
            except FileNotFoundError:
                return
            except OSError as error:
                raise OSError(
                    f"cannot write {self.path} ({error.strerror}): copy the run's folder to where you can"
                ) from None
            try:
                self._take(file)
                if os.path.samestat(os.fstat(file.fileno()), self.path.stat()):
                    self._files.append(file)
                    return
            except (BlockingIOError, FileNotFoundError):
                pass
            file.close()  # held, perhaps for a moment, or replaced: once more
            time.sleep(0.1 * attempt)
        raise ValueError(
            f"{self.run} is in use: {_holder(self.path)} works there; wait until it has ended"
        )

    @staticmethod
    def _take(file: BufferedIOBase) -> None:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            print(
                "warning: this file system has no locks: let no other process train in this run",
                file=sys.stderr,
            )

    def create(self) -> None:
        """Makes the folder of a new run.

        Raises:
            ValueError: If it is there already.
        """
        try:
            self.run.mkdir(parents=True)
        except FileExistsError:
            raise ValueError(f"{self.run} is another run's: start this one again") from None

    def write(self, record: Any) -> None:
        """Writes ``run.json``, whole or not at all; the new file is held from its first moment."""
        with replacing(self.path) as file:
            self._files.append(os.fdopen(os.dup(file.fileno()), "r+b"))  # its lock stays with it
            self._take(self._files[-1])
            file.write(utf8(json.dumps(record, indent=2, ensure_ascii=False) + "\n"))

    def note(self, record: dict[str, Any]) -> bool:
        """Writes ``run.json``; one that is there keeps its content, and lists this continuation.

        Returns:
            Whether it was there.
        """
        if not self.path.exists():
            self.write(record)
            return False
        first = read_json(self.path)
        before = first.get("continued")
        first["continued"] = [*(before if isinstance(before, list) else []), record]
        self.write(first)
        return True

    def close(self) -> None:
        """Gives it back."""
        for file in self._files:
            file.close()
        self._files.clear()


def _holder(path: Path) -> str:
    """Who holds the lock: as this machine's kernel says, else as the run's record does."""
    try:
        inode = path.stat().st_ino
        for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].endswith(f":{inode}") and int(words[4]) > 0:
                return f"process {words[4]} on {platform.node()}"
    except (OSError, ValueError, IndexError):  # another system, or of another form
        pass
    record = record_of(path)
    continued = record.get("continued")
    last = continued[-1] if continued and isinstance(continued, list) else record
    if not isinstance(last, dict) or "pid" not in last:
        return "another process"
    return f"process {last['pid']} on {last.get('host')}"


def is_running(run: Path) -> bool:
    """Whether a process works in a run's folder."""
    try:
        with (run / "run.json").open("rb") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def record_of(path: Path) -> dict[str, Any]:
    """A run's record, as far as it can be read."""
    try:
        record = read_json(path)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
