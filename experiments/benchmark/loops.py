"""Hand-written training loops: fused Adam, images in memory, binarised anew at each presentation.

A loop that can be paused has a method ``run(steps)``, which returns the number of images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from benchmark.models import Model, build

__all__ = ["Eager", "Graph", "around_bound", "batches", "without_library"]

Loss = Callable[[Tensor], Tensor]
"""Images ``(B, *image)`` to the loss, ()."""


def batches(images: Tensor, batch_size: int, binarized: bool = True) -> Iterator[Tensor]:
    """Float batches for ever, in a new order each epoch.

    Arguments:
        images: uint8, with shape ``(N, *image)``.
        batch_size: Images a batch; an epoch's last one may be smaller.
        binarized: Whether pixels are drawn anew each time, from their grey level, or grey.
    """
    while True:
        order = torch.randperm(len(images)).to(images.device)
        for index in order.split(batch_size):
            x = images.index_select(0, index)
            yield drawn(x) if binarized else x.float().div_(255)


def drawn(x: Tensor) -> Tensor:
    """Binary pixels, each 1 with probability v / 255, as the library draws them."""
    return (torch.empty_like(x).random_(0, 255) < x).float()


class Eager:
    """A loop of plain torch.

    Arguments:
        loss: The loss of a batch.
        parameters: What is trained.
        images: uint8, with shape ``(N, *image)``, on the device.
        batch_size: Images a step.
        binarized: Whether pixels are drawn anew each time, or grey.
    """

    def __init__(
        self,
        loss: Loss,
        parameters: Iterable[nn.Parameter],
        images: Tensor,
        batch_size: int = 128,
        binarized: bool = True,
    ) -> None:
        self.loss = loss
        self.optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
        self.batches = batches(images, batch_size, binarized)

    def run(self, steps: int) -> int:
        count = 0
        for _ in range(steps):
            x = next(self.batches)
            self.optimizer.zero_grad()
            self.loss(x).backward()
            self.optimizer.step()
            count += len(x)
        return count


class Graph:
    """The same step as one CUDA graph, a single launch.

    It gathers and binarises the images, and runs the forward pass, the backward pass and Adam.

    Raises:
        RuntimeError: If the model does something that cannot be captured.
    """

    def __init__(
        self,
        loss: Loss,
        parameters: Iterable[nn.Parameter],
        images: Tensor,
        batch_size: int = 128,
    ) -> None:
        self.loss, self.images, self.batch_size = loss, images, batch_size
        self.optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True, capturable=True)
        self.index = torch.arange(batch_size, device=images.device)
        device = torch.get_device_module(images.device)
        side = device.Stream()
        side.wait_stream(device.current_stream())
        with device.stream(side):  # lazy initialisations, which a graph must not contain
            for _ in range(3):
                self._step()
        device.current_stream().wait_stream(side)
        self.graph = device.CUDAGraph()
        self.optimizer.zero_grad()
        with device.graph(self.graph):
            self._step()
        self.order: Iterator[Tensor] = iter(())

    def _step(self) -> None:
        self.optimizer.zero_grad()
        self.loss(drawn(self.images.index_select(0, self.index))).backward()
        self.optimizer.step()

    def run(self, steps: int) -> int:
        for _ in range(steps):
            index = next(self.order, None)
            if index is None or len(index) < self.batch_size:
                order = torch.randperm(len(self.images), device=self.images.device)
                self.order = iter(order.split(self.batch_size))
                index = next(self.order)
            self.index.copy_(index)
            self.graph.replay()
        return steps * self.batch_size


def without_library(
    model: Model, images: Tensor, kind: Callable[..., Eager | Graph] = Eager
) -> Eager | Graph:
    """The reference: the raw model in a hand-written loop."""
    raw = model.raw().to(images.device)
    return kind(raw, raw.parameters(), images, model.batch_size)


def around_bound(model: Model, images: Tensor, batch_size: int | None = None) -> Eager:
    """A hand-written loop around the library's bound and estimator."""
    module = build(model.options).to(images.device).train()

    def loss(x: Tensor) -> Tensor:
        return module.bound(x).loss

    return Eager(loss, module.parameters(), images, batch_size or model.batch_size)
