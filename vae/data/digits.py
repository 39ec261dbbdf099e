"""scikit-learn's digits as a Lightning data module."""

from __future__ import annotations

from vae.data.images.digits import Digits
from vae.data.module import ImageDataModule

__all__ = ["DigitsDataModule"]


class DigitsDataModule(Digits, ImageDataModule):
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, to train on.

    See :class:`vae.data.images.digits.Digits`.
    """
