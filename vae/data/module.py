"""A data set in memory as a Lightning data module, to train on and to derive one's own from."""

from __future__ import annotations

from lightning.pytorch import LightningDataModule

from vae.data.images.memory import ImagesInMemory
from vae.data.loader import ImageLoader, StepLoader

__all__ = ["ImageDataModule"]


class ImageDataModule(ImagesInMemory, LightningDataModule):
    """A data set of images that is held in memory.

    A subclass says what the images are, and has all the rest: batches made on the training device,
    grouped steps, binarisation, and runs that are continued exactly.

    Example::

        class Stripes(ImageDataModule):
            image_shape = (1, 8, 8)

            def load(self):
                x = torch.zeros(1000, 1, 8, 8, dtype=torch.uint8)
                for image, row in zip(x, torch.arange(1000) % 8):
                    image[:, row] = 255
                return {"train": x[:800], "val": x[800:900], "test": x[900:]}

    Its arguments, attributes and errors are those of
    :class:`vae.data.images.memory.ImagesInMemory`.
    """

    def train_dataloader(self) -> StepLoader:
        """The training epoch in groups of ``steps_per_batch`` optimiser steps."""
        trainer, loader = self.trainer, self.loader("train", train=True)
        if trainer is None:
            return StepLoader(loader, self.steps_per_batch)
        limit = trainer.limit_train_batches  # a fraction: see vae.training.limits
        batches = limit if isinstance(limit, int) else None
        return StepLoader(loader, self.steps_per_batch, batches, lambda: trainer.global_step)

    def val_dataloader(self) -> ImageLoader | list:
        return self.loader("val") if self.count("val") else []

    def test_dataloader(self) -> ImageLoader | list:
        return self.loader("test") if self.count("test") else []
