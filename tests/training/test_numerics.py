"""Numbers that go wrong: found at once, named, and repeated from the checkpoint they leave."""

import pytest
import torch
from chaos import RUNS, finish, run_of, start
from small import MODULES, SMALL, fit

from vae.models.checkpoint import read_checkpoint
from vae.run.folder import new_run
from vae.run.last import LastCheckpoint
from vae.training.nonfinite import NonFiniteError, first_non_finite
from vae.training.presets import GaussianVAE

X = torch.rand(5, 1, 8, 8).round()


def test_nothing_is_found_in_a_sound_model():
    for make in MODULES.values():
        assert first_non_finite(make(), X) is None


def test_the_first_bad_tensor_is_named():
    module = GaussianVAE(latent_dim=3, **SMALL)
    assert first_non_finite(module, X / 0) == "the images are NaN"
    with torch.no_grad():
        module.vae.encoder[1].weight[0, 0] = float("nan")
    assert first_non_finite(module, X) == "parameter vae.encoder.1.weight is NaN"
    with torch.no_grad():
        module.vae.encoder[1].weight[0, 0] = 3e38
        module.vae.encoder[1].weight[0, 1] = 3e38
    found = first_non_finite(module, X + 10)
    assert found == "the output of vae.encoder.1 (Linear) is infinite"


def test_a_gradient_can_be_bad_where_the_bound_is_not():
    module = GaussianVAE(latent_dim=3, **SMALL)
    bound = module.bound

    def with_a_root(x):
        estimate = bound(x)
        zero = (module.vae.likelihood.decoder[0].bias * 0).square().sum()
        return estimate._replace(bound=estimate.bound + zero.sqrt())

    module.bound = with_a_root
    assert "the gradient of vae.likelihood.decoder.0.bias is NaN" == first_non_finite(module, X)
    with pytest.raises(NonFiniteError, match=r"decoder.0.bias is NaN, at step 0 \(epoch 0"):
        fit(module, new_run("t"), steps=3)


@pytest.mark.parametrize("group", [1, 4])
def test_a_crash_leaves_a_checkpoint_that_repeats_it(group, tmp_path, monkeypatch):
    """The checkpoint is of before the step: weights, generators, averages and position."""
    from vae.training.presets import DiscreteVAE

    torch.manual_seed(0)
    options = {"estimator": "reinforce_moving_average", "num_variables": 3, **SMALL}
    module = DiscreteVAE(**options)
    bound, seen = module.bound, []

    def bad_at_step_25(x):
        estimate = bound(x)
        if module._trainer is not None and module.global_step == 25:
            seen.append((x, estimate.bound.detach()))
            return estimate._replace(bound=estimate.bound * float("nan"))
        return estimate

    module.bound = bad_at_step_25
    last = LastCheckpoint(tmp_path / "checkpoints")
    with pytest.raises(NonFiniteError, match=r"the bound is NaN, at step 25 \(epoch 1"):
        fit(
            module,
            new_run("t"),
            steps=40,
            steps_per_batch=group,
            callbacks=[last],
            enable_checkpointing=True,
        )
    contents = read_checkpoint(tmp_path / "checkpoints" / "crash.ckpt")
    assert contents["global_step"] == 25
    (state,) = contents["loops"]["fit_loop"]["state_dict"]["combined_loader"]
    assert state["batch"] == 4  # 21 batches an epoch
    torch.manual_seed(0)
    again = DiscreteVAE(**options)
    again.load_state_dict(contents["state_dict"])
    torch.set_rng_state(contents["vae"]["generators"]["cpu"])
    assert torch.equal(again.bound(seen[0][0]).bound, seen[0][1])


@pytest.mark.e2e
@pytest.mark.parametrize(
    "others", [[], ["--trainer.precision", "bf16-mixed", "--trainer.limit_train_batches", "5"]]
)
def test_a_run_that_diverges_ends_in_one_line_and_is_replayed(others, tmp_path):
    flags = [*RUNS["gaussian"], "--model.lr", "1e8", *others]
    child = start("train.py", ["fit", *flags], tmp_path)
    finish(child, tmp_path, 1)
    said = (tmp_path / "log").read_text().strip().splitlines()[-1]
    run = run_of(tmp_path)
    crash = run / "checkpoints" / "crash.ckpt"
    assert said.startswith("error: ") and " at step " in said and f"vae replay {crash}" in said
    what = said.removeprefix("error: ").partition(" (epoch")[0]
    finish(start("replay.py", [str(crash)], tmp_path), tmp_path)
    assert (tmp_path / "log").read_text().strip().splitlines()[-1].startswith(what)
    finish(start("replay.py", [str(run), "--steps", "3000"], tmp_path), tmp_path)  # from last.ckpt
    assert (tmp_path / "log").read_text().strip().splitlines()[-1].startswith(what)
