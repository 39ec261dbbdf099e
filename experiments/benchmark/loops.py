"""Two of the training loops that ``bench.py`` compares: this library's, and a hand-written one.

The hand-written loop takes the same optimiser steps. The tutorials' loops are in ``peers.py``.

A loop that can be paused has a method ``run(steps)``. One that Lightning runs cannot be paused: it
calls ``on_step`` after every optimiser step, and the loops that take turns with it run in there.
"""

from __future__ import annotations

import os
import resource
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
import wandb
from lightning.pytorch import Callback
from torch import Tensor, nn

from vae.cli.app import VAECLI
from vae.data.loader import binarize
from vae.data.mnist import MNISTDataModule
from vae.data.source import ImageSource
from vae.devices import asynchronous
from vae.training import presets as modules
from vae.training.callbacks.progress import Progress
from vae.training.module import VAEModule

OnStep = Callable[[int, int], None]
"""Told the number of optimiser steps so far and the images of the last one."""


MODELS: dict[str, dict[str, Any]] = {
    "gaussian": {"class": "GaussianVAE"},
    "gumbel_softmax": {"class": "DiscreteVAE"},
    "rloo": {"class": "DiscreteVAE", "estimator": "rloo", "num_samples": 4},
    "iwae": {"class": "GaussianVAE", "objective": "iwae", "num_samples": 50},
}
"""The models, each a preset and its arguments: 784-400-20-400-784, or 20 one-hot variables of 10
categories."""


def build(model: Mapping[str, Any]) -> VAEModule:
    """A module from its class name and arguments, ``{"class": ..., **arguments}``."""
    options = dict(model)
    return getattr(modules, options.pop("class"))(**options)


def images_on(device: str) -> Tensor:
    """MNIST's training images but the last 400, uint8 with shape (59600, 1, 28, 28)."""
    data = MNISTDataModule(num_val=400)
    data.prepare_data()
    data.setup("fit")
    return data.splits["train"].to(device)


# Hand-written
# ----------------------------------------------------------------------------------------


def batches(images: Tensor, batch_size: int, binarized: bool) -> Iterator[Tensor]:
    """Float batches for ever, in a new order each epoch."""
    generator = torch.Generator(images.device)
    while True:
        order = torch.randperm(len(images)).to(images.device)
        for index in order.split(batch_size):
            x = images.index_select(0, index)
            yield binarize(x, generator).float() if binarized else x.float().div_(255)


class Eager:
    """The reference: the model's own bound and estimator, data in memory, and fused Adam.

    Arguments:
        loss: Images ``(B, *image)`` to the loss, ().
        parameters: What is trained.
        images: uint8, with shape ``(N, *image)``, on the device.
        batch_size: Images a step.
        binarized: Whether pixels are drawn anew each time, or grey.
    """

    def __init__(
        self,
        loss: Callable[[Tensor], Tensor],
        parameters: Iterator[nn.Parameter],
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


def loss_of(module: VAEModule, compiled: bool = False) -> Callable[[Tensor], Tensor]:
    """The negative bound as the module trains it."""
    bound, options = module.bound, {"fallback_random": True}
    if compiled:  # as vae.training has it
        bound = torch.compile(module.bound, dynamic=False, options=options)  # type: ignore[arg-type]

    def loss(x: Tensor) -> Tensor:
        return bound(x).loss

    return loss


def eager(
    model: Mapping[str, Any],
    images: Tensor,
    batch_size: int = 128,
    compiled: bool = False,
    **options: Any,
) -> Eager:
    """The reference loop of a model."""
    module = build(model).to(images.device).train()
    return Eager(loss_of(module, compiled), module.parameters(), images, batch_size, **options)


class Graph:
    """The reference's step as one CUDA graph, a single launch.

    It gathers and binarises the images, and runs the forward pass, the backward pass and Adam.

    Raises:
        RuntimeError: If the model does something that cannot be captured.
    """

    def __init__(self, model: Mapping[str, Any], images: Tensor, batch_size: int = 128) -> None:
        module = build(model).to(images.device).train()
        self.loss, self.images, self.batch_size = loss_of(module), images, batch_size
        self.optimizer = torch.optim.Adam(
            module.parameters(), lr=1e-3, fused=True, capturable=True
        )
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
        x = self.images.index_select(0, self.index)
        x = (torch.empty_like(x).random_(0, 255) < x).float()  # by the generator that graphs know
        self.optimizer.zero_grad()
        self.loss(x).backward()
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


# This library's
# ----------------------------------------------------------------------------------------


def command_line(
    model: Mapping[str, Any], steps: int, on_step: OnStep, device: str, batch_size: int = 128
) -> None:
    """Trains as ``experiments/train.py fit`` does, by the same code, in a temporary folder:
    metrics to ``metrics.jsonl`` and W&B (offline), checkpoints, progress bar, validation on 400
    images."""

    class CommandLine(VAECLI):
        def fit(self, model: VAEModule, datamodule: ImageSource, **kwargs: Any) -> None:
            model.after_step.append(lambda step, x: on_step(step, len(x)))
            callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
            if not any(isinstance(callback, Progress) for callback in callbacks):
                callbacks.insert(0, Progress())  # also where nobody looks
            try:
                self.trainer.fit(model, datamodule=datamodule, **kwargs)  # type: ignore[arg-type]
            finally:
                if wandb.run is not None:
                    wandb.finish()

    options = {
        **{f"model.{name}": value for name, value in model.items() if name != "class"},
        "data": "MNISTDataModule",
        "data.num_val": 400,
        "data.batch_size": batch_size,
        "trainer.max_steps": steps,
        "trainer.max_epochs": -1,
        "trainer.accelerator": "gpu" if asynchronous(torch.device(device)) else "cpu",
        "name": "bench",
    }
    words = [w for name, value in options.items() for w in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory() as folder, _environment(folder), silence():
        CommandLine(["fit", "--model", model["class"], *words])


@contextmanager
def _environment(folder: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ["VAE_RUNS_DIR"] = folder
    if os.environ.get("WANDB_MODE") != "disabled":
        os.environ["WANDB_MODE"] = "offline"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def silence() -> Iterator[None]:
    """Neither output nor warnings: those of a progress bar, and of a trainer's defaults."""
    with (
        warnings.catch_warnings(),
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),
    ):
        warnings.simplefilter("ignore")
        yield


# Alone, in a process of its own
# ----------------------------------------------------------------------------------------


def peak_memory(device: str) -> float:
    """The most memory that this process has had, in MB: on a GPU in tensors, else resident."""
    module = torch.get_device_module(device)
    if hasattr(module, "max_memory_allocated"):
        return float(module.max_memory_allocated() / 1e6)
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says starts with the peak of the parent process
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
