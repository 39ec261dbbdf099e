"""Hooks are seen wherever torch lets one register them."""

import pytest
import torch
from torch import nn

from vae.training.torch_private import has_step_hooks, hooked


def nothing(*arguments):
    """A hook."""


@pytest.mark.parametrize(
    "register",
    [
        lambda net: net[0].register_forward_hook(nothing),
        lambda net: net[0].register_forward_pre_hook(nothing),
        lambda net: net[0].register_full_backward_hook(nothing),
        lambda net: net[0].register_full_backward_pre_hook(nothing),
        lambda net: net[0].weight.register_hook(nothing),
        lambda net: net[0].weight.register_post_accumulate_grad_hook(nothing),
    ],
)
def test_hooks_of_modules_and_parameters_are_seen(register):
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    assert hooked(net) == []
    handle = register(net)
    assert [name[:1] for name in hooked(net)] == ["0"]
    handle.remove()
    assert hooked(net) == []


@pytest.mark.parametrize("kind", ["pre", "post"])
def test_hooks_of_an_optimisers_step_are_seen(kind):
    optimizer = torch.optim.Adam([nn.Parameter(torch.ones(2))])
    assert not has_step_hooks(optimizer)
    getattr(optimizer, f"register_step_{kind}_hook")(nothing)
    assert has_step_hooks(optimizer)
