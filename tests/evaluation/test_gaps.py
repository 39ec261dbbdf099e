"""The gap between log p(x) and the ELBO, and its parts, against closed forms and sums.

False alarms of the statistical comparisons: five standard errors, 6e-7 each.
"""

from functools import partial

import pytest
import torch
from every_part import FAMILIES, LATENTS
from known import Enumerated, linear_gaussian, small_binary, small_one_hot
from own_latents import SHAPE, BareLatent, toy
from test_exact import subject
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    Laplace,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    StudentT,
)

from vae import VAE
from vae.distributions.operations import parameters
from vae.estimators import ESTIMATORS
from vae.evaluation import best_posterior as optimisation
from vae.evaluation.best_posterior import MOST_OFF, best_posterior, free_parameters, score
from vae.evaluation.gaps import Gaps, inference_gaps
from vae.evaluation.relaxation import is_relaxed, relaxed_elbo
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.one_hot import OneHot
from vae.models.latents.relaxed_one_hot import RelaxedOneHot
from vae.models.likelihoods import Bernoulli
from vae.models.networks import MLPDecoder, MLPEncoder

QUICK = {"steps": 300, "scored": 1000, "temperatures": 0}
TOLERANCE = 0.02  # nats that 300 steps leave


@pytest.mark.parametrize(
    "shift, stretch, from_prior", [(1.0, 2.0, False), (0.0, 0.3, True), (0.0, 1.0, False)]
)
def test_the_gaps_of_a_linear_gaussian_model(shift, stretch, from_prior):
    vae = linear_gaussian(2, 3, 0.4, orthogonal=False, seed=1)
    _, x = vae.draw(20)
    vae.set_encoder(shift, stretch)
    found = inference_gaps(vae, x, **QUICK, from_prior=from_prior)
    assert (found.log_likelihood - vae.log_p(x)).abs().max() < 1e-4  # by quadrature
    for value, expected in (
        (found.log_likelihood - found.best, vae.approximation_gap().expand(20)),
        (found.best - found.elbo, vae.amortization_gap(x)),
    ):
        error = value - expected
        assert error.mean().abs() < TOLERANCE + 5 * error.std() / 20**0.5
    assert vae.approximation_gap() > 3 * TOLERANCE
    assert found.rising.mean() < 0.05


def test_where_q_is_exact_nothing_is_lost():
    vae = linear_gaussian(2, 6, 0.4)
    _, x = vae.draw(20)
    found = inference_gaps(vae, x, **QUICK, from_prior=False)
    torch.testing.assert_close(found.elbo, found.log_likelihood, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.best, found.log_likelihood, rtol=0, atol=0.01)


def best_factorised(truth: Enumerated, x: torch.Tensor) -> torch.Tensor:
    """The ELBO of the best factorised q, (B,): coordinate ascent from many starts."""
    joint = truth.log_joint(x)  # (S, B)
    z = truth.z.double().flatten(0, 0)
    z = z if z.dim() == 3 else torch.stack([1 - z, z], -1)  # (S, L, C)
    best = torch.full((x.shape[0],), -torch.inf).double()
    for start in range(10):
        generator = torch.Generator().manual_seed(start)
        q = torch.rand(len(x), *z.shape[1:], generator=generator).double()
        q = q / q.sum(-1, keepdim=True)
        for _ in range(30):
            for l in range(z.shape[1]):
                others = torch.einsum("slc,blc->sbl", z, q)
                others[..., l] = 1
                rest = others.prod(-1)  # (S, B)
                q[:, l] = torch.einsum("sb,sb,sc->bc", rest, joint, z[:, l]).softmax(-1)
        whole = torch.einsum("slc,blc->sbl", z, q).prod(-1)
        best = torch.maximum(best, (whole * joint - torch.special.xlogy(whole, whole)).sum(0))
    return best


# by sums, and by the score function
@pytest.mark.parametrize("make, most", [(small_one_hot, 64), (small_binary, 1)])
def test_the_gaps_of_a_discrete_model(make, most, monkeypatch):
    monkeypatch.setattr(optimisation, "MOST_ENUMERATED", most)
    vae = make()
    truth = Enumerated(vae)
    x = truth.images[::3]
    found = inference_gaps(vae, x, **QUICK, from_prior=True)
    best = best_factorised(truth, x)
    assert (best - truth.elbo(x)).mean() > 0.1 and (truth.log_p(x) - best).mean() > 0.01
    torch.testing.assert_close(found.log_likelihood, truth.log_p(x), rtol=0, atol=1e-4)
    error = found.best - best
    assert error.mean().abs() < TOLERANCE + 5 * error.std() / len(x) ** 0.5
    error = found.elbo - truth.elbo(x)
    assert error.mean().abs() < 5 * error.std() / len(x) ** 0.5


def of_digits(latent) -> VAE:
    torch.manual_seed(0)
    layer = latent(8)
    decoder = MLPDecoder(layer.code_features, (1, 8, 8), hidden=[8])
    return VAE(MLPEncoder((1, 8, 8), [8]), layer, Bernoulli(decoder)).eval()


class LaplaceLatent(DiagonalGaussian):
    """Of a family that the library does not know."""

    def forward(self, features):
        q = super().forward(features)
        return Independent(Laplace(q.mean, q.stddev), 1)


class HeavyTailed(DiagonalGaussian):
    """With a fixed number of degrees of freedom."""

    def forward(self, features):
        q = super().forward(features)
        return Independent(StudentT(5.0, q.mean, q.stddev), 1)


SMALL = {
    "laplace": partial(LaplaceLatent, latent_dim=3),
    "heavy": partial(HeavyTailed, latent_dim=3),
    "binary": partial(LATENTS["binary"], num_variables=8),
    "dirichlet": partial(FAMILIES["dirichlet"], num_variables=2, num_categories=3),
    "one_hot": partial(LATENTS["one_hot"], num_variables=3, num_categories=4),
    "relaxed_one_hot": partial(LATENTS["relaxed_one_hot"], num_variables=3, num_categories=4),
}


@pytest.mark.parametrize("name", [*LATENTS, *FAMILIES, "laplace", "heavy"])
def test_every_family_has_a_best_q(name):
    vae = of_digits(SMALL.get(name) or partial((LATENTS | FAMILIES)[name])).hard
    x = torch.rand(20, 1, 8, 8).round()
    best = best_posterior(vae, x, steps=60, num_samples=4, lr=0.2)
    rise = score(vae, x, best.q, 200).elbo - score(vae, x, vae.posterior(x), 200).elbo
    assert best.q.batch_shape == (20,) and rise.isfinite().all()
    assert rise.mean() > 0.05 and best.moved.any()
    free = free_parameters(vae.posterior(x))
    fixed = {n: v for n, v in parameters(vae.posterior(x)).items() if n not in free}
    assert set(fixed) == ({"df"} if name == "heavy" else set())
    for parameter, value in fixed.items():
        torch.testing.assert_close(parameters(best.q)[parameter], value)


def test_an_image_keeps_the_encoders_q_where_nothing_better_was_found():
    vae = linear_gaussian(2, 6, 0.4)
    _, x = vae.draw(20)
    best = best_posterior(vae, x, steps=4, lr=20.0)  # it jumps far away
    assert not best.moved.any()
    torch.testing.assert_close(parameters(best.q), parameters(vae.posterior(x)))


@pytest.mark.parametrize("most", [64, 1])
def test_a_q_at_a_vertex_is_left_by_the_prior(most, monkeypatch):
    # its samples are all the same: no gradient leads away from it
    monkeypatch.setattr(optimisation, "MOST_ENUMERATED", most)
    vae = small_one_hot()
    with torch.no_grad():
        vae.latent.logits.weight.zero_()
        vae.latent.logits.bias.view(3, 3)[:, 0] = 200.0
    x = Enumerated(vae).images[::9]
    assert not best_posterior(vae, x, steps=100, from_prior=False).moved.any() or most == 64
    found = inference_gaps(vae, x, **QUICK)
    assert (found.log_likelihood - found.best).mean() < 0.5
    assert (found.best - found.elbo).mean() > 1


def test_the_score_is_a_mean_and_a_bound_of_the_same_samples():
    vae = small_one_hot()
    truth = Enumerated(vae)
    x = truth.images[::9]
    torch.manual_seed(0)
    found = score(vae, x, vae.posterior(x), 20_000)
    z = (found.elbo - truth.elbo(x)) / found.variance.sqrt()
    assert z.abs().max() < 5 and z.square().mean() > 0.1
    torch.testing.assert_close(found.log_mean, truth.log_p(x), rtol=0, atol=0.1)
    single = score(vae, x, vae.posterior(x), 1)
    torch.testing.assert_close(single.elbo, single.log_mean)


# The part ------------------------------------------------------------------------------------


def ask(part, about, count=6):
    assert part.why_not(about) is None and part.seconds(about) > 0
    part.prepare(about)
    loader = about.data.loader(about.split, about.device, batch_size=count, limit=count)
    x = next(iter(loader.batches()))
    values, again = part.measure(about, x, 0), part.measure(about, x, 0)
    for name, value in values.items():
        assert len(value) == count and torch.equal(value, again[name]), name
    values = {name: value.double() for name, value in values.items()}
    return part.numbers(about, values), part.remarks(about, values)


FEW = {"steps": 40, "samples": 4, "scored": 100, "temperatures": 5, "chains": 2}


@pytest.mark.parametrize(
    "latent, source, bound",
    [
        (partial(DiagonalGaussian, latent_dim=3), "AIS", "lower bound"),
        (partial(DiagonalGaussian, latent_dim=1), "exact", "upper bound"),
        (partial(OneHot, num_variables=2, num_categories=3), "exact", "upper bound"),
    ],
)
def test_the_part_says_what_stands_for_log_p(latent, source, bound):
    numbers, (remark,) = ask(Gaps(**FEW), subject(of_digits(latent)))
    named = {number.name: number for number in numbers}
    assert list(named) == [
        *("inference_gap", "approximation_gap", "amortization_gap", "generalization_gap")
    ]
    approximation, amortization = named["approximation_gap"], named["amortization_gap"]
    assert approximation.labels["log p(x)"] == source
    assert approximation.bound == (
        "estimate" if approximation.warning and source == "AIS" else bound
    )
    assert amortization.bound == "lower bound" and amortization.se > 0
    whole = named["inference_gap"].value
    assert approximation.value + amortization.value == pytest.approx(whole)
    assert "amortisation" in remark and f"{whole:.2f}" in remark


def test_without_temperatures_the_proposal_is_q_star():
    about = subject(of_digits(partial(DiagonalGaussian, latent_dim=3)))
    numbers, _ = ask(Gaps(**FEW | {"temperatures": 0}), about)
    assert numbers[0].labels == {"log p(x)": "IWAE", "K": 100, "proposal": "q*"}


def test_a_q_that_is_still_rising_is_not_the_best():
    vae = of_digits(partial(DiagonalGaussian, latent_dim=3))
    with torch.no_grad():
        vae.latent.parameters_of.bias[:3] = 20.0
    numbers, _ = ask(Gaps(**FEW, from_prior=False), subject(vae))
    named = {number.name: number for number in numbers}
    assert "still rose" in named["amortization_gap"].warning
    assert named["approximation_gap"].bound == "estimate"


def test_a_bound_below_that_of_q_star_says_nothing():
    vae = of_digits(partial(DiagonalGaussian, latent_dim=3))
    with torch.no_grad():
        vae.latent.parameters_of.bias[:3] = 20.0  # from where few temperatures do not get away
    numbers, _ = ask(Gaps(**FEW), subject(vae))
    assert numbers[1].value < 0 and "more --gaps_temperatures" in numbers[1].warning
    assert "more --gaps_temperatures" in numbers[0].warning


def test_the_generalisation_gap_is_that_of_the_elbo():
    vae = of_digits(partial(DiagonalGaussian, latent_dim=2))
    about = subject(vae, limit=250)
    part = Gaps(**FEW)
    part.prepare(about)
    assert len(part.kept["trained_on"]) == len(part.kept["others"]) == 250
    number = part.numbers(about, {name: torch.zeros(2).double() for name in NAMES})[-1]
    loader = about.data.loader("train", about.device, batch_size=500, limit=250)
    x = next(iter(loader.batches()))
    elbo = score(vae, x, vae.posterior(x), 200).elbo
    assert (part.kept["trained_on"].mean() - elbo.mean()).abs() < 1
    difference = part.kept["trained_on"].mean() - part.kept["others"].mean()
    assert number.value == pytest.approx(difference.item(), abs=1e-4)
    spread = sum(part.kept[name].var() / 250 for name in ("trained_on", "others"))
    assert number.se == pytest.approx(spread.sqrt().item(), rel=1e-4)
    assert "250 train and 250 test" in number.labels["of"]


NAMES = ("log_likelihood", "best", "elbo", "rising", "change")


def test_images_trained_on_have_no_generalisation_gap():
    about = subject(of_digits(partial(DiagonalGaussian, latent_dim=2)))._replace(split="train")
    part = Gaps(**FEW)
    part.prepare(about)
    assert not part.kept


def test_an_estimator_that_relaxes_has_a_relaxation_gap_and_one_of_hard_samples_has_none():
    torch.manual_seed(0)
    known = small_one_hot()
    x = known.sample(8, draw=True)
    hard = score(known, x, known.posterior(x), 4000).elbo
    found = {}
    for temperature in (0.5, 1e-4):
        estimator = ESTIMATORS["gumbel_softmax"](temperature=temperature)
        assert is_relaxed(known, estimator)
        found[temperature] = relaxed_elbo(known, x, 4000, estimator)
    torch.testing.assert_close(found[1e-4], hard, atol=0.1, rtol=0)  # its samples are hard
    assert (found[0.5] - hard).abs().mean() > 0.1
    assert not is_relaxed(known, ESTIMATORS["rloo"]())
    assert not is_relaxed(known, None)


def test_the_relaxation_gap():
    vae = of_digits(partial(RelaxedOneHot, num_variables=2, num_categories=3))
    numbers, _ = ask(Gaps(**FEW), subject(vae))
    (number,) = [n for n in numbers if n.name == "relaxation_gap"]
    assert number.value != 0 and number.bound == "estimate"
    # the relaxed bound, by the density ratio of samples of one's own
    x = torch.rand(30, 1, 8, 8).round()
    q = vae.posterior(x)
    z = q.sample((3000,))
    with torch.no_grad():
        f = vae.decode(z).log_prob(x) + vae.prior().log_prob(z) - q.log_prob(z)
    error = (relaxed_elbo(vae, x, 3000) - f.double().mean(0)) / (
        2 * f.double().var(0) / 3000
    ).sqrt()
    assert error.abs().max() < 5.5


class Nameless(DiagonalGaussian):
    """A mixture: it names no parameters."""

    def forward(self, features) -> Distribution:
        q = super().forward(features)
        loc = torch.stack([q.mean, -q.mean], 1)
        components = Independent(Normal(loc, 1.0), 1)
        return MixtureSameFamily(Categorical(logits=torch.zeros(len(loc), 2)), components)


def test_of_an_impossible_image_nothing_is_said():
    values = dict.fromkeys(("log_likelihood", "best", "elbo"), torch.zeros(3).double())
    about = subject(of_digits(partial(DiagonalGaussian, latent_dim=3)))
    assert Gaps().remarks(about, values)
    values["elbo"] = torch.tensor([0.0, -torch.inf, 0.0]).double()
    assert not Gaps().remarks(about, values)


def test_a_family_without_names_says_so():
    about = subject(of_digits(partial(Nameless, latent_dim=3)))
    assert "names no parameters to optimise" in Gaps().why_not(about)
    with pytest.raises(NotImplementedError, match="Bare, 1. names no parameters to optimise"):
        free_parameters(toy(BareLatent).posterior(torch.zeros(2, *SHAPE)))


@pytest.mark.parametrize(
    "options", [{"steps": 3}, {"samples": 1}, {"scored": 1}, {"temperatures": -1}, {"batch": 0}]
)
def test_numbers_too_small_are_refused(options):
    with pytest.raises(ValueError, match=f"gaps_{next(iter(options))} must be at least"):
        Gaps(**options)


def test_a_covariance_that_has_lost_its_digits_is_no_better_posterior():
    """Its density at its own samples is off by any number, and so is its bound."""
    vae = linear_gaussian(3, 10, 0.5, orthogonal=False)
    _, x = vae.draw(4)
    loc = torch.zeros(4, 3)
    factor = torch.eye(3).expand(4, 3, 3)
    good = MultivariateNormal(loc, scale_tril=factor, validate_args=False)
    broken = torch.tensor([[1e-3, 0, 0], [1.0, 1e-7, 0], [1.0, 1.0, 1e-7]]).expand(4, 3, 3)
    bad = MultivariateNormal(loc + 1, scale_tril=broken, validate_args=False)
    torch.manual_seed(0)
    assert (score(vae, x, good, 200).off < MOST_OFF).all()
    assert (score(vae, x, bad, 200).off > MOST_OFF).all()
