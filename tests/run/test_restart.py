"""A run that is killed in any hook of any loop, under any limit, ends as if it had never stopped."""

import threading

import pytest
import torch
from chaos import assert_same_run
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint

from vae.data.digits import DigitsDataModule
from vae.run.background import BackgroundCheckpointIO
from vae.run.last import LastCheckpoint
from vae.run.metrics import JSONLLogger
from vae.run.state import find_last
from vae.training.callbacks.collapse import CollapseWatch
from vae.training.callbacks.images import ImageGrids
from vae.training.presets import DiscreteVAE

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore:Checkpoint directory")]

HOOKS = [
    *("on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_train_batch_end"),
    *("on_validation_start", "on_validation_batch_end", "on_validation_end"),
    *("on_train_epoch_end", "on_train_end", "on_fit_end"),
]


AVERAGING = "lightning.pytorch.callbacks.weight_averaging"  # not in Lightning 2.5


class Killed(BaseException):
    """What no one catches, as no one does SIGKILL."""


class Late(BackgroundCheckpointIO):
    """Writes each checkpoint as late as it may, so that a kill loses all that nobody waited for."""

    def __init__(self, folder):
        super().__init__(folder)
        self.asked, self.killed = threading.Semaphore(0), False

    def _write(self, content, path):
        self.asked.acquire()
        if not self.killed:
            super()._write(content, path)

    def wait(self, left=0):
        for _ in range(len(self._pending) - left):
            self.asked.release()
        super().wait(left)


class Killer:
    """Kills at an event, by its number among all."""

    def __init__(self, at=None, grouped=True, writer=None):
        self.at, self.events, self.grouped, self.writer = at, [], grouped, writer

    def callback(self, base):
        def hook(name):
            def happens(trainer, *args, **kwargs):
                self.events.append(f"{name} {trainer.global_step}")
                if len(self.events) - 1 == self.at:
                    self.writer.killed = True
                    raise Killed

            return happens

        killer = base()
        killer.takes_groups = self.grouped
        for name in HOOKS:
            setattr(killer, name, hook(name))
        return killer


# epochs of 7 steps in groups of 2
RUNS = {
    "epochs": {"max_epochs": 3},
    "steps at an epoch's end": {"max_epochs": 9, "max_steps": 10},
    "steps inside an epoch": {"max_epochs": 9, "max_steps": 12},
    "steps inside a group": {"max_steps": 13},
    "epochs before steps": {"max_epochs": 2, "max_steps": 50},
    "validation inside": {"max_epochs": 2, "val_check_interval": 2, "every_n_steps": 2},
    "a part of an epoch": {"max_epochs": 2, "val_check_interval": 0.5, "every_n_steps": 2},
    "validation inside, steps": {"max_steps": 12, "val_check_interval": 2, "every_n_steps": 2},
    "validation across epochs": {
        **{"max_steps": 12, "val_check_interval": 3, "check_val_every_n_epoch": None},
        **{"steps_per_batch": 1, "every_n_steps": 3},
    },
    "every second epoch": {"max_epochs": 3, "check_val_every_n_epoch": 2, "every_n_steps": 4},
    "every second epoch, steps": {"max_steps": 15, "check_val_every_n_epoch": 2},
    "no validation": {"max_steps": 8, "limit_val_batches": 0, "every_n_steps": 1},
    "one group": {"max_steps": 12, "steps_per_batch": 5, "every_n_steps": 1},
    "stopped early": {"max_epochs": 9, "patience": 2, "every_n_steps": 2},
    "stopped early, later": {"max_epochs": 9, "patience": 1, "min_epochs": 4},
    "averaged": {"max_epochs": 2, "val_check_interval": 2, "averaged": True, "every_n_steps": 2},
    "least steps": {"max_epochs": 9, "patience": 1, "min_steps": 17},
}


def train(folder, kill=None, ckpt_path=None, **options):
    """One process's part of a run; the events that it came to."""
    own = {"every_n_steps": None, "steps_per_batch": 2, "patience": None, "averaged": False}
    get = own | options
    every_n_steps, steps_per_batch, patience, averaged = (get.pop(name) for name in own)
    torch.manual_seed(0)
    module = DiscreteVAE(
        image_shape=(1, 8, 8),
        **{"hidden": [8], "num_variables": 2, "num_categories": 3, "beta_warmup": 8, "lr": 1e-2},
        estimator="reinforce_moving_average",
    )
    data = DigitsDataModule(batch_size=200, steps_per_batch=steps_per_batch, eval_batch_size=150)
    data.prepare_data()
    data.setup("fit")
    rows = None if ckpt_path is None else find_last(ckpt_path)[1]["vae"]["rows"]
    options = {"dirpath": folder / "checkpoints", "filename": "best", "monitor": "val/elbo"}
    options |= {"mode": "max", "enable_version_counter": False, "auto_insert_metric_name": False}
    last = LastCheckpoint(folder / "checkpoints", every_n_steps)
    writer = Late(folder / "checkpoints")
    killer = Killer(kill, writer=writer)
    callbacks = [
        killer.callback(Callback),
        CollapseWatch(1e3, 2),
        ImageGrids(folder / "images", 2),
    ]
    callbacks += [EarlyStopping("val/elbo", 1e3, patience, mode="max")] if patience else []
    if averaged:
        callbacks.append(pytest.importorskip(AVERAGING).EMAWeightAveraging(decay=0.5))
    validates = get.get("limit_val_batches") != 0
    callbacks += [*([ModelCheckpoint(**options)] if validates else []), last]
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[*callbacks, killer.callback(Checkpoint)],
        plugins=[writer],
        logger=JSONLLogger(folder, rows),
        log_every_n_steps=3,
        **{"enable_progress_bar": False, "enable_model_summary": False},
        **{"num_sanity_val_steps": 0} | get,
    )
    try:
        trainer.fit(module, data, ckpt_path=ckpt_path)
    except Killed:
        pass
    return killer.events


def resume(folder, kill=None, **options):
    return train(folder, kill, folder / "checkpoints" / "last.ckpt", **options)


def images(folder):
    return {path.name: path.read_bytes() for path in (folder / "images").iterdir()}


def lose(folder, name, whole, events):
    """Kills a run at these events, one after the other, each in a run of its own."""
    for event in events:
        part = folder / str(event)
        train(part, event, **RUNS[name])
        resume(part, **RUNS[name])
        assert_same_run(part, whole)
        assert images(part) == images(whole)


def places(events):
    """A step of the second epoch, the last validation, and the end."""
    epoch = events.index(next(e for e in events if e.startswith("on_train_epoch_end")))
    starts = [n for n, e in enumerate(events) if e.startswith("on_train_batch_start")]
    validations = [n for n, e in enumerate(events) if e.startswith("on_validation_start")]
    ends = [n for n, e in enumerate(events) if e.startswith("on_train_end")]
    return [[n for n in starts if n > epoch][-1], *validations[-1:], ends[0]]


@pytest.mark.parametrize("name", RUNS)
def test_a_killed_run_ends_as_if_it_had_never_stopped(name, tmp_path):
    events = train(tmp_path / "whole", **RUNS[name])
    lose(tmp_path, name, tmp_path / "whole", places(events))


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_and_so_does_one_that_is_killed_in_any_hook(name, tmp_path):
    events = train(tmp_path / "whole", **RUNS[name])
    lose(tmp_path, name, tmp_path / "whole", range(1, len(events)))


@pytest.mark.parametrize("steps", [10, 13, 14])
def test_a_run_that_max_steps_ended_goes_on_inside_its_epoch(steps, tmp_path):
    """Also inside a group of steps, and at an epoch's end."""
    train(tmp_path / "whole", max_steps=24)
    train(tmp_path / "cut", max_steps=steps)
    resume(tmp_path / "cut", max_steps=24)
    assert_same_run(tmp_path / "cut", tmp_path / "whole")


def test_a_run_goes_on_from_another_checkpoint_that_is_named(tmp_path):
    """The run's last one is then of this way on, also if it is killed at once."""
    whole, part = tmp_path / "whole", tmp_path / "part"
    options = {"max_steps": 14, "val_check_interval": 2, "steps_per_batch": 1, "every_n_steps": 1}
    events = train(whole, **options)
    train(part, events.index("on_train_batch_end 13"), **options)
    best = part / "checkpoints" / "best.ckpt"
    steps = [find_last(path)[1]["global_step"] for path in (part, best)]
    assert steps[0] != steps[1] == 11  # two of the last one's writes were not over
    train(part, 1, best, **options)  # killed as training starts, and the checkpoint is written
    assert find_last(part)[1]["global_step"] == 11
    resume(part, **options)
    assert_same_run(part, whole)
