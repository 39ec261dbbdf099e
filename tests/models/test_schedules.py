"""Schedules: values by hand, when they are over, and which buffers they fill and log."""

import math

import pytest
import torch

from vae.models.composition import compose
from vae.models.schedules import (
    Cyclical,
    LinearWarmup,
    SigmoidWarmup,
    fill,
    scheduled,
)
from vae.objectives import ELBO, Capacity, FreeBits, Separate


def test_cycles_are_those_of_the_paper():
    # Fu et al.: tau = mod(t - 1, T / M) / (T / M), t from 1; min(tau / R, 1)
    T, M, R = 400, 4, 0.5
    cycles = Cyclical(T, M, R, end=2.0)
    for step in range(T):
        tau = (step % (T // M)) / (T / M)
        assert math.isclose(cycles(step), 2.0 * min(tau / R, 1.0)), step
    assert cycles(T) == cycles(10 * T) == 2.0
    assert cycles(99) == 2.0 and not cycles.is_over(99)  # final, and yet to fall
    assert cycles(100) == 0.0
    assert not cycles.is_over(399) and cycles.is_over(400)


def test_cycles_that_do_not_divide_the_steps():
    cycles = Cyclical(10, 3)
    values = [cycles(step) for step in range(12)]
    assert values.count(0.0) == 3 and values[-2:] == [1.0, 1.0]
    assert all(0 <= v <= 1 for v in values)


def test_a_sigmoid_by_hand():
    rise = SigmoidWarmup(100, end=3.0, steepness=8.0)
    assert rise(50) == 1.5
    assert math.isclose(rise(0), 3 / (1 + math.exp(4))) and math.isclose(
        rise(25), 3 / (1 + math.e**2)
    )
    assert rise(100) == rise(10**9) == 3.0 and rise.is_over(100) and not rise.is_over(99)
    values = [rise(step) for step in range(101)]
    assert values == sorted(values)
    shaped = Cyclical(100, 1, 1.0, end=3.0, shape="sigmoid")
    assert shaped(50) == SigmoidWarmup(100, 3.0)(50)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Cyclical(3, 4), "cycles must be from 1 to steps"),
        (lambda: Cyclical(10, proportion=0), "proportion in"),
        (lambda: Cyclical(10, shape="cosine"), "shape must be linear or sigmoid"),
        (lambda: Cyclical(10, end=math.inf), "end finite"),
        (lambda: SigmoidWarmup(0), "steps must be >= 1"),
        (lambda: SigmoidWarmup(9, steepness=0), "steepness positive"),
    ],
)
def test_what_makes_no_sense_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    "objective, name",
    [
        (Capacity(), "capacity"),
        (FreeBits(), "free_nats"),
        (ELBO(), "beta"),
        (Separate(ELBO(), ELBO()), "beta"),
    ],
)
def test_any_buffer_of_an_objective_is_filled_and_logged(objective, name):
    model = compose((1, 8, 8), objective=objective, schedules={name: LinearWarmup(10, 4.0)})
    fill(model, model.schedules, 5)
    assert scheduled(model, model.schedules)[name] == 2.0
    found = [b for path, b in model.named_buffers() if path.endswith(name)]
    assert found and all(b == 2.0 for b in found)
    assert name in " ".join(model.state_dict())  # in checkpoints


def test_only_what_is_scheduled_is_logged_besides_beta_and_temperature():
    model = compose((1, 8, 8), objective=Capacity())
    assert scheduled(model, {}) == {}
    assert scheduled(compose((1, 8, 8)), {}) == {"beta": torch.tensor(1.0)}
