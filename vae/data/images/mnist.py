"""MNIST and the sets that were made in its format: images of 28 x 28 pixels, of ten classes."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from vae.data import idx_sets
from vae.data.idx_files import IdxFiles
from vae.data.images.memory import ImagesInMemory

__all__ = ["FashionMNIST", "KMNIST", "MNIST"]


class MNIST(ImagesInMemory):
    """MNIST's 70,000 handwritten digits of 28 x 28 pixels, from torchvision's files.

    They are looked for, and downloaded to, the folder that :func:`vae.data.folder.data_dir` names.

    References:
        | https://en.wikipedia.org/wiki/MNIST_database

    Arguments:
        batch_size: Images a training batch.
        eval_batch_size: Images a validation or test batch.
        num_val: How many of the 60,000 training images, the last ones, are for validation: 10000,
            400 (as in the IWAE paper) or 0.

    Raises:
        ValueError: If an argument is out of range.
    """

    image_shape = (1, 28, 28)
    files: ClassVar[IdxFiles] = idx_sets.MNIST

    def __init__(
        self,
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        num_val: int = 10000,
        **kwargs: Any,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, **kwargs)
        if not 0 <= num_val < 60000:
            raise ValueError(f"num_val must be from 0 to 59999, got {num_val}")
        self.num_val = num_val

    def prepare_data(self) -> None:
        self.files.find()

    def report(self) -> str:
        return self.files.report()

    def load(self) -> dict[str, Tensor]:
        training, test = self.files.images(train=True), self.files.images(train=False)
        return self._splits(training.unsqueeze(1), test.unsqueeze(1))

    def load_labels(self) -> dict[str, Tensor]:
        return self._splits(self.files.labels(train=True), self.files.labels(train=False))

    def _splits(self, training: Tensor, test: Tensor) -> dict[str, Tensor]:
        """The files' rows as splits: the last of the training ones are for validation."""
        num_train = len(training) - self.num_val
        return {"train": training[:num_train], "val": training[num_train:], "test": test}


class FashionMNIST(MNIST):
    """Fashion-MNIST's 70,000 pieces of clothing, of 28 x 28 pixels, from torchvision's files.

    They are looked for, and downloaded to, the folder that :func:`vae.data.folder.data_dir` names.

    References:
        | https://github.com/zalandoresearch/fashion-mnist (MIT licence)
    """

    files = idx_sets.FASHION_MNIST


class KMNIST(MNIST):
    """Kuzushiji-MNIST's 70,000 cursive Japanese characters of 28 x 28 pixels, from torchvision's files.

    They are looked for, and downloaded to, the folder that :func:`vae.data.folder.data_dir` names.

    References:
        | https://github.com/rois-codh/kmnist (CC BY-SA 4.0)
    """

    files = idx_sets.KMNIST
