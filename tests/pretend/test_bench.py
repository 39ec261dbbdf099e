"""The benchmark's rows for a GPU, which nobody has run on one, on a pretend device."""

import json
import sys

import pretend_device
import pytest
import torch
from pretend_runs import DEVICE, THERE

sys.path.insert(0, str(pretend_device.ROOT / "experiments"))
from benchmark import training  # noqa: E402
from benchmark.loops import Graph, without_library  # noqa: E402
from benchmark.models import MODELS  # noqa: E402

IMAGES = torch.randint(0, 256, (300, 1, 28, 28), dtype=torch.uint8)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "iwae"])
def test_a_raw_step_is_one_graph(name):
    """It waits for nothing, and every replay trains all parameters."""
    images, model = IMAGES.to(DEVICE), MODELS[name]
    loop = without_library(model, images, Graph)
    before = [p.detach().cpu().clone() for p in loop.loss.parameters()]
    pretend_device.LOG.clear()
    assert loop.run(2) == 2 * model.batch_size
    waits = [event for event in pretend_device.LOG if event.kind == "wait"]
    assert waits == []
    after = [p.detach().cpu() for p in loop.loss.parameters()]
    assert all((a != b).any() for a, b in zip(before, after, strict=True))


def test_a_captured_fit_beside_the_raw_graph(monkeypatch, mnist_dir):
    monkeypatch.setenv("VAE_DATA_DIR", str(mnist_dir))
    flags = dict(zip((word[2:] for word in THERE[::2]), THERE[1::2], strict=True))
    chosen = {"fit": {"model.compile": "false"}, "fit_capture": {"model.capture": "true"}}
    monkeypatch.setattr(
        training, "ways", lambda *_, **__: {k: v | flags for k, v in chosen.items()}
    )
    found = training.compare("disarm_paper", IMAGES.to(DEVICE), 1, 0.01, str(DEVICE), quick=True)
    assert set(found) == {"fit", "raw", "bound", "raw_graph", "fit_capture"}
    assert all(row["ratio"]["median"] > 0 for row in found.values())
    assert json.dumps(found)
