"""What a GPU user runs, on a pretend device: training by the command line with schedules, logging,
clipping, validation, images and shadows; exact resumption, and that on another device; a step as a
graph.

Inside a training step nothing may wait for the device but what ``ALLOWED`` names.
"""

import json
import shutil
from collections import Counter

import pretend_device
import pytest
import torch
from chaos import rows
from pretend_runs import CUT, HERE, STEPS, THERE
from small import SMALL, fit
from torch.testing import assert_close

import vae.training.noise
from vae.cli.resume import resume
from vae.devices import set_generators
from vae.models.checkpoint import read_checkpoint
from vae.run.folder import new_run
from vae.training.capture import CaptureError
from vae.training.presets import GaussianVAE
from vae.training.step import Step

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*could not find the monitored key"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
]

ALLOWED = {
    "_log_training": "at a step that is logged, its numbers are read",
    "assert_finite": "and looked at, whether they are finite",
    "measure": "the shadows' gradients are read, every so many steps",
    "batches": "an epoch's order goes to the device, once",
}
"""What may wait, or copy to the device, inside a training step."""

WHOLE, PART = (("--trainer.max_steps", str(n)) for n in (STEPS, CUT))
ON_DEVICE = {
    "accelerator": "pretend",
    "strategy": "pretend",
    "log_every": 0,
    "limit_val_batches": 0,
}
BOTH = ["gumbel", pytest.param("nvil", marks=pytest.mark.slow)]


def in_a_step(log):
    return [event for event in log if "training_step" in event.functions]


def forbidden(log):
    """What waited inside a training step and may not."""
    return [str(e) for e in in_a_step(log) if not ALLOWED.keys() & set(e.functions)]


def end(run):
    return read_checkpoint(run / "checkpoints" / "last.ckpt")


def differing(run, other):
    """What is not the same to the last bit."""
    found, expected = end(run)["state_dict"], end(other)["state_dict"]
    return [key for key, value in expected.items() if not torch.equal(found[key], value)]


def resumed(run, folder, *flags):
    """A copy of a run that was cut short, continued."""
    copy = folder / "copy"
    shutil.copytree(run, copy)
    (copy / "results.json").unlink()
    resume(str(copy), [*flags, *WHOLE])
    assert end(copy)["global_step"] == STEPS
    return copy


def test_a_run_waits_only_where_it_logs(train):
    run, log = train("gumbel", *THERE, *WHOLE)
    assert forbidden(log) == []
    innermost = Counter(event.functions[0] for event in in_a_step(log))
    assert ALLOWED.keys() <= {name for event in in_a_step(log) for name in event.functions}
    assert innermost["batches"] == 2  # epochs
    assert innermost["assert_finite"] == STEPS // 10  # steps that are logged
    logged = rows(run)
    assert {"train/bound", "schedule/temperature", "val/elbo"} <= set().union(*logged)
    assert any("grad/variance/rebar" in row for row in logged)
    assert json.loads((run / "run.json").read_text())["hardware"] == "Pretend 100"
    assert json.loads((run / "results.json").read_text())["metrics"]["test/elbo"] < 0
    assert len(list((run / "images").glob("*.png"))) >= 4


@pytest.mark.parametrize("model", BOTH)
def test_a_run_is_resumed_to_the_last_bit(model, train, tmp_path):
    whole, cut = train(model, *THERE, *WHOLE)[0], train(model, *THERE, *PART)[0]
    run = resumed(cut, tmp_path)
    assert differing(run, whole) == []
    assert rows(run) == rows(whole)


def test_a_generator_that_is_not_given_back_is_seen(train, tmp_path, monkeypatch):
    def forgets(states, device):
        set_generators({"cpu": states["cpu"]}, device)

    monkeypatch.setattr(vae.training.noise, "set_generators", forgets)
    run = resumed(train("gumbel", *THERE, *PART)[0], tmp_path)
    assert differing(run, train("gumbel", *THERE, *WHOLE)[0])


def test_a_run_goes_on_where_there_is_another_device(train, tmp_path, monkeypatch):
    run = resumed(train("gumbel", *THERE, *PART)[0], tmp_path / "to", *HERE)
    assert set(end(run)["vae"]["generators"]) == {"cpu"}
    seeds, seed = [], torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda number: seeds.append(number) or seed(number))
    run = resumed(train("gumbel", *HERE, *PART)[0], tmp_path / "from", *THERE)
    assert set(end(run)["vae"]["generators"]) == {"cpu", "pretend"}
    assert any(number > 2**32 for number in seeds)  # noise that was never drawn before


@pytest.mark.parametrize("model", BOTH)
def test_a_graph_of_kernels_gives_what_kernels_give(model, train):
    whole, (graph, log) = (
        train(model, *THERE, *WHOLE)[0],
        train(model, *THERE, *WHOLE, "--model.capture", "true"),
    )
    assert forbidden(log) == []
    for key, value in end(whole)["state_dict"].items():
        assert_close(end(graph)["state_dict"][key], value, rtol=1e-5, atol=1e-6, msg=key)


def test_a_number_that_is_read_in_a_step_is_seen(monkeypatch):
    def reads(self, *arguments, **options):
        bound = backward(self, *arguments, **options)
        assert bound.item() < 0
        return bound

    backward = Step.differentiate
    monkeypatch.setattr(Step, "differentiate", reads)
    fit(GaussianVAE(latent_dim=2, **SMALL), new_run("x"), 3, **ON_DEVICE)
    waits = forbidden(pretend_device.LOG)
    assert len(waits) == 3 and "_local_scalar_dense in vae/" in waits[0]
    assert "training_step" in waits[0]
    with pytest.raises(CaptureError, match="not permitted when stream is capturing: _local_sc"):
        fit(GaussianVAE(latent_dim=2, capture=True, **SMALL), new_run("y"), 3, **ON_DEVICE)
