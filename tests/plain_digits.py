"""The digits as anyone would bring them: a plain LightningDataModule with torch's DataLoader."""

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

from vae.data.digits import DigitsDataModule


class PlainDigits(LightningDataModule):
    """Serves ``(images, labels)``, grey, in an order drawn from torch's global generator.

    Arguments:
        batch_size: Images a batch.
        limit: Images a split.
        noisy: Whether an image is binarised by the global generator when it is read.
        own_generator: Whether the order is drawn from a generator of its own.
    """

    def __init__(
        self,
        batch_size: int = 64,
        limit: int = 320,
        noisy: bool = False,
        own_generator: bool = False,
    ) -> None:
        super().__init__()
        self.batch_size, self.limit, self.noisy = batch_size, limit, noisy
        self.generator = torch.Generator().manual_seed(5) if own_generator else None
        self.calls: list[str] = []

    def prepare_data(self) -> None:
        self.calls.append("prepare_data")

    def setup(self, stage: str) -> None:
        self.calls.append(f"setup {stage}")
        digits = DigitsDataModule(binarization="none")
        digits.setup()
        self.images = {name: x[: self.limit].float() / 255 for name, x in digits.splits.items()}

    def _read(self, examples):
        x = torch.stack([image for image, _ in examples])
        return (torch.rand_like(x) < x).float() if self.noisy else x, torch.zeros(len(x))

    def _loader(self, split: str, shuffle: bool = False) -> DataLoader:
        x = self.images[split]
        data = TensorDataset(x, torch.arange(len(x)))
        return DataLoader(
            data, self.batch_size, shuffle, collate_fn=self._read, generator=self.generator
        )

    def train_dataloader(self) -> DataLoader:
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self._loader("val")

    def test_dataloader(self) -> DataLoader:
        return self._loader("test")
