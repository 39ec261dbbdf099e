"""A training step as a CUDA graph: recorded once, and from then on replayed in one launch.

A small VAE's step is some sixty kernels of a few microseconds each; launched one by one, they take
longer to ask for than to do. The numbers are those of the step as it is: a graph draws from the
device's own generator, which goes on from replay to replay as it would from kernel to kernel
(pytorch.org, "CUDA semantics", "CUDA Graphs").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vae.devices import takes_graphs
from vae.training.remember import remember

__all__ = ["CaptureError", "CapturedStep"]


Outputs = tuple[Tensor, ...]


class CaptureError(ValueError):
    """A step that cannot be captured."""


class _Recorded(NamedTuple):
    images: Tensor
    replay: Callable[[], None]
    outputs: Outputs


class CapturedStep:
    """Calls a training step by replaying its recording.

    There is one recording for every shape of images: an epoch's last batch may be smaller.

    Before it is recorded, a step must have run, or the recording would contain what is only done
    once. What those runs change is set back: parameters, buffers, the optimiser's state, and the
    generators.

    Arguments:
        module: The module whose parameters and buffers the step changes.
        optimizer: The optimiser whose state it changes: an Adam, whose state starts from zeros.
        step: Takes images ``(B, *image)``, runs everything from the forward pass to the
            optimiser's step, and returns the tensors to look at. It must not wait for the device,
            and must change nothing but tensors: a replay does not repeat what is done in Python,
            such as setting ``grad``.
        trials: Runs before the recording.

    Raises:
        CaptureError: On the first call, if the step cannot be captured.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        step: Callable[[Tensor], Outputs],
        trials: int = 3,
    ) -> None:
        self.module, self.optimizer, self.step, self.trials = module, optimizer, step, trials
        self.recorded: dict[torch.Size, _Recorded] = {}

    def __call__(self, x: Tensor) -> Outputs:
        """One step at images ``(B, *image)``; its outputs, which the next call overwrites."""
        if x.shape not in self.recorded:
            self.recorded[x.shape] = self._record(x)
        images, replay, outputs = self.recorded[x.shape]
        images.copy_(x)
        replay()
        return outputs

    def _record(self, x: Tensor) -> _Recorded:
        images = x.clone()
        restore = self._remember(x.device)
        self._try(images)
        restore()
        try:
            return _Recorded(images, *self._capture(images))
        except (torch.OutOfMemoryError, NotImplementedError):
            raise
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise CaptureError(
                f"this training step cannot be captured ({reason}): leave out --model.capture"
            ) from error

    def _try(self, images: Tensor) -> None:
        """Runs the step on a side stream, as a recording needs to have happened before it."""
        if not takes_graphs(images.device):
            raise CaptureError(
                f"capture is for one CUDA device, not for {images.device}: leave out --model.capture"
            )
        device = torch.get_device_module(images.device)
        side = device.Stream(images.device)
        side.wait_stream(device.current_stream(images.device))
        with device.stream(side):
            for _ in range(self.trials):
                self.step(images)
        device.current_stream(images.device).wait_stream(side)

    def _capture(self, images: Tensor) -> tuple[Callable[[], None], Outputs]:
        """The replay, and where it leaves the outputs."""
        for parameter in self.module.parameters():
            parameter.grad = None  # the recording makes its own, which stay where they are
        device = torch.get_device_module(images.device)
        graph = device.CUDAGraph()
        with device.graph(graph):
            outputs = self.step(images)
        return graph.replay, outputs

    def _remember(self, device: torch.device) -> Callable[[], None]:
        """What sets everything back to what it is now."""
        return remember(self.module, self.optimizer, device)
