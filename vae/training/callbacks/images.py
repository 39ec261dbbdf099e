"""Reconstructions and samples during training."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from vae.analysis.images import reconstruction_grid, sample_grid, write_image
from vae.data.loader import StepLoader
from vae.data.source import images_of
from vae.evaluation.terms import fixed_noise
from vae.models.vae import VAE

__all__ = ["ImageGrids"]


class ImageGrids(Callback):
    """Writes reconstructions and prior samples as PNG files, and logs them to W&B.

    They are always of the same images and latent noise.

    Arguments:
        folder: The folder of the PNG files.
        every_n_epochs: Epochs between grids; 0 for one at the end of training only, which there is
            in any case.
    """

    def __init__(self, folder: Path, every_n_epochs: int = 10) -> None:
        if every_n_epochs < 0:
            raise ValueError(f"image_every must not be negative, got {every_n_epochs}")
        self.folder, self.every_n_epochs = folder, every_n_epochs
        self.drawn = -1

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        if self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self.draw(trainer, module, trainer.current_epoch + 1)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.global_step and self.drawn != trainer.global_step:
            self.draw(trainer, module, self._epoch(trainer))

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Draws where ``on_train_end`` was not called.

        It is not called in a run that was killed after its last step and is then continued, since
        there is nothing left to train.
        """
        path = self.folder / f"samples-{self._epoch(trainer):04d}.png"
        if trainer.global_step and not path.exists():
            self.draw(trainer, module, self._epoch(trainer))

    @staticmethod
    def _epoch(trainer: Trainer) -> int:
        """The number of the epoch that was begun last, counted from 1."""
        loader = trainer.train_dataloader
        if isinstance(loader, StepLoader) and loader.total:
            return -(-trainer.global_step // loader.total)
        return trainer.current_epoch

    def draw(self, trainer: Trainer, module: LightningModule, epoch: int) -> None:
        """Writes both grids, of the first images held out."""
        if not trainer.is_global_zero:
            return
        self.drawn = trainer.global_step
        data = images_of(trainer.datamodule)  # type: ignore[attr-defined]
        x = next(iter(data.loader(data.held_out(), batch_size=32))).to(module.device)
        vae, training = cast(VAE, module.vae), module.training
        module.eval()
        with fixed_noise(module.device, 0):
            grids = {
                "reconstructions": reconstruction_grid(vae, x),
                "samples": sample_grid(vae, 64),
            }
        module.train(training)
        for name, grid in grids.items():
            path = self.folder / f"{name}-{epoch:04d}.png"
            write_image(grid, path)
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):
                    caption = f"epoch {epoch}, step {trainer.global_step}"
                    logger.log_image(
                        f"images/{name}", [str(path)], step=trainer.global_step, caption=[caption]
                    )
