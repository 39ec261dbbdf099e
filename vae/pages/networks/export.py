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

A size of -1 is the batch, which the page may choose anew at every run. How numbers are kept in 16 bits is
in :mod:`vae.pages.networks.tensors`. ``network.js`` runs it.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from vae.pages.networks.operations import translate
from vae.pages.networks.tensors import Block, rounded
from vae.pages.networks.trace import NetworkError, Trace, trace
from vae.pages.networks.translation import Translation

__all__ = ["LARGEST_ERROR", "export_network"]

LARGEST_ERROR = 1e-3
"""What 16-bit weights may change in an output, in parts of its largest number or of 1."""


def export_network(module: nn.Module, *example_inputs: Tensor) -> dict[str, Any]:
    """What a module computes, as data that JSON takes and ``new Network(data)`` runs in a page.

    Weights take 16 bits each. Where that changes the outputs for the example by more than 1e-3, they
    stay float32, with a warning.

    Arguments:
        module: Of tensors ``(B, *)`` to a tensor ``(B, *)``, several, or a dictionary of them; in
            evaluation mode, on the CPU. Names are those of ``forward``'s arguments (or the
            module's ``names``) and of the dictionary.
        example_inputs: ``(B, *)`` each, for any B.

    Returns:
        See the module. ``error`` is the largest difference that 16 bits make for the example, in
        parts of an output's largest number or of 1.

    Raises:
        NetworkError: If pages know no such operation; the line names it.
    """
    try:
        found = trace(module, *example_inputs)
        to = translate(found)
    except NetworkError as refusal:
        raise NetworkError(f"{refusal}: --onnx exports it for other programs") from None
    error = _error(found, to.turned)
    wide = error > LARGEST_ERROR
    if wide:
        warnings.warn(
            f"16-bit weights change what {type(module).__name__} computes by {error:.1g}: they stay"
            " float32, twice as large",
            stacklevel=2,
        )
    block = Block(wide)
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
        "error": 0.0 if wide else error,
    }


def _described(to: Translation, name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value, "shape": to.shape(value)}


def _error(found: Trace, turned: set[str]) -> float:
    """The largest difference that rounding makes, in parts of an output's largest number or of 1."""

    def change(name: str, value: Tensor) -> Tensor:
        return rounded(value.T).T if name in turned else rounded(value)

    exact, narrow = found.evaluate(), found.evaluate(change)
    worst = 0.0
    for name, value in exact.items():
        same = (value == narrow[name]) | (value.isnan() & narrow[name].isnan())
        apart = (value - narrow[name]).abs().nan_to_num(torch.inf).masked_fill(same, 0)
        finite = value[value.isfinite()].abs()
        scale = max(1.0, float(finite.max())) if len(finite) else 1.0
        worst = max(worst, float(apart.max()) / scale)
    return worst
