"""Class labels beside images. What is asked of a trained model may need them; training does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from vae.data.batch import DataError
from vae.data.plain_loader import PlainLoader, Rebatched
from vae.data.source import ImageSource

__all__ = ["assert_labels", "labelled_batches", "labels_in", "labels_served"]


def labelled_batches(
    source: ImageSource,
    split: str,
    device: torch.device | str | None = None,
    batch_size: int | None = None,
    limit: int | None = None,
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The images of a split in the order in which they are evaluated, each with its class.

    Arguments:
        source: The data.
        split: ``train``, ``val`` or ``test``.
        device: Where the images are to be; by default the trainer's, or the CPU.
        batch_size: Images a batch; by default what the data module says.
        limit: Serve the first so many images only.

    Yields:
        Images ``(B, C, H, W)`` and int64 labels ``(B,)`` on the same device, or None in place of
        labels where the data have none.

    Raises:
        DataError: If there are not as many labels as images.
    """
    labels, first = source.labels(split, limit), 0
    for x in source.loader(split, device, batch_size=batch_size, limit=limit):
        if labels is None:
            yield x, None
            continue
        these = labels[first : first + len(x)]
        first += len(x)
        if len(these) < len(x):
            raise DataError(f"{type(source).__name__} has more {split} images than labels")
        yield x, these.to(x.device)


def labels_in(batch: Any) -> Tensor | None:
    """The labels of a batch ``(images, labels)``, as int64 ``(B,)``.

    None if it has none, or other than one whole number an image: several an image, or floats.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        return None
    images, labels = batch[0], batch[1]
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.is_complex():
        return None
    if labels.dim() == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    return labels.long() if labels.shape == images.shape[:1] else None


def labels_served(
    loader: PlainLoader | Rebatched, moved: Callable[[Any], Any], limit: int | None
) -> Tensor | None:
    """The labels of a user's data loader, in the order of its images; None if it has none.

    Arguments:
        loader: Its batches, which are read again: what they draw is drawn as for the images.
        moved: Hands a batch through the user's hooks, as for the images.
        limit: Those of the first so many images only.
    """

    def read(batch: Any) -> Tensor:
        after = labels_in(moved(batch))  # which may have taken images out, and changed their order
        found = labels_in(batch) if after is None else after
        return torch.empty(0) if found is None else found.cpu()

    assert isinstance(loader, PlainLoader), "the user's own batches"
    loader.read = read
    found: list[Tensor] = []
    for labels in loader:
        if not len(labels):
            return None
        found.append(labels)
        if limit is not None and sum(map(len, found)) >= limit:
            break
    return torch.cat(found)[:limit] if found else None


def assert_labels(labels: Any, count: int, split: str, name: str) -> Tensor:
    """What a user's ``load_labels`` returns for a split, as int64 ``(N,)`` on the CPU.

    Raises:
        DataError: If it is not one whole number for each of ``count`` images.
    """
    shape = tuple(labels.shape) if isinstance(labels, Tensor) else None
    if shape is None or labels.is_floating_point() or labels.is_complex():
        kind = type(labels).__name__ if shape is None else labels.dtype
        raise DataError(f"{name}.load_labels returns {kind} for {split!r}, not an int64 tensor")
    if shape != (count,):
        raise DataError(
            f"{name}.load_labels returns {split!r} with shape {shape}, not ({count},): one label"
            " for each image"
        )
    return labels.long().cpu()
