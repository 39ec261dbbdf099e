"""BurdaOmniglot as a Lightning data module."""

from __future__ import annotations

from vae.data.images.burda_omniglot import BurdaOmniglot
from vae.data.module import ImageDataModule

__all__ = ["BurdaOmniglotDataModule"]


class BurdaOmniglotDataModule(BurdaOmniglot, ImageDataModule):
    """Omniglot at 28 x 28 pixels, as Burda et al. (2016) have it, to train on.

    See :class:`vae.data.images.burda_omniglot.BurdaOmniglot`.
    """
