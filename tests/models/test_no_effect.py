"""Every estimator, bound, form of the KL and option changes something: what trains alike at one
seed is listed with its reason, or refused.

Each configuration takes three steps of gradient descent in float64, baselines and control variates
included, and is compared with every other of its model by the model's weights: to 1e-9, since
other orders of the same sum differ in their last digits. No statistics: one seed, one draw.
"""

import itertools
from collections.abc import Iterator
from inspect import signature
from typing import NamedTuple

import pytest
import torch
from subset_models import SUBSETS

from vae import ELBO
from vae.estimators import ESTIMATORS, StickingTheLanding, accepts
from vae.models.load import rebuild
from vae.models.no_effect import refuse, tolerated
from vae.training.presets import ContinuousVAE, DiscreteVAE, GaussianVAE

SMALL = {"image_shape": (1, 3, 3), "hidden": [5], "test_samples": 2}
MODELS = {
    "gaussian": (GaussianVAE, {"latent_dim": 2}),
    "gaussian, learned prior": (GaussianVAE, {"latent_dim": 2, "learned_prior": True}),
    "binary": (DiscreteVAE, {"latent": "binary", "num_variables": 3}),
    "one_hot": (DiscreteVAE, {"num_variables": 2, "num_categories": 3}),
    "two categories": (DiscreteVAE, {"num_variables": 2, "num_categories": 2}),
    "relaxed": (DiscreteVAE, {"num_variables": 2, "num_categories": 3, "kl": "relaxed"}),
    **{
        name: (ContinuousVAE, {"latent": name, "latent_options": {"num_variables": 2}})
        for name in ("gamma", "dirichlet", "von_mises", "poisson")
    },
}
MODELS |= {name: (make, {}) for name, make in SUBSETS.items()}
OPTIONS = {
    "imle": {"step": 0.3},
    "gumbel_rao": {"num_inner": 1},
    "gst": {"gap": 0.0},
    "reinforce_moving_average": {"decay": 0.5},
    "nvil": {"hidden": 7, "centre": True, "scale": True},
    "muprop": {"hidden": 7, "centre": True, "scale": True},
    "relax": {"hidden": 7, "eta": 0.5, "relax_f": False},
    "rebar": {"eta": 0.5},
    "double_cv": {"alpha": 0.0},
    "rodeo": {"hidden": 7},
    "sum_and_sample": {"summed": 1},
    "defensive_wake_wake": {"delta": 0.5},
    "decoupled_st_gumbel": {"forward_temperature": 0.3},
    "foust": {"low": 0.6},
    "per_layer": {"layers": ["reinforce", "rloo"]},
    "reinmax_rao": {"num_inner": 1},
    "reinmax_cv": {"num_inner": 1, "eta": 0.3, "free": True},
    "ovis": {"gamma": 1.0},
    "ovis_mc": {"auxiliary_samples": 3},
}
"""A second value of every option; of ``temperature``, which is given as the model's, 0.3."""


class Case(NamedTuple):
    """A configuration of one model."""

    estimator: str
    option: str
    bound: str
    K: int


def cases(model: str, counts: tuple[int, ...]) -> Iterator[tuple[Case, dict]]:
    """Every configuration that is not refused."""
    make, own = MODELS[model]
    forms = ["categorical" if make is DiscreteVAE else "analytic", "monte_carlo"]
    bounds = [("elbo", {"kl": kl}) for kl in forms] + [("iwae", {})]
    if "kl" in own:  # the relaxed model has one form only
        bounds = [("elbo", {}), ("iwae", {})]
    for name, (objective, kl), K in itertools.product(ESTIMATORS, bounds, counts):
        second = [{k: v} for k, v in OPTIONS.get(name, {}).items()]
        if (make is DiscreteVAE or model in SUBSETS) and accepts(name, "temperature"):
            second.append({"temperature": 0.3})
        for given in [{}, *second]:
            form = "" if objective == "iwae" else kl.get("kl", "monte_carlo")
            case = Case(name, "".join(given), f"{objective} {form}".strip(), K)
            own_options = {k: v for k, v in given.items() if k != "temperature"}
            options = {"estimator": name, "estimator_options": own_options, "num_samples": K}
            if "temperature" in given:
                options["temperature"] = given["temperature"]
            yield case, options | {"objective": objective} | kl


def weights(model: str, options: dict) -> torch.Tensor | None:
    """Of the model after three steps; None where the configuration is refused."""
    make, own = MODELS[model]
    torch.manual_seed(0)
    try:
        module = make(**own, **options, **SMALL).double()
    except (NotImplementedError, ValueError):
        return None
    for p in module.vae.parameters():  # away from q = prior
        p.data += 0.3 * torch.randn_like(p)
    x = torch.bernoulli(torch.full((3, 1, 3, 3), 0.4)).double()
    for step in range(3):
        torch.manual_seed(step)
        estimate = module.bound(x)
        module.zero_grad()
        estimate.loss.backward()
        for p in module.parameters():
            if p.grad is not None:
                p.data -= 0.01 * p.grad.clamp(-10, 10)
    return torch.cat([p.detach().flatten() for p in module.vae.parameters()])


EXACT = {"muprop", "local_expectation", "measure_valued", "unordered_set", "enumerate"}
"""Exact for the KL's part of f, or for f."""


def as_elbo(case: Case) -> Case:
    """IWAE of one sample is the ELBO with a Monte-Carlo KL (Burda et al., 2016): the first of a
    series in K. There DReG is sticking the landing."""
    if case.K > 1 or case.bound != "iwae":
        return case
    name = "stl" if case.estimator == "dreg" else case.estimator
    return case._replace(bound="elbo monte_carlo", estimator=name)


def reason(model: str, a: Case, b: Case) -> str:
    """Why two configurations that train alike are both offered; empty if there is no reason."""
    a, b = as_elbo(a), as_elbo(b)
    names, elbo = {a.estimator, b.estimator}, "iwae" not in {a.bound, b.bound}
    if a == b:
        return "IWAE of one sample is the ELBO"
    if a._replace(option="") == b._replace(option="") and {a.option, b.option} == {"", "scale"}:
        return "scale divides by max(1, the signal's spread), which is below 1 for so small an f"
    if a.K == b.K and names == {"disarm_sb", "disarm_tree"} and model == "two categories":
        return "two categories have one tree" if a.bound == b.bound else ""
    if (
        names <= {"enumerate", "unordered_set"}
        and elbo
        and max(a.K, b.K) > 1
        and "enumerate" in names
    ):
        return "a mean of K has one expectation, which both give exactly"
    if a.K == b.K and names == {"disarm", "ugc"} and a.bound == b.bound:
        return "ugc is DisARM while no probability is within 1 / (2 D) of 0 or 1"
    if a.K == b.K and names == {"measure_valued", "local_expectation"} and model == "binary":
        if elbo or a.bound == b.bound:
            return "two papers' names for the one derivative of a Bernoulli variable"
    if a.K == b.K and len(names) == 1 and names <= EXACT and elbo:
        return "exact for the KL, closed-form or not: the noise of the logged bound differs alone"
    return ""


def assert_all_have_a_reason(model: str, counts: tuple[int, ...]) -> None:
    found = [(case, weights(model, options)) for case, options in cases(model, counts)]
    found = [(case, w) for case, w in found if w is not None]
    assert len(found) > 20
    for (a, first), (b, second) in itertools.combinations(found, 2):
        same = torch.allclose(first, second, rtol=1e-9, atol=1e-12)
        assert not same or reason(model, a, b), f"{model}: {a} and {b} train alike"


def test_every_option_is_tried():
    for name in ESTIMATORS:
        no_options = {"temperature", "prior", "args", "kwargs"}  # the last two are torch's
        taken = set(signature(ESTIMATORS[name]).parameters) - no_options
        assert set(OPTIONS.get(name, {})) == taken


@pytest.mark.e2e
@pytest.mark.parametrize(
    "model, K", [("gaussian", 1), ("gaussian, learned prior", 2), ("binary", 2), ("one_hot", 2)]
)
def test_what_trains_alike_has_a_reason(model, K):
    assert_all_have_a_reason(model, (K,))


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_what_trains_alike_has_a_reason_in_every_family(model):
    assert_all_have_a_reason(model, (1, 2, 4))


# What is refused --------------------------------------------------------------------------------

CONTINUOUS = {"latent_dim": 2, **SMALL}
DISCRETE = {"num_variables": 2, "num_categories": 3, **SMALL}
REFUSED = {
    "stl, closed-form KL": (
        lambda **o: GaussianVAE(estimator="stl", **o, **CONTINUOUS),
        {"kl": "monte_carlo"},
        "StickingTheLanding is pathwise here, bit for bit: .* set --model.kl monte_carlo",
    ),
    "stl, closed-form KL of Gamma": (
        lambda **o: ContinuousVAE(latent="gamma", estimator="stl", **o, **SMALL),
        {"kl": "monte_carlo"},
        "set --model.kl monte_carlo, or use pathwise",
    ),
    "gdreg, fixed prior": (
        lambda **o: GaussianVAE(
            estimator="gdreg", objective="iwae", num_samples=2, **o, **CONTINUOUS
        ),
        {"learned_prior": True},
        "GeneralizedDReG is dreg here, bit for bit: .* set --model.learned_prior true",
    ),
    "iwae, form of the KL": (
        lambda kl="monte_carlo": GaussianVAE(objective="iwae", kl=kl, **CONTINUOUS),
        {"kl": "analytic"},
        "objective iwae has log p.z. - log q.z. in it anyway: leave out kl",
    ),
    "iwae, form of the KL of discrete latents": (
        lambda kl="monte_carlo": DiscreteVAE(objective="iwae", kl=kl, **DISCRETE),
        {"kl": "relaxed"},
        "leave out kl",
    ),
    "beta 0, warm-up": (
        lambda beta=0.0: GaussianVAE(beta=beta, beta_warmup=10, **CONTINUOUS),
        {"beta": 0.1},
        "at beta 0 there is no KL term: leave out beta_warmup",
    ),
    "beta 0, prior": (
        lambda beta=0.0: DiscreteVAE(beta=beta, learned_prior=True, **DISCRETE),
        {"beta": 0.1},
        "at beta 0 there is no KL term: leave out learned_prior",
    ),
    "beta 0, form of the KL": (
        lambda beta=0.0: GaussianVAE(beta=beta, kl="monte_carlo", **CONTINUOUS),
        {"beta": 0.1},
        "at beta 0 there is no KL term: leave out kl",
    ),
    "rebar, annealing": (
        lambda estimator="rebar": DiscreteVAE(
            estimator=estimator, temperature_min=0.2, anneal_rate=0.1, **DISCRETE
        ),
        {"estimator": "st_gumbel"},
        "rebar trains its temperature: leave out temperature_min, anneal_rate",
    ),
    "annealing at rate 0": (
        lambda anneal_rate=0.0: DiscreteVAE(
            temperature_min=0.2, anneal_every=9, anneal_rate=anneal_rate, **DISCRETE
        ),
        {"anneal_rate": 0.1},
        "anneal_rate 0 keeps the temperature fixed: leave out temperature_min, anneal_every",
    ),
    "annealing from the minimum": (
        lambda **o: DiscreteVAE(temperature=0.4, anneal_rate=0.1, **o, **DISCRETE),
        {"temperature_min": 0.3},
        "starts at its minimum, 0.4: set a lower temperature_min, or leave out anneal_rate",
    ),
    "activation of no layers": (
        lambda **o: GaussianVAE(activation="tanh", **{**CONTINUOUS, "hidden": [], **o}),
        {"hidden": [3]},
        "no hidden layers to have an activation",
    ),
}
"""What is refused, what makes it accepted, and the one line that is said."""


@pytest.mark.parametrize("name", REFUSED)
def test_an_option_without_effect_is_refused_in_one_line(name):
    make, mended, words = REFUSED[name]
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)
    make(**mended)


def test_a_checkpoint_with_such_options_is_still_read():
    with tolerated():
        old = GaussianVAE(estimator="stl", **CONTINUOUS)
    contents = {"vae": old.names(), "state_dict": old.state_dict()}
    assert isinstance(rebuild(contents, "x.ckpt").estimator, StickingTheLanding)
    contents["vae"]["parts"] = None  # of an older version
    assert isinstance(rebuild(contents, "x.ckpt").estimator, StickingTheLanding)
    with pytest.raises(ValueError, match="still refused"):
        refuse("still refused")


def test_the_twins_are_equal_bit_for_bit():
    """What is refused is nothing but the other: under a closed-form KL, and a fixed prior."""
    for name, twin, options in (
        ("stl", "pathwise", {"objective": "elbo", "kl": "analytic", "num_samples": 2}),
        ("gdreg", "dreg", {"objective": "iwae", "num_samples": 2}),
    ):
        with tolerated():
            own, other = (weights("gaussian", options | {"estimator": n}) for n in (name, twin))
        assert torch.equal(own, other)
    assert ELBO(analytic_kl=False).holds_log_q and not ELBO().holds_log_q
