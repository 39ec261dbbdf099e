"""A user's callback gets what plain Lightning would give it: every optimiser step, and its images."""

import sys
from contextlib import suppress
from datetime import timedelta

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import (
    EarlyStopping,
    LambdaCallback,
    LearningRateMonitor,
    ModelCheckpoint,
    StochasticWeightAveraging,
    Timer,
    TQDMProgressBar,
)
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from small import MODULES, SMALL, fit, logged

from vae.cli.app import VAECLI
from vae.data.digits import DigitsDataModule
from vae.run.best import BestCheckpoint
from vae.run.folder import new_run
from vae.run.last import LastCheckpoint
from vae.training.callbacks.progress import Progress
from vae.training.presets import GaussianVAE

STEPS, EPOCH = 42, 21  # two epochs of the digits


class Sees(Callback):
    """Notes what it is shown in every hook that plain Lightning calls at every step."""

    def __init__(self):
        self.starts, self.ends, self.hooks = [], [], []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.starts.append((trainer.global_step, batch_idx, tuple(batch.shape)))

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        assert float(outputs["loss"]) > 0 and float(batch.mean()) > 0  # can be read
        self.ends.append((trainer.global_step, batch_idx, tuple(batch.shape)))

    def on_before_zero_grad(self, trainer, module, optimizer):
        self.hooks.append(f"zero_grad {isinstance(optimizer, torch.optim.Optimizer)}")

    def on_before_backward(self, trainer, module, loss):
        self.hooks.append(f"before backward {loss.requires_grad}")

    def on_after_backward(self, trainer, module):
        found = all(p.grad is not None for p in module.parameters())
        self.hooks.append(f"after backward {found}")

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.hooks.append(f"optimizer {isinstance(optimizer, torch.optim.Optimizer)}")


def train(*callbacks, module=None, steps=STEPS, **options):
    torch.manual_seed(0)
    module = module or MODULES["gaussian"]()
    run = new_run("t")
    trainer = fit(module, run, steps, steps_per_batch=20, callbacks=[*callbacks], **options)
    return module, trainer, run


def group_of(trainer):
    return trainer.datamodule.steps_per_batch


def test_a_callback_sees_every_step_and_its_images_in_lightning_s_order(capsys):
    sees = Sees()
    module, trainer, _ = train(sees)
    sizes = [64] * 20 + [17]
    indices = [*range(EPOCH), *range(EPOCH)]
    shapes = [(size, 1, 8, 8) for size in sizes + sizes]
    assert sees.starts == list(zip(range(STEPS), indices, shapes, strict=True))
    assert sees.ends == list(zip(range(1, STEPS + 1), indices, shapes, strict=True))
    step = ["zero_grad True", "before backward True", "after backward True", "optimizer True"]
    assert sees.hooks == step * STEPS
    said = capsys.readouterr().err
    assert said.count("steps are not grouped, since Sees looks at every batch") == 1
    same, grouped, _ = train()
    assert group_of(grouped) == 20 and "not grouped" not in capsys.readouterr().err
    assert all(torch.equal(same.state_dict()[k], v) for k, v in module.state_dict().items())


def test_checkpoints_are_written_as_often_as_asked(tmp_path, monkeypatch):
    """The command that wrote 1 file where it should write 8."""
    words = ["--trainer.callbacks", "ModelCheckpoint", "--trainer.callbacks.save_top_k", "-1"]
    words += ["--trainer.callbacks.every_n_train_steps", "5", "--trainer.max_steps", str(STEPS)]
    words += ["--trainer.callbacks.dirpath", str(tmp_path / "own")]
    words += ["--model", "GaussianVAE", "--data", "DigitsDataModule", "--model.test_samples", "2"]
    monkeypatch.setattr(sys, "argv", ["train.py", "fit", *words, "--model.hidden", "[8]"])
    monkeypatch.setenv("WANDB_MODE", "disabled")
    VAECLI()
    names = sorted(path.name for path in (tmp_path / "own").iterdir())
    steps = sorted(int(name.partition("step=")[2].removesuffix(".ckpt")) for name in names)
    assert steps == [5, 10, 15, 20, 25, 30, 35, 40]


def test_a_monitor_of_learning_rates_logs_as_often_as_the_trainer():
    _, _, run = train(LearningRateMonitor("step"))
    steps = [row["step"] for row in logged(run) if "lr-Adam" in row]
    assert steps == [4, 9, 14, 19, 24, 29, 34, 39]  # log_every_n_steps 5


def test_an_average_is_of_every_step():
    averaging = pytest.importorskip("lightning.pytorch.callbacks.weight_averaging")
    expected = []

    def follow(step, x):
        values = [p.detach().clone() for p in module.parameters()]
        pairs = zip(expected or values, values, strict=True)
        expected[:] = [mean.lerp(p, 0.5 if step > 1 else 1.0) for mean, p in pairs]

    module = MODULES["gaussian"]()
    module.after_step.append(follow)
    train(averaging.EMAWeightAveraging(decay=0.5), module=module, steps=6)
    for mean, parameter in zip(expected, module.parameters(), strict=True):
        torch.testing.assert_close(parameter, mean)  # copied there at the end


def test_what_lightning_heeds_in_automatic_optimisation_only_is_refused():
    with pytest.raises(MisconfigurationException, match="use lightning.pytorch.callbacks' EMA"):
        train(StochasticWeightAveraging(1e-3))
    with pytest.raises(MisconfigurationException, match="or --checkpoint_every_n_minutes"):
        train(ModelCheckpoint(train_time_interval=timedelta(0)), enable_checkpointing=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: Timer(duration={"hours": 1}),
        lambda path: EarlyStopping("val/elbo", mode="max", patience=9),
        lambda path: LearningRateMonitor("epoch"),
        lambda path: ModelCheckpoint(path, monitor="val/elbo", mode="max"),
        lambda path: TQDMProgressBar(),
        lambda path: LambdaCallback(on_train_start=lambda *_: None),
        lambda path: BestCheckpoint(path),
        lambda path: LastCheckpoint(path, every_n_steps=1),
        lambda path: Progress(),
    ],
)
def test_what_does_not_look_at_batches_costs_nothing(make, tmp_path, capsys):
    options = {"enable_checkpointing": True, "enable_progress_bar": True}
    _, trainer, _ = train(make(tmp_path), **options)
    assert group_of(trainer) == 20 and trainer.global_step == STEPS
    assert "not grouped" not in capsys.readouterr().err


class TakesGroups(Sees):
    takes_groups = True

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.starts.append(trainer.global_step)

    on_train_batch_end = Callback.on_train_batch_end


def test_a_callback_can_say_that_it_takes_groups():
    sees = TakesGroups()
    assert group_of(train(sees)[1]) == 20
    assert sees.starts == [0, 20, 21, 41]
    assert len(sees.hooks) == 4 * STEPS  # hooks inside the step are called for each all the same


class LooksItself(GaussianVAE):
    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.seen = [*getattr(self, "seen", []), len(batch)]


class StepsItself(GaussianVAE):
    def training_step(self, batch, batch_idx):
        assert isinstance(batch, torch.Tensor)
        return super().training_step(batch, batch_idx)


class Brings(GaussianVAE):
    def configure_callbacks(self):
        self.sees = Sees()
        return self.sees


class Transfers(DigitsDataModule):
    def on_after_batch_transfer(self, batch, dataloader_idx):
        assert isinstance(batch, torch.Tensor)
        return batch.round()


def test_hooks_of_modules_count_too():
    module = LooksItself(latent_dim=2, **SMALL)
    assert group_of(train(module=module)[1]) == 1 and len(module.seen) == STEPS
    assert group_of(train(module=StepsItself(latent_dim=2, **SMALL))[1]) == 1
    module = Brings(latent_dim=2, **SMALL)
    assert group_of(train(module=module)[1]) == 1 and len(module.sees.ends) == STEPS
    lambdas = LambdaCallback(on_before_optimizer_step=lambda *_: seen.append(1))
    seen = []
    assert group_of(train(lambdas)[1]) == 1 and len(seen) == STEPS


def test_hooks_of_data_modules_count_too():
    data = Transfers()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("small.DigitsDataModule", lambda steps_per_batch: data)
        assert group_of(train(steps=3)[1]) == 1


class Stops(Exception):
    pass


class StopsAt(Callback):
    takes_groups = True

    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.global_step >= self.step:
            raise Stops


@pytest.mark.parametrize("begun", [[], [Sees]])
@pytest.mark.parametrize("continued", [[], [Sees]])
@pytest.mark.parametrize("stop", [7, 20, 30])
def test_a_run_goes_on_exactly_with_other_callbacks(begun, continued, stop, tmp_path):
    """Stopped by a signal's place, between steps or groups, and by max_steps, inside a group."""
    whole, reference, _ = train(steps=55)
    for name, ends in (("killed", {}), ("ended", {"steps": stop})):
        last = LastCheckpoint(tmp_path / name, every_n_steps=1)
        stops = [] if ends else [StopsAt(stop)]
        with suppress(Stops):
            options = {"enable_checkpointing": True} | ends
            train(*[kind() for kind in begun], *stops, last, **options)
        sees = [kind() for kind in continued]
        torch.manual_seed(7)
        module, trainer, _ = train(*sees, steps=55, ckpt_path=last.path)
        assert (trainer.global_step, trainer.current_epoch) == (55, reference.current_epoch)
        assert all(torch.equal(whole.state_dict()[k], v) for k, v in module.state_dict().items())
        position = trainer.fit_loop.epoch_loop.batch_progress
        group = group_of(trainer)
        assert position.current.ready == -(-13 // group)
        assert position.total.ready == 2 * -(-EPOCH // group) + -(-13 // group)
        for one in sees:
            assert [end[:2] for end in one.ends] == [
                (step + 1, step % EPOCH) for step in range(one.ends[0][0] - 1, 55)
            ]
