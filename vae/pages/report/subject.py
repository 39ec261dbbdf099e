"""The model and the images that a report draws, or why they are not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from vae.data.source import Batches, ImageSource
    from vae.models.vae import VAE

__all__ = ["Subject", "read_model", "read_subject", "subject_of"]


class Subject(NamedTuple):
    """What is drawn.

    Attributes:
        vae: With hard latents, in evaluation mode; None if it could not be read.
        data: Its images; None if they are not there.
        split: Those to draw.
        why: Why there is no model, or no data.
        checkpoint: The file's name.
    """

    vae: VAE | None
    data: ImageSource | None
    split: str
    why: str
    checkpoint: str

    def first(self, count: int) -> Tensor:
        """The first images of the split, at most so many."""
        assert self.data is not None
        return next(iter(self.data.loader(self.split, batch_size=count)))

    def batches(self, count: int) -> Batches:
        """The first so many images."""
        assert self.data is not None
        return self.data.loader(self.split, batch_size=250, limit=count)

    @property
    def bound(self) -> str | None:
        """What the ELBO of these images is; None if the model or the images are not there."""
        if self.vae is None or self.data is None:
            return None
        grey = self.vae.likelihood.binary and not self.data.is_binary
        return "cross-entropy of grey pixels, no bound" if grey else "lower bound"


def subject_of(vae: VAE, data: ImageSource, checkpoint: str) -> Subject:
    """A model and its images that are in memory, both on the CPU."""
    split = "test" if data.count("test") != 0 else data.held_out()
    return Subject(vae.hard, data, split, "", checkpoint)


def read_model(run: Path) -> Subject:
    """The model of a run's best checkpoint, without images."""
    from vae.run.checkpoint import find_checkpoint, load

    try:
        path = find_checkpoint(run)
        return Subject(load(path).composition.vae.hard, None, "", "", path.name)
    except Exception as error:  # damaged files raise anything
        return Subject(None, None, "", _line(error), "")


def read_subject(run: Path, data: Any = None) -> Subject:
    """The model of a run's best checkpoint, and its images.

    What is not there or not to be read is said (:attr:`Subject.why`).

    Arguments:
        run: The run's folder.
        data: Other data than the checkpoint's.
    """
    from vae.data.load import load_images
    from vae.run.checkpoint import find_checkpoint, load

    try:
        path = find_checkpoint(run)
        module, described, _ = load(path)
    except Exception as error:  # damaged files raise anything
        return Subject(None, None, "", _line(error), "")
    try:
        images = load_images(described, data)
    except Exception as error:
        return Subject(module.vae.hard, None, "", _line(error), path.name)
    return subject_of(module.vae, images, path.name)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
