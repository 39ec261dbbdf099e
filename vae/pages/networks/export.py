"""A network as plain data that a page can run: a list of operations, and one block of weights.

.. code-block:: python

    {
        "inputs": [{"name": "z", "value": "arg0_1", "shape": [-1, 20]}],
        "outputs": [{"name": "image", "value": "sigmoid", "shape": [-1, 1, 28, 28]}],
        "operations": [{"op": "linear", "in": ["arg0_1", "w", "b"], "out": "addmm", ...}, ...],
        "tensors": {"w": {"shape": [400, 20], "type": "float16", "offset": 0}, ...},
        "weights": "base64 of all tensors",
        "wide": False,
        "error": 6e-5,
    }

A size of -1 is the batch, which the page may choose anew at every run. How numbers are kept in 16 bits is
in :mod:`vae.pages.networks.tensors`. ``network.js`` runs it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from vae.pages.networks.operations import translate
from vae.pages.networks.precision import Nats, precision_of
from vae.pages.networks.tensors import Block
from vae.pages.networks.trace import NetworkError, trace
from vae.pages.networks.translation import Translation

__all__ = ["export_network"]


def export_network(
    module: nn.Module,
    *example_inputs: Tensor,
    called: str | None = None,
    nats: Nats | None = None,
) -> dict[str, Any]:
    """What a module computes, as data that JSON takes and ``new Network(data)`` runs in a page.

    Weights take 16 bits each. Where that changes the outputs for the example by more than 1e-3, or by
    more than 0.01 nats, they stay float32, with a warning; with one more, if those are too few too.

    Arguments:
        module: Of tensors ``(B, *)`` to a tensor ``(B, *)``, several, or a dictionary of them; in
            evaluation mode, on the CPU. Names are those of ``forward``'s arguments (or the
            module's ``names``) and of the dictionary.
        example_inputs: ``(B, *)`` each, for any B.
        called: What a warning calls it; by default its class.
        nats: Of exact outputs and others, by their names, how many nats apart they are.

    Returns:
        See the module. ``error`` is the largest difference that 16 bits make for the example, in
        parts of an output's largest number or of 1; ``wide`` is whether weights are float32.

    Raises:
        NetworkError: If pages know no such operation; the line names it.
    """
    try:
        found = trace(module, *example_inputs)
        to = translate(found)
    except NetworkError as refusal:
        raise NetworkError(f"{refusal}: --onnx exports it for other programs") from None
    wide, error = precision_of(found, to.turned, called or type(module).__name__, nats)
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
        "wide": wide,
        "error": 0.0 if wide else error,
    }


def _described(to: Translation, name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value, "shape": to.shape(value)}
