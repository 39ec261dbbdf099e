"""The memory that a model will need: more than the machine has is refused before it is allocated.

The model is built on torch's meta device, where tensors have shapes but no storage.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from vae.models.shapes import ShapesOnly
from vae.models.vae import VAE
from vae.objectives import Objective

__all__ = ["DECODINGS", "assert_memory", "assert_trainable", "floats_per_decoding", "skeleton"]


Made = TypeVar("Made")

DECODINGS = 10**10
"""The most that a test may take, images times samples: more are weeks of work on a CPU."""


def skeleton(make: Callable[[], Made]) -> Made:
    """What ``make`` builds, on the meta device: with shapes, and without storage.

    Raises:
        MemoryError: If its layers are larger than a tensor can be.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return make()
    except RuntimeError as error:
        if "overflow" in str(error):
            raise MemoryError("out of memory: a layer is larger than a tensor can be") from None
        raise


def memory() -> int:
    """Bytes that this process may have: the machine's, or its container's."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        path = Path("/sys/fs/cgroup") / name
        if path.is_file() and (text := path.read_text(encoding="utf-8").strip()).isdigit():
            limits.append(int(text))
    return min(limits)


def assert_memory(size: float, what: str) -> None:
    """Raises a MemoryError if ``what`` takes more bytes than there are."""
    if size > (most := memory()):
        raise MemoryError(
            f"out of memory: {what} takes {size / 2**30:,.0f} GiB, and there are"
            f" {most / 2**30:,.0f}"
        )


def floats_per_decoding(vae: VAE) -> int:
    """The size of the decoder's activations for one latent code, in numbers.

    Training keeps each of them until the backward pass.
    """
    made = 0

    def count(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal made
        made += output.numel()

    layers = [m for m in vae.likelihood.decoder.modules() if list(m.parameters(recurse=False))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        parameter = next(vae.likelihood.decoder.parameters())
        with ShapesOnly():
            vae.likelihood.decoder(
                torch.empty(1, vae.latent.code_features, device=parameter.device)
            )
    finally:
        for hook in hooks:
            hook.remove()
    return made


class _Trained(Protocol):
    """A model with its bound."""

    vae: VAE
    objective: Objective

    def parameters(self) -> Iterator[nn.Parameter]: ...


def assert_trainable(module: _Trained, batch_size: int, models: int = 1) -> None:
    """Refuses to train what does not fit into memory.

    Arguments:
        module: The model, or its skeleton.
        batch_size: Images a step.
        models: How many of them are trained at once.

    Raises:
        MemoryError: If it does not fit.
    """
    floats = sum(p.numel() for p in module.parameters() if not nn.parameter.is_lazy(p))
    assert_memory(16 * floats * models, "the model with its gradient and Adam's moments")
    samples = module.objective.num_samples
    made = 4 * floats_per_decoding(module.vae) * batch_size * samples * models
    assert_memory(made, f"a step of {batch_size} images and {samples} samples")
