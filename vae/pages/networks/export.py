"""A network as plain data that a page can run: a list of operations, and one block of weights.

.. code-block:: python

    {
        "inputs": [{"name": "z", "value": "arg0_1", "shape": [-1, 20]}],
        "outputs": [{"name": "image", "value": "sigmoid", "shape": [-1, 1, 28, 28]}],
        "operations": [{"op": "linear", "in": ["arg0_1", "w", "b"], "out": "addmm", ...}, ...],
        "tensors": {"w": {"shape": [400, 20], "type": "float16", "offset": 0}, ...},
        "weights": "base64 of all tensors",
        "error": 6e-5,
    }

A size of -1 is the batch, which the page may choose anew at every run. ``network.js`` runs it.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from vae.pages.networks.operations import Translator
from vae.pages.networks.tensors import Block, rounded
from vae.pages.networks.trace import NetworkError, Trace, trace

__all__ = ["LARGEST_ERROR", "export_network"]

LARGEST_ERROR = 1e-3
"""What float16 weights may change in an output, in parts of its largest number or of 1."""


def export_network(module: nn.Module, *example_inputs: Tensor) -> dict[str, Any]:
    """What a module computes, as data that JSON takes and ``new Network(data)`` runs in a page.

    Weights become float16. A tensor that float16 cannot hold stays float32, and so do all of them,
    with a warning, where the outputs for the example would be off by more than 1e-3.

    Arguments:
        module: Of tensors ``(B, *)`` to a tensor ``(B, *)``, several, or a dictionary of them; in
            evaluation mode, on the CPU. Names are those of ``forward``'s arguments and of the
            dictionary.
        example_inputs: ``(B, *)`` each, for any B.

    Returns:
        See the module. ``error`` is the largest difference that float16 makes for the example.

    Raises:
        NetworkError: If pages know no such operation; the line names it.
    """
    try:
        found = trace(module, *example_inputs)
        to = Translator(found)
        for node in found.nodes:
            to(node)
    except NetworkError as refusal:
        raise NetworkError(f"{refusal}: --onnx exports it for other programs") from None
    error = _error(found)
    half = error <= LARGEST_ERROR
    if not half:
        warnings.warn(
            f"float16 weights change what {type(module).__name__} computes by {error:.1g}: they stay"
            " float32, twice as large",
            stacklevel=2,
        )
    block = Block(half)
    used = {name for op in to.operations for name in [*op["in"], op.get("table")]}
    used |= {node.name for node in found.outputs.values()}
    for name, value in {**found.constants, **to.tables}.items():
        if name in used:
            block.add(name, value)
    return {
        "inputs": [_described(to, name, node) for node, name in found.inputs.items()],
        "outputs": [_described(to, name, node.name) for name, node in found.outputs.items()],
        "operations": to.operations,
        "tensors": block.entries,
        "weights": block.text(),
        "error": error if half else 0.0,
    }


def _described(to: Translator, name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value, "shape": to.shape_of(value)}


def _error(found: Trace) -> float:
    """The largest difference that float16 makes, in parts of an output's largest number or of 1."""
    exact = found.evaluate({})
    narrow = found.evaluate({name: rounded(value) for name, value in found.constants.items()})
    worst = 0.0
    for name, value in exact.items():
        same = value == narrow[name]
        apart = (value - narrow[name]).abs().nan_to_num(torch.inf).masked_fill(same, 0)
        finite = value[value.isfinite()].abs()
        scale = max(1.0, float(finite.max())) if len(finite) else 1.0
        worst = max(worst, float(apart.max()) / scale)
    return worst
