"""What a module computes, as a graph of ATen operations in which the size of the batch is open.

A module is traced twice, on batches of two sizes: a size that is the same in both is a constant, one
that grows with the batch is a multiple of it. What depends on no input is computed here, once and for
all: :attr:`Trace.constants`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

__all__ = ["NetworkError", "Trace", "trace"]

BATCHES = (3, 32)
"""Sizes of the two batches; 1 would broadcast. Errors are measured on the larger."""

ALSO_DECOMPOSED = (
    *("leaky_relu", "elu", "gelu", "hardswish", "mish", "hardsigmoid", "softshrink", "lerp"),
    *("native_layer_norm", "native_group_norm", "native_batch_norm", "var_mean", "var", "std"),
    *("_native_batch_norm_legit_no_training", "addcmul", "addcdiv", "special_entr", "celu"),
    "linalg_vector_norm",
)
"""Operations of core ATen, and others, that are sums of simpler ones."""


class NetworkError(ValueError):
    """What a page cannot run; its message is one line."""


class Trace:
    """A module's graph.

    Attributes:
        nodes: In order of computation; those that depend on no input are left out.
        twins: The same nodes, by name, of the graph of the larger batch.
        values: What each node's value is for batches of the two sizes, by its name.
        constants: Values that depend on no input, by name.
        inputs: Names of the inputs, as nodes and as the module calls them.
        outputs: Names of the outputs, and the nodes (or numbers) that they are.
    """

    def __init__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        batches = [tuple(_resized(x, size) for x in inputs) for size in BATCHES]
        graphs = [_graph(module, batch) for batch in batches]
        self._graph, self._large = graphs
        pairs = list(zip(*(g.graph.nodes for g in graphs), strict=False))
        if len({len(g.graph.nodes) for g in graphs}) > 1 or any(
            a.target != b.target for a, b in pairs if a.op == "call_function"
        ):
            raise NetworkError(
                f"{type(module).__name__} computes something else for another number of inputs:"
                " pages need one list of operations"
            )
        found = [_values(g, batch) for g, batch in zip(graphs, batches, strict=True)]
        self.values = {
            a.name: (found[0][a.name], found[1][b.name]) for a, b in pairs if a.op != "output"
        }
        self.twins = {a.name: b for a, b in pairs}
        self._batch = batches[1]
        self._sort(module)

    def _sort(self, module: nn.Module) -> None:
        known = inspect.signature(module.forward).parameters
        names = list(getattr(module, "names", known))
        self.inputs: dict[str, str] = {}
        self.constants: dict[str, Tensor] = {}
        self.nodes: list[fx.Node] = []
        for node in self._graph.graph.nodes:
            if node.op == "placeholder":
                self.inputs[node.name] = names[len(self.inputs)]
            elif node.op == "output":
                self.outputs = _named(node.args[0])
            elif self._is_constant(node):
                self.constants[node.name] = self.values[node.name][0]
            else:
                self.nodes.append(node)

    def _is_constant(self, node: fx.Node) -> bool:
        if any(each.name not in self.constants for each in node.all_input_nodes):
            return False
        small, large = self.values[node.name]
        return isinstance(small, Tensor) and small.shape == large.shape

    def evaluate(self, change: Callable[[str, Tensor], Tensor] | None = None) -> dict[str, Tensor]:
        """The outputs for the larger batch, with all constants changed, given their names."""
        known = {}
        if change is not None:
            changed = {name: change(name, value) for name, value in self.constants.items()}
            known = {self.twins[name].name: value for name, value in changed.items()}
        found = _values(self._large, self._batch, known)
        return {name: found[self.twins[node.name].name] for name, node in self.outputs.items()}


def trace(module: nn.Module, *inputs: Tensor) -> Trace:
    """The graph of a module.

    Arguments:
        module: Of tensors ``(B, *)`` to tensors ``(B, *)``: one, a tuple, or a dictionary.
        inputs: Examples.

    Raises:
        NetworkError: If what it computes depends on the values of its inputs.
    """
    return Trace(module, inputs)


def _resized(x: Tensor, size: int) -> Tensor:
    """A batch of another size, of the same examples."""
    return x.detach()[torch.arange(size) % len(x)]


@cache
def _decompositions() -> dict[Any, Any]:
    from torch._decomp import core_aten_decompositions, get_decompositions

    also = [getattr(torch.ops.aten, name) for name in ALSO_DECOMPOSED]
    return {**core_aten_decompositions(), **get_decompositions(also)}


def _graph(module: nn.Module, inputs: tuple[Tensor, ...]) -> fx.GraphModule:
    with torch.no_grad():
        try:
            # the first pass dissolves derivatives of one's own, which the second could not
            # follow; the second leaves nothing that is written in place
            plain = make_fx(lambda *given: module(*given))(*inputs)
            table = dict(_decompositions())
            graph = make_fx(torch.func.functionalize(plain), decomposition_table=table)(*inputs)
        except RuntimeError as error:
            said = str(error).strip().split("\n")[0].rstrip(".")
            raise NetworkError(
                f"what {type(module).__name__} computes is no fixed list of operations ({said})"
            ) from None
    graph.graph.eliminate_dead_code()
    return graph


def _values(
    graph: fx.GraphModule, inputs: tuple[Tensor, ...], known: Mapping[str, Tensor] | None = None
) -> dict[str, Any]:
    """The value of each node by its name; those in ``known`` are not computed."""
    left = iter(inputs)
    found: dict[str, Any] = dict(known or {})
    with torch.no_grad():
        for node in graph.graph.nodes:
            if node.name in found or node.op == "output":
                continue
            if node.op == "placeholder":
                found[node.name] = next(left)
            elif node.op == "get_attr":
                found[node.name] = getattr(graph, node.target).detach()
            else:
                args = fx.map_arg((node.args, node.kwargs), lambda n: found[n.name])
                found[node.name] = node.target(*args[0], **args[1])
    return found


def _named(returned: Any) -> dict[str, fx.Node]:
    """What a module returns, by names."""
    if isinstance(returned, fx.Node):
        return {"output": returned}
    if isinstance(returned, Mapping):
        return dict(returned)
    return {f"output_{i}": node for i, node in enumerate(returned)}
