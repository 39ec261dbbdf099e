"""The folder in which data sets are found and kept."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["data_dir"]


PROJECT = Path(__file__).resolve().parents[2]
"""The clone of the project that this file is in, or the folder of installed packages."""


def data_dir() -> Path:
    """The folder of data sets: ``VAE_DATA_DIR``, a clone's ``data``, else ``data`` where one is."""
    if named := os.environ.get("VAE_DATA_DIR", "").strip():
        return Path(named).expanduser()
    cloned = (PROJECT / "pyproject.toml").is_file() and (PROJECT / "experiments").is_dir()
    return (PROJECT if cloned else Path.cwd()) / "data"
