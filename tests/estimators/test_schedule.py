"""Estimators that take turns: who serves when, what is claimed, and that a stop changes nothing.

The certification is seeded, at a false-alarm rate of 1e-6.
"""

import pytest
import torch
from lightning.pytorch import Callback
from small import SMALL, fit, logged
from torch.testing import assert_close

import vae.training.whole
from vae.certify import OBJECTIVES, assert_claims, bernoulli_problem, one_hot_problem
from vae.certify.exact import gradients
from vae.estimators import RLOO, EstimatorSchedule, Separately, named
from vae.models.composition import compose
from vae.models.latents.one_hot import OneHot
from vae.models.schedules import fill
from vae.objectives import ELBO, IWAE
from vae.run.folder import new_run
from vae.training.presets import DiscreteVAE

THREE = ["reinmax", "nvil", "rloo"]


def module(steps=(13, 27), **options):
    torch.manual_seed(0)
    schedule = EstimatorSchedule(THREE, list(steps))
    sizes = {"num_variables": 3, "num_categories": 4, "num_samples": 2}
    return DiscreteVAE(estimator=schedule, **sizes, **SMALL, **options)


def test_each_serves_until_the_next_takes_over():
    schedule = EstimatorSchedule(THREE, [2, 5])
    served = []
    for step in range(7):
        schedule.at_step(step)
        served.append((schedule.turn, int(schedule.phase)))
    assert served == [(0, 0), (0, 0), (1, 1), (1, 1), (1, 1), (2, 2), (2, 2)]
    schedule.at_step(0)  # it follows from the step alone
    assert schedule.turn == 0


def test_it_claims_what_the_one_that_serves_claims():
    schedule = EstimatorSchedule(["reinmax", "disarm_tree"], [1])
    assert schedule.bias and schedule.exact_for == "quadratic" and schedule.needs_gradient
    assert schedule.cost(3, 2, 3) == 3
    schedule.at_step(1)
    assert schedule.bias is None and schedule.exact_for is None and not schedule.needs_gradient
    assert schedule.cost(3, 2, 3) == named("disarm_tree").cost(3, 2, 3) == 6


@pytest.mark.parametrize("step", [0, 5])
def test_it_is_certified_in_every_turn(step):
    torch.manual_seed(0)
    schedule = EstimatorSchedule(["rloo", "disarm"], [5])
    schedule.at_step(step)
    problems = {"bernoulli": bernoulli_problem()}
    assert_claims(schedule, 20_000, problems=problems, objectives={"elbo2": OBJECTIVES["elbo2"]})


@pytest.mark.parametrize("turn", range(3))
def test_its_gradient_is_that_of_the_one_that_serves(turn):
    schedule, problem = EstimatorSchedule(THREE, [2, 5]), one_hot_problem()
    schedule.at_step([0, 2, 5][turn])
    found = []
    for estimator in (schedule.double().eval(), schedule.turns[turn]):
        gradients(estimator, problem, ELBO(2), 2)  # gives lazy layers their shape
        torch.manual_seed(1)
        found.append(gradients(estimator, problem, ELBO(2), 50))
    for one, other in zip(*found, strict=True):
        assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("estimators", "steps", "message"),
    [
        (["rloo"], [], "takes a list of two estimators or more"),
        ("rloo", [1], "takes a list of two estimators or more"),
        (["reinmax", "rloo"], [], "2 estimators take over at 1 steps, got 0"),
        (THREE, [5, 5], "steps must rise, from 1 on, got .5, 5."),
        (["reinmax", "rloo"], [0], "steps must rise, from 1 on, got .0."),
        (["reinmax", "foo"], [1], "unknown estimator 'foo'"),
        (["rloo", "rloo"], [1], "RLOO takes over from itself: leave it out"),
        (["rloo", RLOO()], [1], "RLOO takes over from itself: leave it out"),
        ([named("reinmax"), named("reinmax")], [1], "takes over from itself"),
    ],
)
def test_what_does_not_switch_is_refused_in_one_line(estimators, steps, message):
    with pytest.raises(ValueError, match=message) as error:
        EstimatorSchedule(estimators, steps)
    assert "\n" not in str(error.value)


def test_one_with_another_temperature_may_follow():
    EstimatorSchedule([named("reinmax"), named("reinmax", {"temperature": 1.5})], [3])


def test_all_must_suit_the_model_before_it_is_trained():
    latent = lambda width: OneHot(width, 3, 4)
    schedule = lambda second: EstimatorSchedule(["reinmax", second], [10**6])
    said = "EstimatorSchedule.Pathwise.ReinMax., RLOO from step 1,000,000.: RLOO needs num_samples"
    with pytest.raises(ValueError, match=said):
        compose((1, 8, 8), latent=latent, estimator=schedule("rloo"), objective=ELBO(1))
    with pytest.raises(NotImplementedError, match="DisARM is not defined for"):
        compose((1, 8, 8), latent=latent, estimator=schedule("disarm"), objective=ELBO(2))
    with pytest.raises(NotImplementedError, match="RLOO is not defined for IWAE"):
        compose((1, 8, 8), latent=latent, estimator=schedule("rloo"), objective=IWAE(2))


def test_capture_is_refused_in_one_line():
    with pytest.raises(
        ValueError, match="capture records one step, and EstimatorSchedule changes"
    ):
        module(capture=True)
    within = Separately(EstimatorSchedule(["reinmax", "rloo"], [3]), RLOO())
    with pytest.raises(ValueError, match="capture records one step, and EstimatorSchedule"):
        DiscreteVAE(estimator=within, kl="monte_carlo", num_samples=2, capture=True, **SMALL)


def test_weights_that_are_loaded_say_whose_turn_it_is():
    schedule = EstimatorSchedule(["reinmax", "rloo"], [3])
    fill(schedule, {}, 3)
    other = EstimatorSchedule(["reinmax", "rloo"], [3])
    other.load_state_dict(schedule.state_dict())
    assert other.turn == 1 and other.bias is None


# In training -----------------------------------------------------------------------------------


STOPS = (8, 13, 20, 27, 33)


class Save(Callback):
    """Keeps a checkpoint of each step at which a run may be killed."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_batch_end(self, trainer, *arguments):
        if trainer.global_step in STOPS:
            trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    trained = module()
    fit(trained, folder, callbacks=[Save(folder)])
    return trained.state_dict(), logged(folder), folder


def test_the_turn_is_logged(whole):
    turns = {row["step"]: row["schedule/phase"] for row in whole[1] if "train/bound" in row}
    assert turns == {4: 0, 9: 0, 14: 1, 19: 1, 24: 1, 29: 2, 34: 2, 39: 2}


@pytest.mark.parametrize("stop", STOPS)
def test_a_training_killed_in_any_turn_goes_on_as_if_it_had_not_been(whole, stop):
    again = module()
    fit(again, new_run("again"), ckpt_path=whole[2] / f"{stop}.ckpt")
    for name, value in again.state_dict().items():
        assert torch.equal(value, whole[0][name]), name


def test_a_step_that_is_one_graph_switches_too(whole, monkeypatch, capsys):
    monkeypatch.setattr(vae.training.whole, "compiled", lambda graph: torch.no_grad()(graph))
    trained = module(compile="step")
    fit(trained, new_run("graph"))
    assert "cannot be one graph" not in capsys.readouterr().err
    for name, value in trained.state_dict().items():
        assert_close(value, whole[0][name], rtol=1e-4, atol=1e-4, msg=name)
