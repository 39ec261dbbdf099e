"""Records the noise that an estimator of torch draws, so that another program can draw the same."""

from __future__ import annotations

from typing import Any

from torch import Tensor, ops
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["RecordedNoise"]

aten = ops.aten

KINDS: dict[Any, str] = {
    aten.rand.default: "uniform",
    aten.exponential_.default: "exponential",
    aten.normal_.default: "normal",
    aten.randn.default: "normal",
    aten.randint.default: "integer",
}


class RecordedNoise(TorchDispatchMode):
    """Within it, what torch draws is kept: :attr:`drawn`, in order, by kind.

    A Bernoulli draw is kept as a uniform number below, or not below, every probability: 0 or 1.

    Raises:
        NotImplementedError: If something else is drawn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[tuple[str, Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func in KINDS:
            self.drawn.append((KINDS[func], found.detach().clone()))
        elif func is aten.bernoulli.default:
            self.drawn.append(("uniform", 1 - found.detach()))
        elif "nondeterministic_seeded" in str(func.tags):
            raise NotImplementedError(f"{func} draws noise that is not recorded")
        return found

    def replicate(self, b: int, count: int) -> list[tuple[str, list[float]]]:
        """The noise of one replicate of ``count``, whose dimension is the only one of that size.

        Arguments:
            b: Its number.
            count: B.
        """
        found = []
        for kind, tensor in self.drawn:
            if count > 1:
                (dim,) = [i for i, size in enumerate(tensor.shape) if size == count]
                tensor = tensor.select(dim, b)
            found.append((kind, tensor.flatten().tolist()))
        return found
