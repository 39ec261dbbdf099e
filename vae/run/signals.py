"""Ctrl-C, SIGTERM and SIGUSR1 end a run at a point from which it can be continued.

Before training and in the test, where there is nothing to save, a signal ends the process at once.
In training, and wherever other processes would wait for this one, the handler only notes it: all
processes end together, between two groups of optimiser steps.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupted", "Interruption"]


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

AGAIN = 1.0
"""Seconds after which a second Ctrl-C counts: launchers send the first one twice."""


class Interrupted(SystemExit):
    """Ends a process that a signal stopped.

    The exit code is the one that shells expect: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


class Interruption:
    """Notes signals while it is entered.

    Attributes:
        number: The signal that came, or 0.
        patient: Whether a signal is only noted; otherwise it raises :class:`Interrupted` at once.
            True from the start in a process that a launcher made, as others wait for it.
    """

    def __init__(self) -> None:
        self.number = 0
        self.patient = bool({"LOCAL_RANK", "SLURM_LOCALID"} & os.environ.keys())
        self._since = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in SIGNALS}
            self.listen()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def listen(self) -> None:
        """Sets our handlers again, if others were set since, and delivers signals that were held."""
        if self._before:  # entered
            for number in SIGNALS:
                signal.signal(number, self._note)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def hold(self) -> None:
        """Blocks signals until :meth:`listen`, in this process and in those that it starts."""
        if self._before:
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def check(self) -> None:
        """Raises if a signal was noted.

        Raises:
            Interrupted: If so.
        """
        if self.number:
            raise Interrupted(self.number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now, first = time.monotonic(), not self.number
        if first:
            self.number, self._since = number, now
            if not self.patient:
                raise Interrupted(number)
        elif number == signal.SIGINT and now - self._since > AGAIN:
            raise KeyboardInterrupt
