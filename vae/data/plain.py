"""Any user's ``LightningDataModule`` as a source of images.

A plain data module decides by itself how its images are ordered and changed. What it draws from the
global generators of torch, NumPy and Python is made to follow from (seed, epoch), so that a run
continued inside an epoch can read that epoch's batches again and train on from where it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from vae.data.batch import DataError, assert_pixels, images_in
from vae.data.labels import labels_served
from vae.data.loader import StepLoader, mix_seeds
from vae.data.plain_loader import PlainLoader, Rebatched, is_empty
from vae.data.source import ImageSource

__all__ = ["PlainImages", "plain_images"]


class PlainImages(ImageSource, LightningDataModule):
    """A source of images around a user's own data module; the trainer is given this one.

    It sets the module up once for each stage, takes the images out of its batches, and looks at
    every batch. Attributes that it lacks are the module's.

    Arguments:
        datamodule: The user's.
        seed: What the order of training images follows from; by default torch's initial seed.

    Attributes:
        name: The class of the user's data module, for messages.
        description: Its class path and arguments, where a configuration said them.

    Raises:
        DataError: If it serves no training images.
    """

    def __init__(self, datamodule: LightningDataModule, seed: int | None = None) -> None:
        self.datamodule, trainer = datamodule, datamodule.trainer
        super().__init__()
        self.trainer = trainer
        kind = type(datamodule)
        self.name: str = f"{kind.__module__}.{kind.__qualname__}".removeprefix("__main__.")
        self.seed = torch.initial_seed() if seed is None else seed
        self.description: dict[str, Any] | None = None
        # where Lightning was given the data module itself, it has set it up
        self._ready = {"prepare_data", "setup fit"} if trainer else set[str]()
        self._loaders: dict[str, Iterable[Any] | None] = {}
        said = getattr(datamodule, "binarization", None)
        self.binarization = said if said in ("dynamic", "static", "none") else None
        self.steps_per_batch = self.batch_size = 1
        shape = getattr(datamodule, "image_shape", None)
        self._shape = None if shape is None else tuple(shape)
        x = self._first("train")
        if x is None:
            raise DataError(f"{self.name} has no training images: define train_dataloader")
        self.batch_size, self.image_shape = len(x), (x.shape[1], x.shape[2], x.shape[3])
        self._shape = self.image_shape
        self._binary = bool(((x == 0) | (x == 1)).all())
        level = 255 * x
        self._levels = 256 if bool(((level - level.round()).abs() < 1e-3).all()) else None

    def __getattr__(self, name: str) -> Any:
        if name == "datamodule":  # while this one is being copied
            raise AttributeError(name)
        return getattr(self.datamodule, name)

    # What Lightning asks for -----------------------------------------------------------------

    @property
    def trainer(self) -> Trainer | None:  # type: ignore[override]
        return self.datamodule.trainer

    @trainer.setter
    def trainer(self, trainer: Trainer | None) -> None:
        self.datamodule.trainer = trainer

    def prepare_data(self) -> None:
        self._once("prepare_data")

    def setup(self, stage: str | None = None) -> None:
        for name in ("fit", "test") if stage is None else (stage,):
            self._once("setup", "fit" if name == "validate" else name)

    def teardown(self, stage: str) -> None:
        self.datamodule.teardown(stage)
        if type(self.datamodule).teardown is not LightningDataModule.teardown:
            self._ready.clear()  # what it took down is set up again
            self._loaders.clear()

    def state_dict(self) -> dict[str, Any]:
        state = self.datamodule.state_dict()
        if not _is_plain(state):
            raise DataError(
                f"{self.name}.state_dict holds more than plain values and tensors: a checkpoint"
                " with it could not be read again"
            )
        return {"seed": self.seed, "datamodule": state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seed = state_dict["seed"]  # the run's: its epochs are repeated
        self.datamodule.load_state_dict(state_dict["datamodule"])

    def on_exception(self, exception: BaseException) -> None:
        self.datamodule.on_exception(exception)

    def train_dataloader(self) -> StepLoader:
        trainer, loader = self.trainer, self.loader("train", train=True)
        if trainer is None:
            return StepLoader(loader, 1)
        limit = trainer.limit_train_batches
        batches = limit if isinstance(limit, int) else None
        return StepLoader(loader, 1, batches, lambda: trainer.global_step)

    def val_dataloader(self) -> Any:
        return self.loader("val") if self.count("val") != 0 else []

    def test_dataloader(self) -> Any:
        return self.loader("test") if self.count("test") != 0 else []

    # What the rest of the library asks for ----------------------------------------------------

    @property
    def is_binary(self) -> bool:
        return self._binary

    @property
    def levels(self) -> int | None:
        return 2 if self._binary else self._levels

    @property
    def promise(self) -> str:
        return (
            f"{self.name} is a plain data module: a run continued inside an epoch reads that"
            " epoch's batches again from the first; they are the same as far as they follow from"
            " the generators of torch, NumPy and Python"
        )

    def count(self, split: str) -> int | None:
        loader = self._raw(split)
        if loader is None:
            return 0
        if isinstance(loader, (list, tuple)):
            sizes: list[int] = [len(images_in(batch, str(self.name))) for batch in loader]
            return sum(sizes)
        if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
            return None
        plain = type(loader.batch_sampler) is BatchSampler and not loader.drop_last
        return len(loader.sampler) if plain else None  # type: ignore[arg-type]

    def batches(self, split: str, world_size: int = 1) -> int | None:
        try:
            return len(self._raw(split) or ()) // world_size  # type: ignore[arg-type]
        except TypeError:  # a stream
            return None

    def loader(  # type: ignore[override]
        self,
        split: str,
        device: torch.device | str | None = None,
        train: bool = False,
        batch_size: int | None = None,
        limit: int | None = None,
    ) -> PlainLoader | Rebatched:
        raw, trainer = self._raw(split), self.trainer
        if raw is None:
            raise DataError(f"{self.name} has no {split} images")
        if device is None:
            device = trainer.strategy.root_device if trainer else torch.device("cpu")
        where, repeats = torch.device(device), bool(trainer and trainer.overfit_batches)  # type: ignore[attr-defined]
        loader = PlainLoader(
            raw,
            lambda batch: self._read(batch, split, where),
            mix_seeds(self.seed if train else 0, *map(ord, split)),
            self.batch_size,
            lambda: 0 if repeats or not (train and trainer) else trainer.current_epoch,
            trainer.global_rank if trainer else 0,
            trainer.world_size if trainer else 1,
            evaluates=not train,
        )
        if batch_size is None and limit is None:
            return loader
        return Rebatched(loader, batch_size or self.batch_size, limit)

    def labels(self, split: str, limit: int | None = None) -> Tensor | None:
        if self._raw(split) is None:
            return None
        cpu = torch.device("cpu")
        return labels_served(self.loader(split, cpu), lambda x: self._moved(x, cpu), limit)

    def share(self, other: ImageSource) -> None:
        assert isinstance(other, PlainImages)
        self.datamodule, self._ready, self._loaders = (
            other.datamodule,
            other._ready,
            other._loaders,
        )

    def assert_served(self) -> None:
        self.setup()
        for split in ("train", "val", "test"):
            self._first(split)
        if not self.batches("train"):
            raise DataError(f"{self.name}: its training loader has no length; define its __len__")

    # What only this class does ------------------------------------------------------------------

    def _once(self, hook: str, *stage: str) -> None:
        """Calls a hook of the user's, unless it was called already."""
        key = " ".join((hook, *stage))
        if key not in self._ready:
            self._call(hook, *stage)
            self._ready.add(key)

    def _call(self, hook: str, *arguments: Any) -> Any:
        """Calls a hook of the user's; what goes wrong there is said with its name."""
        try:
            return getattr(self.datamodule, hook)(*arguments)
        except (OSError, DataError, MemoryError):  # which say what they mean
            raise
        except Exception as error:
            raise DataError(
                f"{self.name}.{hook} failed ({type(error).__name__}: {error}); VAE_DEBUG=1 shows"
                " where"
            ) from error

    def _raw(self, split: str) -> Iterable[Any] | None:
        """What the user's data module returns for a split; None if it has none of it."""
        if split not in self._loaders:
            self.prepare_data()
            self.setup("test" if split == "test" else "fit")
            hook, found = f"{split}_dataloader", None
            if getattr(type(self.datamodule), hook) is not getattr(LightningDataModule, hook):
                found = self._call(hook)
            elif hook in vars(self.datamodule):  # of LightningDataModule.from_datasets
                found = self._call(hook)
            if isinstance(found, (list, tuple)) and any(hasattr(f, "dataset") for f in found):
                if len(found) > 1:
                    raise DataError(f"{self.name}.{hook} returns {len(found)} loaders: return one")
                found = found[0]
            if found is not None and not isinstance(found, Iterable):
                raise DataError(f"{self.name}.{hook} returns {type(found).__name__}, no loader")
            self._loaders[split] = None if is_empty(found) else found
        return self._loaders[split]

    def _first(self, split: str) -> Tensor | None:
        """The first batch of a split; None if it has none."""
        if self._raw(split) is None:
            return None
        try:
            x = next(iter(self.loader(split, device="cpu")), None)
        except (OSError, DataError, MemoryError):
            raise
        except Exception as error:
            raise DataError(
                f"{self.name} failed at its first {split} batch ({type(error).__name__}: {error});"
                " VAE_DEBUG=1 shows where"
            ) from error
        if x is None and split == "train":
            raise DataError(f"{self.name} serves no training batch")
        return x

    def _read(self, batch: Any, split: str, device: torch.device) -> Tensor:
        """The images of a batch, on the device, after the user's transfer hooks."""
        source = f"{self.name} ({split})"
        x = images_in(self._moved(batch, device), source, self._shape)
        if x.device.type == "cpu":
            assert_pixels(x, source)
        return x.float()

    def _moved(self, batch: Any, device: torch.device) -> Any:
        """A batch after the user's transfer hooks."""
        batch = self.datamodule.on_before_batch_transfer(batch, 0)
        batch = self.datamodule.transfer_batch_to_device(batch, device, 0)
        return self.datamodule.on_after_batch_transfer(batch, 0)


def _is_plain(value: Any) -> bool:
    """Whether a checkpoint can hold a value and be read without running code."""
    if isinstance(value, dict):
        return _is_plain([*value.keys(), *value.values()])
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str, Tensor))


def plain_images(
    datamodule: LightningDataModule,
    seed: int | None = None,
    described: dict[str, Any] | None = None,
) -> PlainImages:
    """The source around a data module: one and the same, however often it is asked for."""
    source: PlainImages | None = vars(datamodule).get("_vae_images")
    if source is None:
        source = PlainImages(datamodule, seed)
        vars(datamodule)["_vae_images"] = source
    source.seed = source.seed if seed is None else seed
    source.description = described or source.description
    return source
