"""ONNX files of a model say what torch does."""

import sys

import pytest
import torch
from combining import composed

from vae.pages.networks.halves import Decoder, Encoder
from vae.pages.networks.onnx import write_onnx

onnxruntime = pytest.importorskip("onnxruntime", reason="no onnxruntime is installed")
pytest.importorskip("onnxscript", reason="no onnxscript is installed")


def assert_same(path, half, name):
    """Of a batch of another size than what was exported."""
    session = onnxruntime.InferenceSession(str(path))
    given = half.example()[:7]
    names = [output.name for output in session.get_outputs()]
    with torch.no_grad():
        wanted = half(given)
    assert names == list(wanted)
    for output, found in zip(names, session.run(None, {name: given.numpy()}), strict=True):
        torch.testing.assert_close(torch.from_numpy(found), wanted[output], rtol=1e-5, atol=1e-5)


def written(folder, latent, likelihood, network):
    model = composed(latent, None, likelihood, network).vae
    paths = write_onnx(model, folder / "onnx")
    assert sorted(paths) == sorted((folder / "onnx").iterdir())  # nothing is left beside them
    assert_same(paths[0], Decoder(model), "z")
    if paths[1:]:
        assert_same(paths[1], Encoder(model, extras=("mean",)), "x")
    return [path.name for path in paths]


@pytest.mark.e2e
def test_decoder_and_encoder(tmp_path):
    names = written(tmp_path, "gaussian", "bernoulli", "mlp")
    assert names == ["decoder.onnx", "encoder.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "parts",
    [
        ("one_hot", "logistic_mixture", "conv"),
        ("vq", "beta_binomial", "residual"),
        ("misvae", "continuous_bernoulli", "mlp"),
        ("conditional_bernoulli", "gaussian", "mlp"),
        ("power_spherical", "gaussian_per_pixel", "mlp"),
    ],
    ids="-".join,
)
def test_other_families(tmp_path, parts):
    assert len(written(tmp_path, *parts)) == 2


@pytest.mark.slow
def test_a_hierarchy_has_a_decoder_only_and_that_is_said(tmp_path):
    with pytest.warns(
        UserWarning, match="no encoder.onnx: q.* of Hierarchy is not known by its par"
    ):
        assert written(tmp_path, "binary_layers", "bernoulli", "mlp") == ["decoder.onnx"]


def test_without_an_encoder_there_is_a_decoder_only(tmp_path, monkeypatch):
    monkeypatch.setattr("vae.pages.networks.onnx._written", lambda half, path, name: path)
    vae = composed("gaussian", None, "bernoulli").vae
    names = {each: [p.name for p in write_onnx(vae, tmp_path, each)] for each in (True, False)}
    assert names == {True: ["decoder.onnx", "encoder.onnx"], False: ["decoder.onnx"]}


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_a_missing_library_is_one_line_and_nothing_is_written(tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not there
    with pytest.raises(
        ValueError, match=r"^ONNX files need the libraries onnx and[^\n]*\.\[onnx\]'\)$"
    ):
        write_onnx(None, tmp_path / "onnx")
    assert not list(tmp_path.iterdir())
