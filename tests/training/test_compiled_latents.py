"""The continuous families and mixtures, each compiled as one graph: the same loss and gradient."""

import pytest
import torch

from vae.models.catalogue import LATENTS
from vae.models.composition import compose
from vae.objectives import ELBO

NAMES = [
    "full_gaussian",
    "laplace",
    "logistic_normal",
    "kumaraswamy",
    "power_spherical",
    "gaussian_mixture",
    "misvae",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_step_is_the_same(name):
    torch._dynamo.reset()
    part, closed = LATENTS[name], name not in ("gaussian_mixture", "misvae")
    objective = ELBO(2, analytic_kl=closed)
    model = compose(
        (1, 8, 8), latent=part.factory(), objective=objective, estimator=part.estimator
    )
    x, found = (torch.rand(5, 1, 8, 8) < 0.3).float(), []
    step = torch.compile(lambda x: model.bound(x).loss, fullgraph=True, backend="aot_eager")
    for each in (lambda x: model.bound(x).loss, step):
        torch.manual_seed(1)
        model.zero_grad()
        loss = each(x)
        loss.backward()
        grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        found.append((loss.detach(), *grads))
    for eager, compiled in zip(*found, strict=True):
        torch.testing.assert_close(eager, compiled, rtol=1e-4, atol=1e-5)
