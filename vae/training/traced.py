"""A function of tensors, which it changes in place, as one compiled graph.

``make_fx`` runs the function once, on copies, and writes down every operation, those of autograd's
backward pass too. So whatever autograd takes can be traced: hooks, ``torch.func``, gradients inside
of gradients. What is left is a flat list of operations, which ``torch.compile`` makes one graph of,
and keeps on disk for the next run (pytorch.org, "Compile Time Caching in torch.compile").

Python is not in that list. A number that Python computes, or a branch that it takes, is as it was
in the trace: :class:`Watch` tells when one may have become another.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from vae.devices import generators, set_generators

__all__ = ["CompileError", "Untraceable", "Watch", "compiled", "is_close", "reason_of", "trace"]

Function = Callable[..., Sequence[Tensor]]

MOST_GRAPHS = 8
"""As many graphs as a run may make; beyond it, something changes at every step."""

TORCH = Path(torch.__file__).parent

NOT_PLAIN = (Tensor, list, dict, set)
"""What a plain value may have become since; of these, only the type is watched."""


class CompileError(ValueError):
    """A bound that cannot be compiled."""


class Untraceable(ValueError):
    """A function that cannot be one graph; the message says why, in a few words."""


def trace(function: Function, tensors: Sequence[Tensor]) -> GraphModule:
    """Writes down what a function does with tensors, without doing it.

    Nothing is left behind: it runs on copies, and the generators are set back.

    Arguments:
        function: Of as many tensors as given; returns tensors. It may change those given, and no
            others. It runs without a gradient unless it asks for one itself.
        tensors: Of the shapes, types and device that the graph is for.

    Raises:
        Untraceable: If it looks at a number, or fails.
    """
    device = tensors[0].device
    states = generators(device)
    copies = [tensor.detach().clone() for tensor in tensors]
    try:
        with torch.no_grad():
            graph = make_fx(function)(*copies)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of many kinds
        raise Untraceable(reason_of(error)) from error
    finally:
        set_generators(states, device)
    for node in graph.graph.nodes:  # what came from outside is a constant: nobody may change it
        changes = getattr(getattr(node.target, "_schema", None), "is_mutable", False)
        if changes and getattr(node.args[0], "op", "") == "get_attr":
            raise Untraceable("it changes a tensor that is neither parameter nor buffer")
    return graph


def compiled(graph: GraphModule) -> Callable[..., Sequence[Tensor]]:
    """The graph in fast code, made at the first call; with torch's own random numbers."""
    options: dict[str, Any] = {"fallback_random": True}
    run = torch.compile(graph, dynamic=False, fullgraph=True, options=options)

    @torch.no_grad()
    def call(*tensors: Tensor) -> Sequence[Tensor]:
        return run(*tensors)

    return call


class Watch:
    """The plain values in a module's attributes, of which a trace holds what they were.

    Arguments:
        module: With all modules inside it. Names that begin with an underscore are left out.
        others: Other mappings whose plain values count: an optimiser's options.
    """

    def __init__(self, module: nn.Module, *others: dict[str, Any]) -> None:
        self.module = module
        self.parameters = list(module.parameters())
        named = [(name, vars(part), _class_values(part)) for name, part in module.named_modules()]
        named += [("optimizer", other, {}) for other in others]
        places = [
            (f"{name}.{key}".lstrip("."), values, key, defaults.get(key))
            for name, values, defaults in named
            for key, value in {**defaults, **values}.items()
            if _is_plain(value) and not key.startswith("_") and (name, key) != ("optimizer", "lr")
        ]
        self.watched = [place[:3] for place in places]
        self._places = [place[1:] for place in places]

    def values(self) -> tuple[Any, ...]:
        """What they are now, and which parameters are trained."""
        own = [values.get(key, default) for values, key, default in self._places]
        own = [type(value) if isinstance(value, NOT_PLAIN) else value for value in own]
        return (*own, *[p.requires_grad for p in self.parameters])

    def changed(self, before: tuple[Any, ...]) -> list[str]:
        """The names of those that were others before."""
        pairs = zip(self.watched, before, self.values(), strict=False)
        return [name for (name, _, _), old, new in pairs if old is not new and old != new]


def _class_values(part: nn.Module) -> dict[str, Any]:
    """The plain values that its own class gives it, until the instance has others."""
    known = ("torch", "lightning", "builtins", "abc")
    return {
        key: value
        for kind in reversed(type(part).__mro__)
        if kind.__module__.partition(".")[0] not in known
        for key, value in vars(kind).items()
        if _is_plain(value)
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def reason_of(error: Exception) -> str:
    """Why something could not be traced or compiled, as the end of a sentence."""
    first, *more = (str(error).strip() or type(error).__name__).splitlines()
    text = f"{first} {more[0]}" if first.endswith(":") and more else first
    if "get value out of" in text:
        calls = traceback.extract_tb(error.__traceback__)
        own = [call for call in calls if TORCH not in Path(call.filename).parents]
        return f"{Path(own[-1].filename).name}, line {own[-1].lineno}, looks at a tensor's value"
    return text if len(text) <= 120 else f"{text[:117]}..."


def is_close(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    """Whether they are the same to rounding, in norm; nothing is said of what is not finite."""
    bounds = expected[:2]
    for a, b in zip(found, expected, strict=True) if all(map(torch.isfinite, bounds)) else ():
        known = b.isfinite()
        a, b = a[known].double(), b[known].double()
        if not float((a - b).norm()) <= 1e-3 * float(b.norm()) + 1e-6:  # a may be NaN
            return False
    return True
