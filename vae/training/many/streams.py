"""Random numbers of many models at once: each draws what it would draw alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vae.training.traced import Untraceable

__all__ = ["Generators", "Given", "Recording", "Streams", "on_device", "one_hot_of"]


IN_PLACE = {
    getattr(torch.Tensor, f"{name}_")
    for name in ("normal", "exponential", "uniform", "random", "cauchy", "log_normal", "geometric")
}
BY_SHAPE = {torch.rand, torch.randn, torch.randint}
BY_PARAMETERS = {torch.normal, torch.bernoulli, torch.poisson, torch._standard_gamma}


class _EachModel(torch.autograd.Function):
    """Calls ``function(*tensors)``, of tensors ``(S, ...)`` of all models, from inside a map over
    models; it returns one. No gradient passes."""

    @staticmethod
    def forward(function: Callable[..., Tensor], model: Tensor, *tensors: Tensor) -> Tensor:
        raise RuntimeError("there is no map over models around this")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, function: Any, model: Tensor, *tensors: Tensor) -> Any:
        rows = [
            t.expand(info.batch_size, *t.shape) if dim is None else t.movedim(dim, 0)
            for t, dim in zip(tensors, in_dims[2:], strict=True)
        ]
        return function(*rows), 0


Draw = Callable[..., Tensor]
"""Draws for one model, from ``generator=``; its other arguments are the model's parameters."""


class Source(Protocol):
    """Where the random numbers of many models come from."""

    def __call__(self, draw: Draw, *rows: Tensor) -> Tensor:
        """The draws of all models, ``(S, ...)``; ``rows`` are the parameters of all of them."""


class Generators:
    """Each model draws from a generator of its own.

    Arguments:
        generators: One for each model, on the device.
    """

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self.generators = list(generators)

    def __call__(self, draw: Draw, *rows: Tensor) -> Tensor:
        return torch.stack(
            [
                draw(*(row[s] for row in rows), generator=generator)
                for s, generator in enumerate(self.generators)
            ]
        )


class Recording(Generators):
    """As :class:`Generators`, and notes what was drawn: ``draws`` and the ``values``."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        super().__init__(generators)
        self.draws: list[Draw] = []
        self.values: list[Tensor] = []

    def __call__(self, draw: Draw, *rows: Tensor) -> Tensor:
        if rows:
            raise Untraceable("what is drawn depends on what is computed")
        self.draws.append(draw)
        self.values.append(super().__call__(draw))
        return self.values[-1]


class Given:
    """Gives what was drawn before, in its order.

    Arguments:
        values: Each ``(S, ...)``.
    """

    def __init__(self, values: Sequence[Tensor]) -> None:
        self.values = iter(values)

    def __call__(self, draw: Draw, *rows: Tensor) -> Tensor:
        return next(self.values)


class Streams(TorchFunctionMode):
    """Inside a map over models, gives each model the random numbers that it would draw alone.

    Whatever draws in another way than these functions fails under ``vmap(...,
    randomness="error")``, and is not silently the same for all.

    Arguments:
        source: Where these come from.
        model: What is mapped over: ``arange(S)``, seen from inside.
    """

    def __init__(self, source: Source, model: Tensor) -> None:
        super().__init__()
        self.source, self.model = source, model

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in IN_PLACE:
            target, *rest = args
            fresh = {"size": target.shape, "dtype": target.dtype, "device": target.device}
            # One tensor cannot hold the draws of S models. The method's result does; the tensor
            # itself is made useless, so that reading it is noticed.
            target.fill_(math.nan if target.is_floating_point() else 0)
            return self._draw(lambda **g: func(torch.empty(**fresh), *rest, **kwargs, **g))
        if func in BY_SHAPE:
            return self._draw(lambda **g: func(*args, **kwargs, **g))
        if func in BY_PARAMETERS and all(isinstance(p, Tensor) for p in args):
            kwargs.pop("generator", None)
            # torch refuses NaN, and one model that diverged must not stop the others
            valid = [p.nan_to_num(0.0, math.inf, -math.inf) for p in args]
            value = self._draw(lambda *slices, **g: func(*slices, **kwargs, **g), *valid)
            return value if func is not torch._standard_gamma else self._implicit(args[0], value)
        if func is nn.functional.one_hot:  # it looks at the values, which a map does not allow
            return one_hot_of(*args, **kwargs)
        return func(*args, **kwargs)

    def _draw(self, draw: Draw, *parameters: Tensor) -> Tensor:
        function = partial(self.source, draw)
        return cast(Tensor, _EachModel.apply(function, self.model, *parameters))

    def _implicit(self, concentration: Tensor, value: Tensor) -> Tensor:
        """A Gamma draw with torch's derivative, by implicit reparameterization."""
        grad = torch._standard_gamma_grad
        slope = cast(Tensor, _EachModel.apply(grad, self.model, concentration, value))
        return value + slope * (concentration - concentration.detach())


def one_hot_of(index: Tensor, num_classes: int) -> Tensor:
    return (index[..., None] == torch.arange(num_classes, device=index.device)).long()


def on_device(start: torch.Generator, device: torch.device) -> torch.Generator:
    """The generator that a single run draws from on a device.

    On a GPU that is another one, of the same seed, from which nothing was drawn yet.
    """
    if device.type == "cpu":
        return torch.Generator().set_state(start.get_state())
    return torch.Generator(device).manual_seed(start.initial_seed())
