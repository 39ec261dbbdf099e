"""What someone may have meant by a word that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["meant"]


def meant(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """The known word that is nearest, as a question in brackets to add to a message; or nothing.

    Arguments:
        word: The word.
        known: Those that are known.
        likeness: How much of both must agree, from 0 to 1: :meth:`difflib.SequenceMatcher.ratio`.
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=likeness)
    return f" (did you mean {near[0]}?)" if near else ""
