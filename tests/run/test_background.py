"""Checkpoints in the background: what is in them, how many wait, and what becomes of an error."""

import threading
import time

import pytest
import torch
from small import MODULES, fit

from vae.run.background import BackgroundCheckpointIO
from vae.run.last import LastCheckpoint


class Gated(BackgroundCheckpointIO):
    """Writes nothing before it is let; notes which checkpoints are on the disk, in order."""

    def __init__(self, folder):
        super().__init__(folder, self._first)
        self.gate, self.written = threading.Event(), []

    def _first(self):
        assert self.gate.wait(30)

    def _write(self, content, path):
        super()._write(content, path)
        if path.exists():
            self.written.append(path.name)

    def let(self, seconds=0.0):
        """Opens the gate, at once or in another thread, so that the caller can wait for it."""
        threading.Timer(seconds, self.gate.set).start()


@pytest.fixture
def writer(tmp_path):
    writer = Gated(tmp_path)
    yield writer
    writer.gate.set()
    writer.teardown()


def load(path):
    return torch.load(path, weights_only=True)


def test_what_changes_after_the_call_is_not_in_the_checkpoint(writer, tmp_path):
    weights, state = torch.zeros(3), {"step": 1}
    writer.save_checkpoint(
        {"a": weights, "b": weights[:2], "state": state}, tmp_path / "last.ckpt"
    )
    weights.fill_(7)
    state["step"] = 2
    assert not list(tmp_path.iterdir())  # it is not written yet
    writer.let()
    writer.wait()
    found = load(tmp_path / "last.ckpt")
    assert found["a"].tolist() == [0, 0, 0] and found["b"].tolist() == [0, 0]
    assert found["state"] == {"step": 1} and [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_one_is_written_one_waits_and_a_third_call_does(writer, tmp_path):
    names = ["best.ckpt", "last.ckpt", "third.ckpt"]
    for name in names[:2]:
        writer.save_checkpoint({}, tmp_path / name)
    assert writer.written == []
    third = threading.Thread(target=writer.save_checkpoint, args=({}, tmp_path / names[2]))
    third.start()
    third.join(0.3)
    assert third.is_alive()
    writer.let()
    third.join(30)
    assert not third.is_alive()
    writer.wait()
    assert writer.written == names


def test_other_files_are_there_when_the_call_returns_and_after_those_before(writer, tmp_path):
    writer.save_checkpoint({"a": 1}, tmp_path / "last.ckpt")
    writer.let(0.2)
    writer.save_checkpoint({"a": 2}, tmp_path / "callbacks" / "last.ckpt")
    assert load(tmp_path / "last.ckpt") == {"a": 1}
    assert load(tmp_path / "callbacks" / "last.ckpt") == {"a": 2}


def test_to_load_and_to_remove_waits(writer, tmp_path):
    path = tmp_path / "best.ckpt"
    writer.save_checkpoint({"a": 1}, path)
    writer.let(0.2)
    assert writer.load_checkpoint(path) == {"a": 1}
    old, writer.gate = path, threading.Event()
    writer.save_checkpoint({"a": 2}, tmp_path / "last.ckpt")
    removal = threading.Thread(target=writer.remove_checkpoint, args=(old,))
    removal.start()
    removal.join(0.3)
    assert old.exists()  # the new one is not safe yet
    writer.let()
    removal.join(30)
    assert not old.exists() and (tmp_path / "last.ckpt").exists()


def test_after_a_failure_none_is_written_until_its_error_was_raised(writer, tmp_path):
    (tmp_path / ".best.ckpt.tmp").mkdir()  # where the file would be written
    for name in ("best.ckpt", "last.ckpt"):
        writer.save_checkpoint({}, tmp_path / name)
    writer.check()  # nothing is known yet
    writer.let()
    with pytest.raises(OSError, match=r"cannot write .*best\.ckpt"):
        writer.wait()
    assert writer.written == []  # last.ckpt would say that best.ckpt is there
    writer.wait()  # it was raised once
    writer.save_checkpoint({}, tmp_path / "last.ckpt")
    writer.wait()
    assert writer.written == ["last.ckpt"]


def test_an_error_never_hides_the_one_that_ended_the_run(writer, tmp_path, capsys):
    (tmp_path / ".last.ckpt.tmp").mkdir()
    writer.let()
    writer.save_checkpoint({}, tmp_path / "last.ckpt")
    with pytest.raises(OSError, match="cannot write"):
        writer.teardown()
    writer.save_checkpoint({}, tmp_path / "last.ckpt")
    with pytest.raises(KeyError):
        try:
            raise KeyError
        except KeyError:
            writer.teardown()
            raise
    assert capsys.readouterr().err.startswith("error: cannot write ")


def trained(folder, writer, last, steps):
    module = MODULES["gaussian"]()
    options = {"plugins": [writer], "callbacks": [last], "enable_checkpointing": True}
    fit(module, folder, steps, **options)
    return module


class Blocked(LastCheckpoint):
    """Its checkpoints cannot be written, from the start of training on."""

    def on_train_start(self, trainer, pl_module):
        super().on_train_start(trainer, pl_module)
        (self.folder / ".last.ckpt.tmp").mkdir()


def test_training_ends_soon_after_a_write_that_failed(tmp_path):
    """And not at the next checkpoint, which may be hours away."""

    class Slow(Blocked):
        def on_train_start(self, trainer, pl_module):
            super().on_train_start(trainer, pl_module)
            self.save(trainer)

        def on_train_batch_end(self, *args, **kwargs):
            time.sleep(0.02)

        def on_train_epoch_end(self, *args, **kwargs):
            raise AssertionError("it was not noticed before the next checkpoint")

    with pytest.raises(OSError, match="cannot write"):
        trained(tmp_path, BackgroundCheckpointIO(tmp_path), Slow(tmp_path), 50)


def test_no_run_is_over_if_its_last_checkpoint_was_not_written(tmp_path):
    with pytest.raises(OSError, match="cannot write"):
        trained(tmp_path, BackgroundCheckpointIO(tmp_path), Blocked(tmp_path), 3)
    assert load(tmp_path / "last.ckpt")["global_step"] == 0


def test_a_run_that_is_over_has_its_last_checkpoint(tmp_path):
    writer = Gated(tmp_path)
    writer.let(0.5)
    module = trained(tmp_path, writer, LastCheckpoint(tmp_path), 3)
    assert load(tmp_path / "last.ckpt")["global_step"] == module.trainer.global_step == 3
