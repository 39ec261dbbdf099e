"""Optimisers and schedules of one's own: stepped at every optimiser step, and resumed exactly."""

from functools import partial

import numpy as np
import pytest
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from small import SMALL, fit
from torch import optim
from torch.optim import lr_scheduler as schedules

from vae.models.checkpoint import read_checkpoint
from vae.run.folder import new_run
from vae.run.last import LastCheckpoint
from vae.training.optimizers import assert_capturable, is_elementwise
from vae.training.presets import GaussianVAE
from vae.training.step import clip_


class Sign(optim.Optimizer):
    """One of a user's own."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["lr"] * p.grad.sign())


def in_two_parts(optimizer):
    first = schedules.LinearLR(optimizer, 0.1, 1.0, 10)
    return schedules.SequentialLR(
        optimizer, [first, schedules.ExponentialLR(optimizer, 0.99)], [10]
    )


def train(optimizer, scheduler, steps, *callbacks, seed=0, **options):
    torch.manual_seed(seed)
    model = GaussianVAE(latent_dim=3, optimizer=optimizer, scheduler=scheduler, **SMALL)
    options |= {"steps_per_batch": 20, "callbacks": [*callbacks], "enable_checkpointing": True}
    return model, fit(model, new_run("t"), steps, **options)


@pytest.mark.parametrize(
    "optimizer, scheduler",
    [
        (
            partial(optim.SGD, lr=1e-3, momentum=0.9),
            partial(schedules.CosineAnnealingLR, T_max=99),
        ),
        (optim.AdamW, partial(schedules.OneCycleLR, max_lr=1e-2, total_steps=99)),
        (optim.RMSprop, partial(schedules.MultiStepLR, milestones=[10, 40])),
        (Sign, in_two_parts),
        (None, partial(schedules.ExponentialLR, gamma=0.99)),
    ],
)
def test_a_run_goes_on_exactly_with_its_optimiser_and_schedule(optimizer, scheduler, tmp_path):
    whole, trainer = train(optimizer, scheduler, 55)
    last = LastCheckpoint(tmp_path)
    train(optimizer, scheduler, 30, last)
    assert len(read_checkpoint(last.path)["lr_schedulers"]) == 1  # loads without running code
    again, continued = train(optimizer, scheduler, 55, seed=7, ckpt_path=last.path)
    assert all(torch.equal(again.state_dict()[k], v) for k, v in whole.state_dict().items())
    rates = [t.optimizers[0].param_groups[0]["lr"] for t in (trainer, continued)]
    assert rates[0] == rates[1]


def test_numpys_numbers_leave_a_checkpoint_that_can_be_read(tmp_path):
    rates = np.logspace(-3, -2, 2)
    module = GaussianVAE(
        latent_dim=2,
        beta=np.float64(0.5),
        optimizer=partial(optim.Adam, lr=rates[0]),
        scheduler=partial(schedules.ExponentialLR, gamma=np.float64(0.5)),
        **SMALL,
    )
    fit(module, tmp_path, steps=2).save_checkpoint(tmp_path / "x.ckpt")
    contents = read_checkpoint(tmp_path / "x.ckpt")
    assert contents["optimizer_states"][0]["param_groups"][0]["lr"] == 0.25e-3
    assert contents["vae"]["model"]["init_args"]["beta"] == 0.5


def test_a_schedule_is_one_of_optimiser_steps():
    seen = []

    def schedule(optimizer):
        return schedules.LambdaLR(optimizer, lambda step: seen.append(step) or 1.0)

    train(optim.SGD, schedule, 30)
    assert seen == list(range(31))


@pytest.mark.parametrize(
    "optimizer, scheduler, words",
    [
        (optim.LBFGS, None, "LBFGS evaluates the loss several times a step, by a closure"),
        (optim.Adam, schedules.ReduceLROnPlateau, "ReduceLROnPlateau follows a metric"),
    ],
)
def test_what_needs_more_than_a_gradient_is_refused_in_one_line(optimizer, scheduler, words):
    with pytest.raises(MisconfigurationException, match=words) as error:
        train(optimizer, scheduler, 1)
    assert "\n" not in str(error.value)


def test_a_graph_is_recorded_of_what_a_replay_repeats():
    parameter = [torch.zeros(1, requires_grad=True)]
    adam = optim.AdamW(parameter)
    assert_capturable(adam)
    with pytest.raises(MisconfigurationException, match="keeps its learning rate"):
        assert_capturable(adam, schedules.ExponentialLR(adam, 0.9))
    with pytest.raises(MisconfigurationException, match="takes Adam or AdamW, not NAdam"):
        assert_capturable(optim.NAdam(parameter))


def test_optimisers_that_treat_every_weight_by_itself_are_told_from_others():
    alone = [optim.Adam, optim.AdamW, optim.RMSprop, optim.NAdam, Sign]
    alone += [partial(optim.SGD, lr=0.1, momentum=0.9)]
    assert all(map(is_elementwise, alone))
    assert not any(map(is_elementwise, [optim.Adafactor, optim.LBFGS]))


def test_clipping_is_torch_s():
    torch.manual_seed(0)
    for limit in (0.1, 1e3):
        parameters = [torch.zeros(3, 4, requires_grad=True), torch.zeros(5, requires_grad=True)]
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter)
        own = [parameter.grad.clone() for parameter in parameters]
        clip_(own, limit)
        torch.nn.utils.clip_grad_norm_(parameters, limit)
        assert all(p.grad.equal(g) for p, g in zip(parameters, own, strict=True))
