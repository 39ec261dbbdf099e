"""What a part of an evaluation has answered so far, in a file of its own.

An ``.npz`` file holds the answers, an image each, beside what they are of: the part with its options,
the weights, the images, the seed. What is of anything else is not taken over.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vae.whole_files import replacing

__all__ = ["Answers", "read_answers"]


class Answers:
    """Answers of one part, read from its file and kept in it.

    Arguments:
        folder: Where the file is, or will be; None keeps nothing.
        name: What its name begins with: the split and the part.
        about: What they are of, as plain values.

    Attributes:
        values: The answers of N images, tensors ``(N, *)`` by name, on the CPU.
        kept: What the part has found before the first image (:attr:`Part.kept`).
        seconds: How long they took.
    """

    def __init__(self, folder: Path | None, name: str, about: Mapping[str, Any]) -> None:
        self.about = json.dumps(about, sort_keys=True, default=str)
        digest = hashlib.sha256(self.about.encode()).hexdigest()[:8]
        self.path = None if folder is None else folder / f"{name}-{digest}.npz"
        self.values: dict[str, Tensor] = {}
        self.kept: dict[str, Tensor] = {}
        self.seconds = 0.0

    @property
    def done(self) -> int:
        """The number of images."""
        return min((len(value) for value in self.values.values()), default=0)

    def read(self) -> None:
        """Takes over what the file holds, if it is there and of the same."""
        if self.path is not None and (found := read_answers(self.path)) is not None:
            about, values, kept, seconds = found
            if about == self.about:
                self.values, self.kept, self.seconds = values, kept, seconds

    def truncate(self, count: int) -> None:
        """Leaves the first so many images."""
        if self.done > count:
            self.seconds *= count / self.done
        self.values = {name: value[:count] for name, value in self.values.items()}

    def add(self, values: Mapping[str, Tensor], seconds: float) -> None:
        """Adds the answers of the images that come next."""
        self.seconds += seconds
        for name, value in values.items():
            value = value.detach().cpu()
            value = value.double() if value.is_floating_point() else value
            held = self.values.get(name)
            self.values[name] = value if held is None else torch.cat([held, value])

    def write(self) -> None:
        """Writes the file whole or not at all.

        Raises:
            OSError: If it cannot be written.
        """
        import numpy as np

        if self.path is None:
            return
        arrays: dict[str, Any] = {
            f"value {name}": value.numpy() for name, value in self.values.items()
        }
        arrays |= {f"kept {name}": value.cpu().numpy() for name, value in self.kept.items()}
        with replacing(self.path) as file:
            np.savez_compressed(file, about=self.about, seconds=self.seconds, **arrays)


def read_answers(
    path: Path,
) -> tuple[str, dict[str, Tensor], dict[str, Tensor], float] | None:
    """What a file holds: what it is about, as JSON; values; what was kept; seconds.

    None if it is not there, or damaged.
    """
    import numpy as np

    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {key: torch.from_numpy(file[key]) for key in file if key != "about"}
            about = str(file["about"])
        seconds = float(arrays.pop("seconds", 0.0))
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    values = {k.partition(" ")[2]: v for k, v in arrays.items() if not k.startswith("kept ")}
    kept = {k.partition(" ")[2]: v for k, v in arrays.items() if k.startswith("kept ")}
    return about, values, kept, seconds
