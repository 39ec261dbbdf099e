"""What the trainer counts in batches is counted in optimiser steps, whatever their grouping."""

import pytest
import torch
from lightning.pytorch import Trainer

from vae.data.digits import DigitsDataModule
from vae.training.limits import count_in_steps


def counted(group, grouped=True, **options):
    """A trainer of digits, of which an epoch has 21 steps of 64 images."""
    data = DigitsDataModule(steps_per_batch=group)
    data.setup()
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, **options)
    count_in_steps(trainer, data, grouped)
    data.trainer = trainer
    return trainer, data


def batches(data):
    """All of an epoch, without their grouping."""
    groups = data.train_dataloader()
    return [x for group in groups for x in ([group] if isinstance(group, torch.Tensor) else group)]


@pytest.mark.parametrize("group", [1, 4, 20])
@pytest.mark.parametrize(
    "limit, steps", [(None, 21), (1.0, 21), (0.5, 10), (0.05, 1), (7, 7), (1, 1), (99, 21), (0, 0)]
)
def test_a_limit_is_one_of_steps(limit, steps, group):
    _, data = counted(group, limit_train_batches=limit)
    assert len(batches(data)) == steps


def test_a_part_is_one_of_each_process_share():
    trainer, _ = counted(4, limit_train_batches=0.5, devices=2, strategy="ddp")
    assert trainer.limit_train_batches == 5  # of 11 batches


@pytest.mark.parametrize(
    "group, every, across_epochs", [(1, 5, False), (4, 20, False), (1, 50, True), (7, 28, True)]
)
def test_an_interval_is_one_of_steps(group, every, across_epochs):
    options = {"check_val_every_n_epoch": None} if across_epochs else {}
    trainer, _ = counted(group, val_check_interval=every, **options)
    assert trainer.val_check_interval * group == every
    trainer, _ = counted(group, grouped=False, val_check_interval=every, **options)
    assert trainer.val_check_interval == every


@pytest.mark.parametrize(
    "options, words",
    [
        ({"val_check_interval": 6}, "no multiple of data.steps_per_batch 4"),
        ({"val_check_interval": 0}, "must be positive"),
        ({"val_check_interval": 0.0}, "must be positive"),
        ({"val_check_interval": 24}, "more than the 21 steps"),
        ({"val_check_interval": 12, "limit_train_batches": 8}, "more than the 8 steps"),
        ({"val_check_interval": 8, "check_val_every_n_epoch": None}, "does not divide"),
        ({"limit_train_batches": 0.01}, "less than one of the 21"),
        ({"limit_val_batches": 0.5}, "less than one of the 1 batches"),
        ({"limit_test_batches": 0.5}, "less than one of the 1 batches"),
    ],
)
@pytest.mark.parametrize("grouped", [True, False])
def test_what_cannot_be_is_refused(options, words, grouped):
    with pytest.raises(ValueError, match=words):
        counted(4, grouped, **options)


def test_overfitting_repeats_the_same_images():
    _, data = counted(4, overfit_batches=3)
    epochs = []
    for _ in range(2):
        epochs.append(batches(data))
        data.trainer.fit_loop.epoch_progress.current.completed += 1
    assert data.trainer.current_epoch == 2 and len(epochs[0]) == 3
    assert all(a.equal(b) for a, b in zip(*epochs, strict=True))
