"""Options that would change nothing: refused where a model is made to be trained, and tolerated
where a checkpoint is read that was trained with them.

Their gradient, or their whole run, would be that of a simpler configuration, bit for bit, and the
person who set them would not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["refuse", "tolerated"]


_TOLERATED = ContextVar("tolerated", default=False)


def refuse(message: str) -> None:
    """Says that an option changes nothing, and what to do.

    Raises:
        ValueError: With the message, unless options are :func:`tolerated`.
    """
    if not _TOLERATED.get():
        raise ValueError(message)


@contextmanager
def tolerated() -> Iterator[None]:
    """Within it, nothing is refused: what was trained before a rule was known can still be
    read."""
    token = _TOLERATED.set(True)
    try:
        yield
    finally:
        _TOLERATED.reset(token)
