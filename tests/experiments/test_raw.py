"""The benchmark's reference: the same bound and gradient as the library's, without the library."""

import math
from pathlib import Path

import pytest
import torch

from vae.distributions.one_hot import gumbel_like

NAMES = [
    "gaussian",
    "gumbel_softmax",
    "rloo",
    "iwae",
    "iwae_paper_k1",
    "iwae_paper_k50",
    "disarm_paper",
]
FALSE_ALARM_RATE = 1e-6
"""Of the tests of the noise, each."""


@pytest.fixture
def models():
    import bench  # noqa: F401  # puts experiments on the path
    from benchmark.models import MODELS, build

    return MODELS, build


def pairs(raw, module):
    """The parameters of the raw model and of the library's that mean the same, in turn."""
    prior = [p for name, p in module.vae.named_parameters() if "prior" in name]
    others = [p for name, p in module.vae.named_parameters() if "prior" not in name]
    own = [p for name, p in raw.named_parameters() if name.startswith("prior")]
    own_others = [p for name, p in raw.named_parameters() if not name.startswith("prior")]
    return list(zip([*own, *own_others], [*prior, *others], strict=True))


def library_noise(raw, x):
    """What the library draws from torch's generator, in the form in which the raw model takes it."""
    kind = type(raw).__name__
    if kind == "DisARM":  # a logistic variable, as the difference of two
        logits = torch.empty(len(x), len(raw.prior_logits), dtype=x.dtype)
        difference = gumbel_like(logits, logits.shape) - gumbel_like(logits, logits.shape)
        return (-difference).sigmoid()
    if kind in ("GumbelSoftmax", "RLOO"):
        lead = (raw.num_samples,) if kind == "RLOO" else ()
        return gumbel_like(x, (*lead, len(x), *raw.shape))
    return raw.noise(x)  # Gaussian


@pytest.mark.parametrize("name", NAMES)
def test_bound_and_gradient_are_the_librarys_under_equal_noise(models, name):
    MODELS, build = models
    torch.manual_seed(0)
    module, raw = build(MODELS[name].options).double(), MODELS[name].raw().double()
    with torch.no_grad():
        for own, other in pairs(raw, module):
            other.normal_(std=0.1)
            own.copy_(other)
    x = torch.rand(6, 1, 28, 28, dtype=torch.float64).round()
    torch.manual_seed(1)
    expected = module.bound(x).loss
    torch.manual_seed(1)
    flat = x.flatten(1)
    found = raw.loss(flat, library_noise(raw, flat))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)
    found.backward(), expected.backward()
    for own, other in pairs(raw, module):
        assert other.grad.abs().max() > 0
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_noise_has_the_law_that_the_loss_asks_for(models, name):
    """Compared with the distribution function at 9 points, each by a z-test."""
    MODELS, _ = models
    torch.manual_seed(2)
    raw = MODELS[name].raw()
    noise = raw.noise(torch.zeros(400, 784)).flatten()[:80000].double()
    assert noise.isfinite().all()
    p = torch.arange(1, 10, dtype=torch.float64) / 10
    kind = type(raw).__name__
    if kind in ("GumbelSoftmax", "RLOO"):
        at = -(-p.log()).log()
    elif kind == "DisARM":
        at = p
    else:
        at = math.sqrt(2) * torch.erfinv(2 * p - 1)
    below = (noise[:, None] < at).double().mean(0)
    z = (below - p) / (p * (1 - p) / len(noise)).sqrt()
    limit = math.sqrt(2) * torch.erfinv(torch.tensor(1 - FALSE_ALARM_RATE / 9).double())
    assert z.abs().max() < limit


def test_the_reference_needs_no_library(models):
    from benchmark import raw

    text = Path(raw.__file__).read_text(encoding="utf-8")
    imports = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    roots = {line.split()[1].partition(".")[0] for line in imports}
    assert roots <= {"__future__", "math", "abc", "collections", "itertools", "torch"}
