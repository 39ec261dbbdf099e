"""Every objective of the catalogue compiles to one graph, with the gradient it has without."""

import pytest
import torch
from torch.testing import assert_close

from vae.estimators import DisARM, LocalExpectation, Separately
from vae.models.bound import bound
from vae.models.catalogue import OBJECTIVES
from vae.models.composition import compose
from vae.models.latents.binary import Binary
from vae.objectives import ELBO


def check(model):
    x = torch.rand(6, 1, 8, 8).round()

    def gradients(function):
        torch.manual_seed(1)
        model.zero_grad()
        found = function(model.vae, model.objective, model.estimator, x)
        found.loss.backward()
        return found.bound.detach(), [p.grad for p in model.parameters() if p.grad is not None]

    expected = gradients(bound)
    torch._dynamo.reset()
    got = gradients(torch.compile(bound, backend="aot_eager", fullgraph=True))
    assert_close(got, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, part in OBJECTIVES.items() if not part.made.for_q_only])
def test_it_compiles(name):
    part = OBJECTIVES[name]
    torch.manual_seed(0)
    check(compose((1, 8, 8), objective=part.made(**part.options)))


@pytest.mark.slow
def test_two_estimators_compile():
    torch.manual_seed(0)
    objective = ELBO(2, analytic_kl=False)
    estimator = Separately(DisARM(), LocalExpectation())
    check(
        compose(
            (1, 8, 8),
            latent=lambda width: Binary(width, 4),
            objective=objective,
            estimator=estimator,
        )
    )
