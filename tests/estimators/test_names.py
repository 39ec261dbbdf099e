"""Estimators by name: options are checked like those of the command line, in one line."""

import pytest
import torch
from torch.distributions import Independent, Normal

from vae.certify import ExampleModel, example
from vae.estimators import ESTIMATORS, Estimator, GeneralizedDReG, accepts, named
from vae.objectives import IWAE
from vae.training.presets import GaussianVAE


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_name_gives_an_estimator(name):
    assert isinstance(named(name), Estimator)


def test_options_reach_the_constructor():
    made = named("nvil", {"hidden": 7, "centre": True})
    assert made.baseline.net[-1].in_features == 7 and made.baseline.centre is not None
    assert named("nvil", {"hidden": "7"}).baseline.net[-1].in_features == 7
    assert named("muprop", {"hidden": None}).baseline is not None


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("foo", None, "unknown estimator 'foo': choose from pathwise, stl, dreg"),
        ("nvil", {"hiden": 3}, "nvil has no option 'hiden': it takes hidden, centre, scale"),
        ("rloo", {"a": 1}, "rloo has no option 'a': it takes none"),
        ("nvil", {3: 1}, "nvil has no option 3: it takes"),
        ("nvil", {"hidden": "x"}, "nvil: hidden must be int, got 'x'"),
        ("nvil", {"hidden": 1.5}, "nvil: hidden must be int, got 1.5"),
        ("nvil", {"hidden": True}, "nvil: hidden must be int, got True"),
        ("nvil", {"hidden": None}, "nvil: hidden must be int, got None"),
        ("nvil", {"scale": 2}, "nvil: scale must be bool, got 2"),
        ("muprop", {"hidden": "a"}, "muprop: hidden must be int or None, got 'a'"),
        ("nvil", {"hidden": -1}, "nvil: hidden must be at least 1, got -1"),
        ("relax", {"hidden": 10**30}, "relax: hidden must be less than 2"),
        ("gumbel_rao", {"num_inner": 0}, "gumbel_rao: num_inner must be at least 1, got 0"),
        ("ovis_mc", {"auxiliary_samples": 0}, "ovis_mc: auxiliary_samples must be at least 1"),
        ("reinmax_rao", {"num_inner": 0}, "reinmax_rao: num_inner must be at least 1, got 0"),
        ("reinmax_cv", {"eta": float("inf")}, "reinmax_cv: eta must be finite, got inf"),
        ("foust", {"low": 1.0}, "foust: low must be in .0, 1., got 1.0: at 1 it is ReinMax"),
        ("foust", {"low": float("nan")}, "foust: low must be in .0, 1., got nan"),
        (
            "decoupled_st_gumbel",
            {"forward_temperature": 1.0},
            "forward_temperature 1 is st_gumbel: use that",
        ),
        (
            "decoupled_st_gumbel",
            {"forward_temperature": 0.0},
            "forward_temperature must be positive and finite, got 0",
        ),
        ("gst", {"gap": float("inf")}, "gst: gap must be finite, got inf"),
        ("gst", {"gap": -1.0}, "gst: gap must not be negative, got -1"),
        ("rebar", {"eta": float("nan")}, "rebar: eta must be finite, got nan"),
        ("rebar", {"temperature": 0}, "rebar: temperature must be positive and finite, got 0"),
        ("double_cv", {"alpha": float("inf")}, "double_cv: alpha must be finite, got inf"),
        ("ovis", {"gamma": 2.0}, "ovis: gamma must be in .0, 1., got 2.0"),
        ("reinforce_moving_average", {"decay": 1.0}, "decay must be in .0, 1., got 1.0"),
    ],
)
def test_a_bad_option_is_one_line(name, options, message):
    with pytest.raises(ValueError, match=message) as error:
        named(name, options)
    assert "\n" not in str(error.value)


def test_a_function_cannot_be_named_in_options():
    """It would be imported, from a checkpoint too."""
    with pytest.raises(ValueError, match="gdreg has no option 'prior': it takes none"):
        named("gdreg", {"prior": "os.getcwd"})


def test_what_a_name_accepts():
    assert accepts("gumbel_rao", "num_inner") and not accepts("rloo", "temperature")
    with pytest.raises(ValueError, match="unknown estimator 'foo'"):
        accepts("foo", "temperature")


# The model's prior -----------------------------------------------------------------------------


def test_an_estimator_that_uses_the_prior_takes_that_of_its_model():
    module = GaussianVAE(
        2, learned_prior=True, estimator="gdreg", objective="iwae", image_shape=(1, 4, 4)
    )
    assert module.estimator.prior().base_dist.loc is module.vae.latent.prior_loc
    assert "latent.prior_loc" not in module.estimator.state_dict()  # it is the model's


def test_a_prior_that_is_given_stays():
    own = Independent(Normal(torch.ones(1), 1.0), 1)
    estimator = GeneralizedDReG(lambda: own)
    estimator.bind(ExampleModel())
    assert estimator.prior() is own


def test_without_a_prior_it_says_what_to_do():
    q = ExampleModel().posterior(torch.zeros(3, 1))
    with pytest.raises(ValueError, match="GeneralizedDReG needs a prior: give it one, or bind"):
        GeneralizedDReG()(q, lambda z, q: z.sum(-1), IWAE(2))
    example("gdreg")(q, lambda z, q: z.sum(-1), IWAE(2))
