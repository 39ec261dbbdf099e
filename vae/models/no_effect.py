"""Refuses options that would change nothing.

With them the gradient, or the whole run, would be that of a simpler configuration, bit for bit, and
the person who set them would not know. They are refused where a model is made to be trained, and
tolerated where a checkpoint is read that was trained with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["refuse", "tolerated"]


_TOLERATED = ContextVar("tolerated", default=False)


def refuse(message: str) -> None:
    """Raises for an option that changes nothing.

    Raises:
        ValueError: With the message, unless options are :func:`tolerated`.
    """
    if not _TOLERATED.get():
        raise ValueError(message)


@contextmanager
def tolerated() -> Iterator[None]:
    """A context in which nothing is refused.

    Runs that were trained before a rule was added can still be read.
    """
    token = _TOLERATED.set(True)
    try:
        yield
    finally:
        _TOLERATED.reset(token)
