"""Devices, as far as a CPU shows them; the rest on a pretend one (``test_pretend_device.py``)."""

import pytest
import torch
from test_step import MODULES, fit

from vae.devices import asynchronous, double, generators, set_generators, takes_graphs
from vae.run.folder import new_run

CPU = torch.device("cpu")


def test_a_cpu_is_read_at_once_and_takes_no_graphs():
    assert not asynchronous(CPU) and not takes_graphs(CPU)
    assert asynchronous(torch.device("cuda")) and takes_graphs(torch.device("cuda"))


def test_generators_are_set_back_and_foreign_ones_left_alone():
    states = generators(CPU) | {"xpu": torch.zeros(16, dtype=torch.uint8)}
    drawn = torch.rand(3)
    set_generators(states, CPU)
    assert torch.equal(torch.rand(3), drawn)


def test_where_there_is_no_float64_numbers_are_read_on_the_cpu(monkeypatch):
    widened = torch.Tensor.double
    calls = []

    def refuses(x):
        calls.append(x)
        if len(calls) % 2:
            raise TypeError("the MPS framework doesn't support float64")
        return widened(x)

    monkeypatch.setattr(torch.Tensor, "double", refuses)
    assert double(torch.ones(2)).dtype == torch.float64
    x = torch.rand(3, 1, 8, 8)
    assert MODULES["gaussian"]().vae.log_likelihood(x, 10, chunk=6).dtype == x.dtype
    assert len(calls) > 8  # a part at a time


def test_a_capture_where_there_are_no_graphs_is_refused():
    module = MODULES["gaussian"](capture=True)
    with pytest.raises(ValueError, match="capture is for one CUDA device, not for cpu: leave out"):
        fit(module, new_run("x"), 3)
