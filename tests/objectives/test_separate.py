"""Separate: q follows one objective, the model another, and neither the other's."""

import pytest
import torch
from test_objectives import images, model
from torch.testing import assert_close

from vae.estimators import RLOO, Enumerate, GeneralizedDReG, Pathwise, named
from vae.models.bound import bound
from vae.models.composition import compose
from vae.objectives import CUBO, ELBO, IWAE, MIWAE, PIWAE, Renyi, Separate


def exact(vae, objective, x):
    """The gradient of E[R] in all parameters, by enumeration, by name."""
    vae.zero_grad()
    bound(vae, objective, Enumerate(), x).loss.backward()
    return {
        n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in vae.named_parameters()
    }


def is_of_q(name):
    return not name.startswith("likelihood") and "prior" not in name


PAIRS = [
    (CUBO(2), ELBO(1)),
    (MIWAE(2, 1), IWAE(2)),
    (ELBO(1, beta=3.0), IWAE(2)),  # both have a closed-form KL, or one has
    (Renyi(2, 0.5), ELBO(2, beta=0.5)),
]


@pytest.mark.parametrize("for_q, for_model", PAIRS, ids=str)
def test_each_follows_its_own(for_q, for_model):
    """q's gradient exactly; the model's in the mean of 20,000 images that are one."""
    vae, x = model("binary"), images(1)
    torch.manual_seed(0)
    of_q, of_model = exact(vae, for_q, x), exact(vae, for_model, x)
    wanted = {n: of_q[n] if is_of_q(n) else of_model[n] for n in of_q}
    found, rounds = {}, 60
    for _ in range(rounds):
        vae.zero_grad()
        bound(
            vae, Separate(for_q, for_model), Enumerate(), x.expand(400, *x.shape[1:])
        ).loss.backward()
        for name, p in vae.named_parameters():
            found.setdefault(name, []).append(p.grad.clone())
    for name, values in found.items():
        mean = torch.stack(values).mean(0)
        if is_of_q(name):
            assert_close(mean, wanted[name])
        else:
            error = torch.stack(values).std(0) / rounds**0.5
            z = (mean - wanted[name]) / error.clamp_min(1e-12)
            assert z.abs().max() < 6, (name, z)  # t of 60 rounds, 20 coordinates: 1e-5


def test_the_value_is_the_models():
    vae, x = model("gaussian"), images(5_000)
    torch.manual_seed(0)
    separate = bound(vae, Separate(CUBO(3), ELBO(2)), Pathwise(), x).bound
    plain = bound(vae, ELBO(2), Pathwise(), x).bound
    z = (separate.mean() - plain.mean()) / ((separate.var() + plain.var()) / 5_000).sqrt()
    assert abs(z) < 5 and separate.shape == (5_000,)


def test_piwae_is_two_of_them():
    objective = PIWAE(6, 3)
    assert isinstance(objective.for_q, MIWAE) and isinstance(objective.for_model, IWAE)
    assert objective.for_q.groups == 3 and objective.num_samples == 12
    assert objective.bounds == "a lower bound of log p(x); q is trained by MIWAE instead"


def test_a_schedule_finds_the_buffers_of_either():
    names = [n for n, _ in Separate(ELBO(beta=2.0), ELBO()).named_buffers()]
    assert names == ["for_q.beta", "for_model.beta"]


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="CUBO trains q only"):
        Separate(ELBO(), CUBO())
    with pytest.raises(ValueError, match="is two objectives itself"):
        Separate(Separate(CUBO(), ELBO()), ELBO())
    with pytest.raises(ValueError, match="CUBO trains q only.*use vae.Separate with for_q"):
        compose((1, 8, 8), objective=CUBO())
    with pytest.raises(NotImplementedError, match="RLOO is not defined for CUBO"):
        bound(model("binary"), Separate(CUBO(), ELBO()), RLOO(), images(2))
    with pytest.raises(
        NotImplementedError,
        match="GeneralizedDReG trains the prior too.*the prior follows for_model",
    ):
        estimator = GeneralizedDReG()
        vae = model("gaussian")
        estimator.bind(vae)
        bound(vae, Separate(IWAE(3), IWAE(3)), estimator, images(2))


@pytest.mark.parametrize(
    "latent, name",
    [
        ("gaussian", "dreg"),
        ("gaussian", "reinforce"),
        ("binary", "enumerate"),
        ("one_hot", "rebar"),
    ],
)
def test_other_estimators(latent, name):
    vae, x = model(latent), images(3)
    bound(vae, Separate(CUBO(2), IWAE(3)), named(name), x).loss.backward()
    assert all(p.grad.isfinite().all() for p in vae.parameters() if p.grad is not None)
