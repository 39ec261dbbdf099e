"""The two halves of a model as ONNX files, for front ends other than a page."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import torch

from vae.models.vae import VAE
from vae.pages.networks.halves import Decoder, Encoder
from vae.pages.networks.trace import NetworkError
from vae.whole_files import replace_bytes

__all__ = ["OPSET", "assert_onnx", "write_onnx"]

OPSET = 18
"""The version of ONNX's operations: what the exporter writes without converting."""


def write_onnx(vae: VAE, folder: Path, encoder: bool = True) -> list[Path]:
    """Writes ``decoder.onnx``, from z to images, and ``encoder.onnx``, from x to q(z|x).

    Weights are float32, and the first dimension, the batch, is open. Where q(z|x) is not known by its
    parameters there is no encoder, and a warning says why.

    Arguments:
        vae: A model on the CPU; with relaxed latents, it is the one with hard latents.
        folder: Where to; it is made if it is not there.
        encoder: Whether to write that too.

    Returns:
        The files.

    Raises:
        ValueError: If the extra ``onnx`` is not installed, or a network cannot be exported.
    """
    assert_onnx()
    decoder = Decoder(vae)
    written = [_written(decoder, folder / "decoder.onnx", "z")]
    if not encoder:
        return written
    try:
        half = Encoder(vae, extras=("mean",))
    except NetworkError as error:
        warnings.warn(f"no encoder.onnx: {error}", stacklevel=2)
    else:
        written.append(_written(half, folder / "encoder.onnx", "x"))
    return written


def assert_onnx() -> None:
    """Raises ValueError if what writes ONNX files is not installed."""
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise ValueError(
            "ONNX files need the libraries onnx and onnxscript: pip install onnx onnxscript (in a"
            " clone: pip install '.[onnx]')"
        )


def _written(half: Decoder | Encoder, path: Path, name: str) -> Path:
    """Writes one of the two, whose input has a name."""
    example = half.example()
    with torch.no_grad():
        outputs = list(half(example))
    try:
        program = torch.onnx.export(
            half,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[name],
            output_names=outputs,
            dynamic_shapes={name: {0: "batch"}},
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        said = str(error).split("\n")[0]
        raise ValueError(f"{type(half).__name__} cannot be written as ONNX: {said}") from None
    assert program is not None
    replace_bytes(path, program.model_proto.SerializeToString())
    return path
