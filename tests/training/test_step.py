"""The ways to take a step, eager, compiled and captured, give the same numbers: captured to the
last bit (on a GPU to 1e-5), compiled to 1e-3 of a parameter after two epochs (sums in another
order)."""

import math
from contextlib import nullcontext

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.plugins import MixedPrecision
from small import ONE_HOT, SMALL, fit

import vae.cli.app
import vae.cli.errors
import vae.training.step
from vae.run.folder import new_run
from vae.training.capture import CapturedStep, CaptureError
from vae.training.composed import ComposedModule
from vae.training.module import VAEModule
from vae.training.nonfinite import NonFiniteError
from vae.training.presets import DiscreteVAE, GaussianVAE
from vae.training.traced import CompileError

MODULES = {
    "gaussian": lambda **kw: GaussianVAE(latent_dim=3, **SMALL, **kw),
    "clipped": lambda **kw: GaussianVAE(latent_dim=3, gradient_clip_norm=5.0, **SMALL, **kw),
    "iwae": lambda **kw: GaussianVAE(
        latent_dim=3, objective="iwae", num_samples=5, estimator="dreg", **SMALL, **kw
    ),
    "gumbel": lambda **kw: DiscreteVAE(**ONE_HOT, anneal_rate=0.01, anneal_every=3, **SMALL, **kw),
    "rloo": lambda **kw: DiscreteVAE(
        **ONE_HOT, estimator="rloo", num_samples=4, beta_warmup=20, **SMALL, **kw
    ),
    "moving average": lambda **kw: DiscreteVAE(
        **ONE_HOT, estimator="reinforce_moving_average", **SMALL, **kw
    ),
    "relax": lambda **kw: DiscreteVAE(**ONE_HOT, estimator="relax", **SMALL, **kw),
}


class OnCPU(CapturedStep):
    """Everything of a capture but CUDA: the trial runs, what they leave behind, a recording for
    each shape; a replay runs the step again."""

    def _try(self, images):
        for _ in range(self.trials):
            self.step(images)

    def _capture(self, images):
        outputs = torch.empty(()), torch.empty(())

        def replay():
            for output, value in zip(outputs, self.step(images), strict=True):
                output.copy_(value)
            for parameter in self.module.parameters():
                parameter.grad = None  # a recording's gradients are its own

        return replay, outputs


class Save(Callback):
    """Saves in the middle of the second epoch."""

    takes_groups = True

    def __init__(self, path):
        self.path = path

    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == 33:
            trainer.save_checkpoint(self.path)


def trained(name, save_to=None, ckpt_path=None, **options):
    """A module after two epochs, with their last, smaller batches."""
    torch.manual_seed(0 if ckpt_path is None else 7)
    module, run = MODULES[name](**options), new_run("x")
    callbacks = [Save(save_to)] if save_to else []
    fit(module, run, 45, steps_per_batch=4, ckpt_path=ckpt_path, callbacks=callbacks)
    return module, module.trainer


def state(module, trainer):
    adam = trainer.optimizers[0].state_dict()["state"]
    own = {f"{i}/{k}": v for i, values in adam.items() for k, v in values.items()}
    return module.state_dict() | own | {"generator": torch.get_rng_state()}


@pytest.mark.e2e
@pytest.mark.parametrize("name", MODULES)
def test_what_a_capture_tries_leaves_nothing_behind(name, monkeypatch, tmp_path):
    expected = state(*trained(name))
    monkeypatch.setattr(vae.training.step, "CapturedStep", OnCPU)
    module, trainer = trained(name, tmp_path / "x.ckpt", capture=True)
    assert_equal(state(module, trainer), expected)
    again = trained(name, ckpt_path=tmp_path / "x.ckpt", capture=True)  # and goes on
    assert_equal(state(*again), expected)


def test_the_trials_are_seen(monkeypatch):
    monkeypatch.setattr(vae.training.step, "CapturedStep", OnCPU)
    monkeypatch.setattr(OnCPU, "_remember", lambda self, device: lambda: None)
    changed = state(*trained("moving average", capture=True))
    expected = state(*trained("moving average"))
    assert not any(torch.equal(changed[key], expected[key]) for key in ("generator", "0/step"))


def test_what_cannot_be_captured_says_so(monkeypatch):
    class Fails(OnCPU):
        def _capture(self, images):
            raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(vae.training.step, "CapturedStep", Fails)
    with pytest.raises(ValueError, match=r"captured \(operation not permitted .*\): leave out"):
        trained("gaussian", capture=True)


def test_what_cannot_be_compiled_says_so(monkeypatch):
    def fails(x):
        raise RuntimeError("backend='inductor' raised:\nNo such node\nand more")

    monkeypatch.setattr(torch, "compile", lambda *args, **options: fails)
    words = r"compiled \(backend='inductor' raised: No such node\): set --model.compile false"
    with pytest.raises(CompileError, match=words):
        trained("gaussian", compile=True)

    def broken(self, x):
        raise ValueError("of the model, compiled or not")

    monkeypatch.setattr(ComposedModule, "bound", broken)
    with pytest.raises(ValueError, match="^of the model"):
        trained("gaussian", compile=True)


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    assert [key for key in expected if not torch.equal(found[key], expected[key])] == []


def assert_close(found, expected):
    for key, value in expected.items():
        if key.startswith(("vae.", "estimator.")):
            torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-3, msg=key)
    assert torch.equal(found["generator"], expected["generator"])  # the same noise


COMPILED = [
    pytest.param(name, marks=[] if name == "gaussian" else pytest.mark.slow) for name in MODULES
]


@pytest.mark.e2e
@pytest.mark.parametrize("name", COMPILED)
def test_compiled_it_is_the_same_and_goes_on_to_the_last_bit(name, tmp_path):
    torch.compiler.reset()
    path = tmp_path / "x.ckpt"
    whole = state(*trained(name, path, compile=True))
    assert_close(whole, state(*trained(name)))
    torch.compiler.reset()
    again = state(*trained(name, compile=True, ckpt_path=path))
    assert_equal(again, whole)


def test_what_cannot_be_compiled_says_so_before_anything_is_written(monkeypatch):
    def refuses(*args, **kwargs):
        raise RuntimeError("no C++ compiler\nand more")

    monkeypatch.setattr(torch, "compile", refuses)
    with pytest.raises(ValueError, match=r"does not work here \(no C\+\+ compiler\): leave"):
        vae.cli.checks.assert_compiles(torch.device("cpu"))


def test_a_checkpoint_does_not_say_how_its_steps_were_taken(tmp_path):
    _, trainer = trained("gaussian", tmp_path / "x.ckpt", compile=False)
    contents = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert "latent_dim" in contents["hyper_parameters"]
    assert not {"compile", "capture"} & set(contents["hyper_parameters"])


def test_a_captured_step_that_goes_wrong_is_seen(monkeypatch):
    monkeypatch.setattr(vae.training.step, "CapturedStep", OnCPU)
    module = MODULES["gaussian"](capture=True)
    bias = dict(module.named_parameters())["vae.encoder.1.bias"]

    def harm(step, x):  # a gradient that is NaN after a finite bound, in the second epoch
        if step == 27:
            bias.register_hook(lambda grad: grad * math.nan)

    module.after_step.append(harm)
    with pytest.raises(NonFiniteError, match=r"at step 29 \(epoch 1"):
        fit(module, new_run("x"), 45, steps_per_batch=4)


class Relax(Callback):
    """Lets the end of an epoch, which reads metrics, wait for the device."""

    def on_train_epoch_end(self, *args):
        torch.cuda.set_sync_debug_mode("default")

    on_validation_start = on_train_epoch_end


@pytest.fixture
def without_waiting():
    """Turns waiting for the device into an error, until the run's end, by a call."""
    yield lambda: torch.cuda.set_sync_debug_mode("error")
    torch.cuda.set_sync_debug_mode("default")


ON_GPU = MODULES | {
    "score function": lambda **kw: GaussianVAE(latent_dim=3, estimator="nvil", **SMALL, **kw),
    "binary": lambda **kw: DiscreteVAE(
        latent="binary", num_variables=6, estimator="disarm", num_samples=2, **SMALL, **kw
    ),
}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("name", ON_GPU)
def test_a_cuda_graph_gives_what_kernels_give(name, without_waiting):
    ends = []
    for capture in (False, True):
        torch.manual_seed(0)
        module = ON_GPU[name](capture=capture)
        if capture:  # inside an epoch, when both shapes are recorded
            module.after_step.append(lambda step, x: step == 25 and without_waiting())
        options = {"steps_per_batch": 4, "accelerator": "gpu", "callbacks": [Relax()]}
        ends.append(state(module, fit(module, new_run(f"{capture}"), 45, 100, **options)))
    for key, value in ends[0].items():
        torch.testing.assert_close(ends[1][key], value, rtol=1e-5, atol=1e-6, msg=key)


class HalfPrecision(MixedPrecision):
    """16-mixed, whose gradients are scaled, on a CPU."""

    def __init__(self):
        super().__init__("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=1024.0))

    def forward_context(self):
        return nullcontext()  # in 32 bits, so that the same numbers come of it


class Descending(GaussianVAE):
    """Trained by plain gradient descent, whose step is as long as the gradient: Adam's is not."""

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_clipping_means_the_gradient_not_the_scaled_one():
    ends = []
    for plugins in ([], [HalfPrecision()]):
        torch.manual_seed(0)
        module = Descending(latent_dim=3, gradient_clip_norm=0.5, **SMALL)
        fit(module, new_run("x"), 3, plugins=plugins)
        ends.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-5)


def test_a_step_that_cannot_be_captured_is_one_line(monkeypatch, capsys):
    def refuse(self, x):
        raise CaptureError("this training step cannot be captured: leave out --model.capture")

    monkeypatch.setattr(VAEModule, "training_step", lambda *_: refuse(None, None))
    words = ["train.py", "fit", "--model", "GaussianVAE", "--data", "DigitsDataModule"]
    monkeypatch.setattr("sys.argv", [*words, "--trainer.accelerator", "cpu"])
    with pytest.raises(SystemExit) as ended, vae.cli.errors.one_line_errors():
        vae.cli.app.VAECLI()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "error: this training step cannot be captured: leave out --model.capture\n"
    )
