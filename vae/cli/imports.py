"""Imports without the garbage collector, which takes a quarter of their time."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected"]


@contextmanager
def uncollected() -> Iterator[None]:
    """For the imports of a process that begins: what they make stays, and is not looked through.

    They make a million objects, all of which the collector would visit several times. Afterwards
    it leaves them out (``gc.freeze``), and collects as before. Where torch was imported already
    nothing is changed: what is frozen then may be garbage.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
