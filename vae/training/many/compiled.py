"""The mapped step as one compiled graph (:mod:`vae.training.traced`).

A graph draws from one generator, and S models have S. So what they draw is drawn before, and given to
the graph: the first step notes which draws there are. Where a draw depends on what is computed (a
Bernoulli variable's on its probability) there is no such graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vae.training.many.mapped import Loss, gradients
from vae.training.many.streams import Given, Recording
from vae.training.torch_private import hooked
from vae.training.traced import MOST_GRAPHS, Untraceable, Watch, compiled, reason_of, trace

__all__ = ["CompiledGradients"]


class _Graph(NamedTuple):
    """A graph in fast code; what each model draws, and where that is put, (S, ...)."""

    run: Callable[..., Sequence[Tensor]]
    draws: list[Callable[..., Tensor]]
    noise: list[Tensor]


class CompiledGradients:
    """As :func:`vae.training.many.mapped.gradients`, of one compiled graph.

    A graph is for one shape of images, and for the Python values that the model had when it was made;
    for others there is another one. Each is checked against the mapped step before it is used.

    Arguments:
        template: Any of the models.
        parameters: Of all models, ``(S, *shape)`` each.
        buffers: Likewise; moving averages are updated in place.
        generators: What each model draws from.
    """

    def __init__(
        self,
        template: Loss,
        parameters: dict[str, Tensor],
        buffers: dict[str, Tensor],
        generators: Sequence[torch.Generator],
    ) -> None:
        self.template, self.parameters, self.buffers = template, parameters, buffers
        self.generators = generators
        self.watch = Watch(template)
        self.graphs: dict[Any, _Graph] = {}

    def __call__(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The gradient of each model's loss, and its bound (S,), at images ``(S, B, *image)``.

        Raises:
            Untraceable: If the step cannot be a graph; nothing was drawn or changed then.
        """
        key = (x.shape, x.dtype, self.watch.values())
        if key not in self.graphs:
            self.graphs[key] = self._make(x)
        graph = self.graphs[key]
        for draw, noise in zip(graph.draws, graph.noise, strict=True):
            for own, generator in zip(noise, self.generators, strict=True):
                own.copy_(draw(generator=generator))
        return self._run(graph, self.buffers, x)

    def _run(
        self, graph: _Graph, buffers: dict[str, Tensor], x: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        tensors = (*self.parameters.values(), *buffers.values(), *graph.noise, x)
        bounds, *found = graph.run(*tensors)
        return dict(zip(self.parameters, found, strict=True)), bounds

    def _make(self, x: Tensor) -> _Graph:
        if len(self.graphs) == MOST_GRAPHS:
            last = list(self.graphs)[-1][-1]
            changed = self.watch.changed(last)
            raise Untraceable(f"{next(iter(changed), 'something')} keeps changing")
        if hooks := hooked(self.watch.module):
            raise Untraceable(f"{hooks[0]} has hooks")
        copies = [_copied(generator) for generator in self.generators]
        recording, mapped, buffers = Recording(copies), self._clones(), self._clones()
        before = self.watch.values()
        expected = gradients(self.template, self.parameters, mapped, recording, x)
        if changed := self.watch.changed(before):
            raise Untraceable(f"{changed[0]}, which is no tensor, changes at every step")
        noise = recording.values
        tensors = [*self.parameters.values(), *self.buffers.values(), *noise, x]
        graph = _Graph(compiled(trace(self._function, tensors)), recording.draws, noise)
        try:
            found = self._run(graph, buffers, x)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # of many kinds
            raise Untraceable(reason_of(error)) from error
        pairs = [(found[1], expected[1])]
        pairs += [(found[0][name], expected[0][name]) for name in expected[0]]
        pairs += [(buffers[name], mapped[name]) for name in mapped]
        if not all(_is_close(a, b) for a, b in pairs):
            raise Untraceable("the graph gives other numbers")
        return graph

    def _function(self, *tensors: Tensor) -> Sequence[Tensor]:
        """The step as a function of parameters, buffers, noise and images."""
        *rest, x = tensors
        P, B = len(self.parameters), len(self.parameters) + len(self.buffers)
        parameters = dict(zip(self.parameters, rest[:P], strict=True))
        buffers = dict(zip(self.buffers, rest[P:B], strict=True))
        found, bounds = gradients(self.template, parameters, buffers, Given(rest[B:]), x)
        return [bounds, *(found[name] for name in self.parameters)]

    def _clones(self) -> dict[str, Tensor]:
        return {name: buffer.clone() for name, buffer in self.buffers.items()}


def _copied(generator: torch.Generator) -> torch.Generator:
    return torch.Generator(generator.device).set_state(generator.get_state())


def _is_close(found: Tensor, expected: Tensor) -> bool:
    """Whether they are the same to rounding, in norm; nothing is said of what is not finite."""
    known = expected.isfinite()
    found, expected = found[known].double(), expected[known].double()
    return float((found - expected).norm()) <= 1e-3 * float(expected.norm()) + 1e-6
