"""Data sets of images, as Lightning data modules."""

from typing import Any

import vae


def __getattr__(name: str) -> Any:
    if name in vae.PLACES:  # of a configuration of an older version, which was one file
        return getattr(vae, name)
    raise AttributeError(f"module 'vae.data' has no attribute {name!r}")
