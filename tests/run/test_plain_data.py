"""A run on a user's plain data module that is killed, and continued, ends as if it never stopped."""

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from plain_digits import PlainDigits

from vae.data.source import images_of
from vae.run.atomic import AtomicCheckpointIO
from vae.run.last import LastCheckpoint
from vae.training.presets import DiscreteVAE

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory")


class Killed(BaseException):
    """Caught by nothing, as SIGKILL is."""


class KillAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == self.step:
            raise Killed


def train(folder, kill=None, ckpt_path=None, seed=1, **options):
    """Three epochs of five steps, with a checkpoint after every second one."""
    torch.manual_seed(0)
    module = DiscreteVAE(
        image_shape=(1, 8, 8),
        **{"hidden": [8], "num_variables": 2, "num_categories": 3, "estimator": "reinforce"},
    )
    trainer = Trainer(
        max_epochs=3,
        callbacks=[KillAt(kill), LastCheckpoint(folder, every_n_steps=2)],
        plugins=[AtomicCheckpointIO()],
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    data = images_of(PlainDigits(**options), seed)
    if kill is None:
        trainer.fit(module, data, ckpt_path=ckpt_path)
        return module.state_dict()
    with pytest.raises(Killed):
        trainer.fit(module, data)


@pytest.mark.e2e
@pytest.mark.parametrize("kill", [4, 6, 8], ids="in-an-epoch at-its-end in-the-second".split())
@pytest.mark.parametrize("options", [{}, {"noisy": True}, {"own_generator": True}], ids=str)
def test_a_killed_run_goes_on_to_the_last_bit(tmp_path, kill, options):
    whole = train(tmp_path / "whole", **options)
    train(tmp_path / "killed", kill, **options)
    position = torch.load(tmp_path / "killed" / "last.ckpt", weights_only=True)["global_step"]
    assert position == {4: 2, 6: 5, 8: 6}[kill]  # as the next batch begins
    again = train(
        tmp_path / "killed", ckpt_path=tmp_path / "killed" / "last.ckpt", seed=2, **options
    )
    assert all(torch.equal(whole[name], again[name]) for name in whole)
