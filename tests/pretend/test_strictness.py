"""The pretend device is as strict as a GPU: what the other tests rely on."""

import pretend_device
import pytest
import torch
from pretend_device import LOG
from pretend_runs import DEVICE


def kinds():
    return [event.kind for event in LOG]


@pytest.mark.parametrize(
    "mix",
    [
        lambda x: x + torch.ones(3),
        lambda x: torch.cat([torch.ones(3), x]),
        lambda x: torch.where(x > 0, x, torch.ones(3)),
        lambda x: torch.ones(3)[x.long()],
        lambda x: torch.ones(3).index_select(0, x.long()),
        lambda x: torch.nn.Linear(3, 2)(x),
        lambda x: x.exponential_(generator=torch.Generator()),
        lambda x: torch.rand(3, generator=torch.Generator(DEVICE)),
    ],
)
def test_two_devices_do_not_mix(mix):
    with pytest.raises(RuntimeError, match=r"devices, pretend:0 and cpu|type for generator"):
        mix(torch.ones(3, device=DEVICE))


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.sum().item(),
        lambda x: float(x[0]),
        lambda x: bool((x > 0).all()),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: torch.zeros(3).copy_(x),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.unique(),
        lambda x: torch.normal(x, x),
        lambda x: torch.multinomial(x, 1),
    ],
)
def test_whatever_is_read_waits(read):
    x = torch.ones(3, device=DEVICE)
    LOG.clear()
    read(x)
    assert set(kinds()) == {"wait"}
    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        with torch.pretend.graph(torch.pretend.CUDAGraph()):
            read(x)


@pytest.mark.parametrize(
    "copy",
    [
        lambda x: torch.ones(3).to(DEVICE),
        lambda x: torch.tensor([1.0, 2.0], device=DEVICE),
        lambda x: x.copy_(torch.ones(3)),
        lambda x: x[torch.tensor([0, 1])],
        lambda x: x.new_tensor([1.0]),
    ],
)
def test_whatever_is_copied_there_is_logged(copy):
    x = torch.ones(3, device=DEVICE)
    LOG.clear()
    copy(x)
    assert kinds() == ["copy"]


def test_it_draws_from_a_generator_of_its_own():
    torch.manual_seed(1)
    first, here = torch.rand(3, device=DEVICE), torch.rand(3)
    with torch.random.fork_rng([DEVICE], device_type="pretend"):
        torch.manual_seed(2)
        torch.rand(3, device=DEVICE)
    second = torch.rand(3, device=DEVICE)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), here)
    assert torch.equal(torch.rand(6, device=DEVICE).cpu(), torch.cat([first, second]).cpu())


def test_a_graph_is_recorded_without_being_run_and_replays_kernels_only():
    x, graph, calls = torch.ones(3, device=DEVICE), torch.pretend.CUDAGraph(), []
    with torch.pretend.graph(graph):
        calls.append(1)
        y = x.view(3, 1).add(1)
        x.mul_(2)
    assert x.tolist() == [1, 1, 1]
    graph.replay()
    graph.replay()
    assert y.flatten().tolist() == [3, 3, 3] and x.tolist() == [4, 4, 4] and calls == [1]


def test_a_file_is_read_only_by_who_says_where_to(tmp_path):
    torch.save({"x": torch.ones(3, device=DEVICE)[:2]}, tmp_path / "x.pt")
    with pytest.raises(RuntimeError, match="read without map_location"):
        torch.load(tmp_path / "x.pt", weights_only=True)
    (x,) = torch.load(tmp_path / "x.pt", weights_only=True, map_location="cpu").values()
    assert torch.equal(x, torch.ones(2))


def test_it_can_be_without_float64(monkeypatch):
    monkeypatch.setattr(pretend_device.FLAGS, "float64", False)
    with pytest.raises(TypeError, match="no float64"):
        torch.ones(3, device=DEVICE).double()
