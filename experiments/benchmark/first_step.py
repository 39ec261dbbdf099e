"""A callback that ends the process after the first optimiser step, for timing what comes before."""

from __future__ import annotations

import os
from typing import Any

from lightning.pytorch.callbacks import Callback

__all__ = ["ExitAfterFirstStep"]


class ExitAfterFirstStep(Callback):
    """Ends the process, without closing anything."""

    takes_groups = True

    def on_train_batch_end(self, *_: Any) -> None:
        os._exit(0)
