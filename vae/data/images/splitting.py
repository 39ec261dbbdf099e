"""Splits of data sets of one's own, by a seeded fraction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["SPLITS", "assert_fractions", "parts_of", "refuse_fractions"]


SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""The splits, with the names that folders and keys of files give them."""

FRACTION = 0.1
"""Of the images, to validate, and as many to test, where nothing is said."""


def assert_fractions(val: float | None, test: float | None) -> tuple[float, float]:
    """The fractions of images to validate and to test, with their defaults.

    Raises:
        ValueError: If they leave nothing to train on, or one is negative.
    """
    found = (FRACTION if val is None else val, FRACTION if test is None else test)
    if min(found) < 0 or sum(found) >= 1:
        raise ValueError(
            "val_fraction and test_fraction must not be negative, and leave images to train on, got"
            f" {found[0]} and {found[1]}"
        )
    return found


def refuse_fractions(where: str, *given: object) -> None:
    """Refuses fractions and a seed of splits where the data come in splits.

    Raises:
        ValueError: If one is given.
    """
    if any(value is not None for value in given):
        raise ValueError(
            f"{where} is in splits already: leave out val_fraction, test_fraction and split_seed"
        )


def parts_of(count: int, fractions: Sequence[float], seed: int) -> dict[str, Tensor]:
    """The numbers of the images of each split, mixed by a seed: files are often sorted by class.

    Raises:
        ValueError: If there are too few images to train on any.
    """
    val, test = (int(count * fraction) for fraction in fractions)
    if count - val - test < 1:
        raise ValueError(f"of {count} images, {val} to validate and {test} to test, none is left")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    sizes = [count - val - test, val, test]
    return {name: part for name, part in zip(SPLITS, order.split(sizes), strict=True) if len(part)}
