"""The ranges of numbers that constructors take: one line says which number is out of its range."""

from __future__ import annotations

import math

__all__ = ["assert_at_least_one", "assert_finite", "assert_not_negative", "assert_positive"]


def assert_at_least_one(name: str, value: int) -> None:
    """Refuses a count that is less than 1, or too large for a tensor's size."""
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    if value >= 2**63:
        raise ValueError(f"{name} must be less than 2^63, got {value}")


def assert_finite(name: str, value: float) -> None:
    """Refuses NaN and infinity."""
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")


def assert_not_negative(name: str, value: float) -> None:
    """Refuses what is not a finite number of at least 0."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and not negative, got {value}")


def assert_positive(name: str, value: float) -> None:
    """Refuses what is not a positive, finite number."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value}")
