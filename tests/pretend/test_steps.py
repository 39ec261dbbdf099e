"""Bound, backward pass and fused Adam of every estimator and every family on a pretend device:
the CPU's numbers, no mixed devices, and nothing that waits, which is what a CUDA graph needs."""

from functools import partial

import pretend_device
import pytest
import torch
from every_part import FAMILIES
from subset_models import LAYERS, SUBSETS
from torch.testing import assert_close

from vae.estimators import ESTIMATORS
from vae.training.presets import ContinuousVAE, DiscreteVAE, GaussianVAE

SMALL = {"image_shape": (1, 8, 8), "hidden": [8]}
MODELS = {
    "gaussian": lambda **options: GaussianVAE(latent_dim=2, **SMALL, **options),
    "one_hot": lambda **options: DiscreteVAE(
        num_variables=2, num_categories=3, **SMALL, **options
    ),
    "binary": lambda **options: DiscreteVAE(latent="binary", num_variables=3, **SMALL, **options),
    **{name: partial(make, **SMALL) for name, make in (SUBSETS | LAYERS).items()},
}
BOUNDS = [
    {"num_samples": 2},
    {"objective": "iwae", "num_samples": 3, "learned_prior": True},
    {"kl": "monte_carlo", "num_samples": 2},
]


def built(make, **options):
    """A module, or None if it is not defined."""
    torch.manual_seed(0)
    try:
        return make(**options)
    except (NotImplementedError, ValueError):
        return None


OF_SUBSETS = {"simple", "gumbel_top_k", "st_gumbel_top_k", "imle", "rloo", "enumerate"}
"""The estimators of subsets alone, and one of a kind of those that all families have."""
ONLY = dict.fromkeys(SUBSETS, OF_SUBSETS) | {"binary_layers": {"per_layer", "rebar"}}

CASES = {
    (family, name, number): (make, {"estimator": name} | bound)
    for family, make in MODELS.items()
    for name in ESTIMATORS
    for number, bound in enumerate(BOUNDS)
    if name in ONLY.get(family, ESTIMATORS)
    if built(make, estimator=name, **bound) is not None
}
FIRST = {case[:2]: case for case in reversed(CASES)}.values()
"""One bound for each family and estimator: the others take a minute."""


def steps(module, device, count=2):
    """Bound, parameters and buffers after a few steps, and what waited in the last of them."""
    module.to(device)
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(3)).round().to(device)
    optimizer = module.build_optimizer()
    torch.manual_seed(1)
    pretend_device.LOG.clear()
    for _ in range(count):
        optimizer.zero_grad()
        estimate = module.bound(images)
        estimate.loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimizer.step()
    waits = [str(event) for event in pretend_device.LOG]
    values = dict(module.state_dict()) | {"bound": estimate.bound.detach().mean()}
    return {name: value.cpu() for name, value in values.items()}, waits


@pytest.fixture
def same_branches(monkeypatch):
    """Where the library takes another road on a CPU, it takes a GPU's, with the same noise."""
    monkeypatch.setattr(torch.Tensor, "is_cpu", property(lambda self: False))


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            id="-".join(map(str, case)),
            marks=[] if case in FIRST else pytest.mark.slow,
        )
        for case in CASES
    ],
)
def test_an_estimator_gives_the_cpus_numbers_and_waits_for_nothing(case, same_branches):
    make, options = CASES[case]
    if case[0] in SUBSETS:  # whose tables are copied to a device once
        steps(built(make, **options), "pretend", 1)
    expected, _ = steps(built(make, **options), "cpu")
    found, waits = steps(built(make, **options), "pretend")
    assert waits == []
    assert_close(found, expected, rtol=1e-5, atol=1e-6)


OTHERS = {
    name: lambda name=name: ContinuousVAE(name, {"num_variables": 2}, num_samples=2, **SMALL)
    for name in FAMILIES
} | {
    "dirichlet": lambda: ContinuousVAE("dirichlet", {"num_categories": 3}, **SMALL),
    "relaxed": lambda: MODELS["one_hot"](kl="relaxed", learned_prior=True),
    "conv": lambda: GaussianVAE(2, network="conv", **SMALL),
    "grey": lambda: GaussianVAE(2, likelihood="continuous_bernoulli", **SMALL),
    "gaussian pixels": lambda: GaussianVAE(2, likelihood="gaussian", **SMALL),
    "running averages": lambda: MODELS["one_hot"](
        estimator="nvil", estimator_options={"centre": True, "scale": True}, kl="monte_carlo"
    ),
    "running averages at the mean": lambda: MODELS["binary"](
        estimator="muprop",
        estimator_options={"hidden": 4, "centre": True, "scale": True},
        kl="monte_carlo",
    ),
    "critic alone": lambda: MODELS["binary"](
        estimator="relax", estimator_options={"relax_f": False}
    ),
}
WAITS = {"von_mises": "rejects until all are drawn"}


@pytest.mark.parametrize("name", OTHERS)
def test_other_families_and_layers_do_too(name, same_branches):
    expected, _ = steps(built(OTHERS[name]), "cpu")
    found, waits = steps(built(OTHERS[name]), "pretend")
    assert bool(waits) == (name in WAITS)
    assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_every_estimator_is_here():
    assert {options["estimator"] for _, options in CASES.values()} == set(ESTIMATORS)


def test_a_tensor_of_the_cpu_is_seen(monkeypatch):
    module = MODELS["gaussian"]()
    bound = module.bound
    monkeypatch.setattr(module, "bound", lambda x: spoiled(bound(x), torch.zeros(len(x))))
    with pytest.raises(RuntimeError, match="at least two devices, pretend:0 and cpu"):
        steps(module, "pretend", 1)


def spoiled(estimate, offset):
    return estimate._replace(bound=estimate.bound + offset)


def test_a_number_that_is_read_in_a_step_is_seen(monkeypatch):
    module = MODELS["gaussian"]()
    bound = module.bound
    monkeypatch.setattr(module, "bound", lambda x: spoiled(bound(x), bound(x).bound[0].item()))
    _, (event,) = steps(module, "pretend", 1)
    assert event.startswith("wait by _local_scalar_dense")
