"""How this library's command, and this interpreter, are called from where the user is."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

__all__ = ["python_here", "vae_here"]


def vae_here() -> str:
    """What calls this command from here: ``vae``, if that is the one on the path."""
    here = Path(sys.executable).parent / "vae"
    if (found := shutil.which("vae")) and os.path.samefile(Path(found).parent, here.parent):
        return "vae"
    return _short(here) if here.is_file() else f"{python_here()} -m vae"


def python_here() -> str:
    """What calls this interpreter from here."""
    found = shutil.which("python")
    return "python" if found == sys.executable else _short(Path(sys.executable))


def _short(path: Path) -> str:
    """A path, relative inside the current folder, as a word for the shell."""
    inside = path.is_relative_to(Path.cwd())
    return shlex.quote(str(path.relative_to(Path.cwd()) if inside else path))
