"""The Lightning modules: what they build, optimise, log, refuse, save and load."""

import math
from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from small import MODULES, ONE_HOT, SMALL, fit, logged
from subset_models import LAYERS, SUBSETS

from vae.data.digits import DigitsDataModule
from vae.data.load import load_data
from vae.estimators import ESTIMATORS
from vae.models.checkpoint import read_checkpoint
from vae.models.latents.binary import Binary
from vae.models.latents.one_hot import OneHot
from vae.models.latents.relaxed_one_hot import RelaxedOneHot
from vae.models.schedules import LinearWarmup
from vae.run.checkpoint import find_checkpoint, load, newest_run
from vae.run.folder import new_run, runs_dir
from vae.run.restore import load_module
from vae.training.presets import ContinuousVAE, DiscreteVAE, GaussianVAE


@pytest.mark.parametrize("name", MODULES)
def test_a_few_steps_lower_the_loss_and_the_checkpoint_gives_the_same_bound(name, tmp_path):
    torch.manual_seed(0)
    module, run = MODULES[name](), new_run("test")
    trainer = fit(module, run)
    bounds = [line["train/bound"] for line in logged(run) if "train/bound" in line]
    assert len(bounds) == 8 and all(map(math.isfinite, bounds))
    assert bounds[-1] > bounds[0] + 1
    path = run / "checkpoints" / "best.ckpt"
    trainer.save_checkpoint(path)
    again, contents, found = load(run)
    assert found == path and type(load_module(run)) is type(module)
    assert contents["vae"]["model"]["class_path"] == f"vae.{type(module).__name__}"
    assert contents["vae"]["data"]["class_path"] == "vae.DigitsDataModule"
    data = load_data(contents)
    x = next(iter(data.test_dataloader()))
    module.eval()
    values = []
    for m in (module, again):
        torch.manual_seed(1)
        values.append(m.bound(x).bound)
    assert torch.equal(*values)


def test_metrics_are_signed_and_named(tmp_path):
    module, run = MODULES["gaussian"](), new_run("test")
    trainer = fit(module, run, steps=21)
    (metrics,) = trainer.test(module, DigitsDataModule(), verbose=False)
    assert set(metrics) == {
        "test/elbo",
        "test/rate",
        "test/distortion",
        "test/log_likelihood_4",
    }
    assert metrics["test/elbo"] < 0 < metrics["test/rate"]
    assert metrics["test/elbo"] == pytest.approx(
        -metrics["test/rate"] - metrics["test/distortion"], rel=1e-5
    )
    keys = set().union(*logged(run))
    assert {"train/bound", "train/elbo", "train/rate", "train/distortion", "val/elbo"} <= keys
    assert {"val/rate", "val/distortion", "schedule/beta"} <= keys


def test_the_loss_is_the_negative_elbo_summed_over_pixels_and_averaged_over_images():
    module = GaussianVAE(latent_dim=2, **SMALL).double()
    x = torch.randint(0, 2, (3, 1, 8, 8)).double()
    torch.manual_seed(0)
    loss = -module.bound(x).bound.mean()
    torch.manual_seed(0)
    q = module.vae.posterior(x)
    z = q.rsample(torch.Size([1]))
    logits = module.vae.likelihood.decoder(z)[:, :, 0]
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        logits[0], x, reduction="none"
    ).sum((1, 2, 3))
    loc, scale = q.base_dist.loc, q.base_dist.scale
    kl = 0.5 * (loc.square() + scale.square() - 1 - 2 * scale.log()).sum(-1)
    torch.testing.assert_close(loss, (cross_entropy + kl).mean())


def test_validation_neither_depends_on_nor_disturbs_the_global_generator():
    module, x = MODULES["gumbel"](), torch.zeros(4, 1, 8, 8)
    seen = []
    module.log_dict = lambda values, **kw: seen.append({k: float(v) for k, v in values.items()})
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        module.validation_step(x, 0)
        assert torch.equal(before, torch.get_rng_state())
    assert seen[0] == seen[1]
    module.validation_step(x, 1)
    assert seen[2] != seen[1]  # batches have noise of their own


def test_how_often_is_logged_does_not_change_what_is_trained(tmp_path):
    ends = []
    for log_every in (3, 50):
        torch.manual_seed(0)
        module = MODULES["gumbel"]()
        fit(module, new_run("test"), steps=12, log_every=log_every)
        ends.append(module.state_dict())
    assert all(torch.equal(ends[0][k], ends[1][k]) for k in ends[0])


def test_one_optimiser_with_a_group_for_the_estimator():
    module = GaussianVAE(estimator="nvil", lr=1e-3, estimator_lr=5e-3, **SMALL)
    optimizer = module.configure_optimizers()
    assert [g["lr"] for g in optimizer.param_groups] == [1e-3, 5e-3]
    grouped = {id(p) for g in optimizer.param_groups for p in g["params"]}
    assert grouped == {id(p) for p in module.parameters()}


def test_the_temperature_falls_to_its_minimum_is_logged_and_is_saved(tmp_path):
    options = {"anneal_rate": 0.1, "anneal_every": 10, "temperature_min": 0.2}
    module, run = DiscreteVAE(**ONE_HOT, **options, **SMALL), new_run("test")
    trainer = fit(module, run, steps=45)
    seen = {ln["step"]: ln["schedule/temperature"] for ln in logged(run) if "train/bound" in ln}
    for step, value in seen.items():
        assert value == pytest.approx(max(0.2, math.exp(-0.1 * (step // 10 * 10))), rel=1e-5)
    assert min(seen.values()) == pytest.approx(0.2)
    trainer.save_checkpoint(run / "checkpoints" / "last.ckpt")
    again, _, _ = load(run)
    assert again.estimator.sampler.temperature == module.estimator.sampler.temperature
    assert again.estimator.sampler.temperature == pytest.approx(0.2)


def test_the_relaxed_posterior_is_annealed_and_its_prior_is_not(tmp_path):
    options = {"anneal_rate": 0.1, "anneal_every": 1, "prior_temperature": 0.7}
    module = DiscreteVAE(**ONE_HOT, kl="relaxed", **options, **SMALL)
    fit(module, new_run("test"), steps=5)
    assert module.vae.latent.temperature == pytest.approx(max(0.5, math.exp(-0.4)))
    assert module.vae.latent.prior_temperature == pytest.approx(0.7)


def test_beta_warms_up(tmp_path):
    module = GaussianVAE(latent_dim=2, beta=2.0, beta_warmup=10, **SMALL)
    fit(module, new_run("test"), steps=6)
    assert module.objective.beta == pytest.approx(1.0)  # step 5 of 10, to 2
    assert LinearWarmup(10, 2.0)(50) == 2.0


def test_the_three_kls_of_a_discrete_vae_build_what_they_say():
    categorical = DiscreteVAE(**ONE_HOT, **SMALL)
    monte_carlo = DiscreteVAE(**ONE_HOT, kl="monte_carlo", **SMALL)
    relaxed = DiscreteVAE(**ONE_HOT, kl="relaxed", **SMALL)
    assert isinstance(categorical.vae.latent, OneHot) and categorical.objective.analytic_kl
    assert isinstance(monte_carlo.vae.latent, OneHot) and not monte_carlo.objective.analytic_kl
    assert isinstance(relaxed.vae.latent, RelaxedOneHot) and not relaxed.objective.analytic_kl
    assert isinstance(DiscreteVAE(latent="binary", **SMALL).vae.latent, Binary)


OPTIONS = {
    "latent_dim": 5,
    "learned_prior": True,
    "kl": "monte_carlo",
    "estimator": "reinforce",
    "network": "conv",
    "hidden": [7],
    "activation": "tanh",
    "likelihood": "gaussian",
    "objective": "iwae",
    "num_samples": 3,
    "beta": 3.0,
    "beta_warmup": 50,
    "lr": 0.05,
    "test_samples": 9,
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_changes_the_run(option, tmp_path):
    def outcome(**options):
        torch.manual_seed(0)
        module = GaussianVAE(**{"latent_dim": 3, **SMALL, **options})
        trainer = fit(module, new_run("test"), steps=3)
        return trainer.test(module, DigitsDataModule(), verbose=False)

    assert outcome(**{option: OPTIONS[option]}) != outcome()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: GaussianVAE(estimator="foo"), "unknown estimator 'foo': choose from pathwise"),
        (lambda: GaussianVAE(estimator_options={"x": 1}), "pathwise has no option 'x'"),
        (
            lambda: DiscreteVAE(estimator="disarm", estimator_options={"args": 1}),
            "disarm has no option 'args': it takes none",
        ),
        (lambda: GaussianVAE(estimator="rloo"), "num_samples >= 2"),
        (lambda: GaussianVAE(num_samples=0), "num_samples must be at least 1"),
        (lambda: GaussianVAE(latent_dim=0), "latent_dim must be at least 1"),
        (lambda: GaussianVAE(hidden=[0]), "hidden widths"),
        (lambda: GaussianVAE(lr=0.0), "learning rates must be positive"),
        (lambda: GaussianVAE(beta=-1.0), "beta must be finite and not negative"),
        (lambda: GaussianVAE(objective="iwae", beta=2.0), "iwae has no beta"),
        (lambda: GaussianVAE(test_samples=-1), "test_samples"),
        (lambda: GaussianVAE(network="conv", hidden=[]), "convolutions need an image"),
        (lambda: DiscreteVAE(temperature=0.0), "temperature"),
        (lambda: DiscreteVAE(temperature=0.3, temperature_min=0.4), "temperature_min <= temp"),
        (lambda: DiscreteVAE(estimator="rloo", num_samples=2, temperature=1.0), "no temperature"),
        (lambda: DiscreteVAE(prior_temperature=0.4), "set kl=relaxed"),
        (lambda: DiscreteVAE(latent="binary", num_categories=3), "no num_categories"),
        (lambda: DiscreteVAE(estimator_options={"temperature": 0.4}), "as the model's"),
        (lambda: GaussianVAE(estimator_lr=1e-3), "leave out estimator_lr"),
        (lambda: GaussianVAE(lr=math.inf), "learning rates"),
        (lambda: GaussianVAE(beta_warmup=-5), "beta_warmup"),
        (lambda: DiscreteVAE(num_categories=1), "num_categories must be at least 2"),
        (lambda: DiscreteVAE(latent="binary", kl="relaxed"), "kl=relaxed"),
        (lambda: DiscreteVAE(estimator="enumerate"), "10\\^20 configurations"),
        (lambda: DiscreteVAE(anneal_every=0), "anneal_every"),
    ],
)
def test_bad_options_say_so(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: GaussianVAE(estimator="gumbel_softmax"), "GumbelSoftmax.*Normal"),
        (lambda: GaussianVAE(estimator="enumerate"), "Enumerate.*Normal"),
        (lambda: DiscreteVAE(estimator="pathwise"), "Pathwise.*OneHotCategorical"),
        (lambda: DiscreteVAE(kl="relaxed", estimator="st_gumbel"), "ExpRelaxed"),
    ],
)
def test_what_does_not_fit_together_says_so_before_training(make, words):
    with pytest.raises(NotImplementedError, match=words):
        make()


def _of_subsets(make, estimator):
    return make(estimator=estimator, **SMALL)


@pytest.mark.e2e
def test_every_estimator_fits_some_module():
    for name in ESTIMATORS:
        tried = []
        for make in (
            lambda n: DiscreteVAE(estimator=n, num_samples=2, **ONE_HOT, **SMALL),
            lambda n: DiscreteVAE(estimator=n, num_samples=2, latent="binary", **SMALL),
            lambda n: DiscreteVAE(
                estimator=n, objective="iwae", num_samples=3, **ONE_HOT, **SMALL
            ),
            lambda n: GaussianVAE(estimator=n, kl="monte_carlo", num_samples=2, **SMALL),
            *(partial(_of_subsets, make) for make in SUBSETS.values()),
            lambda n: LAYERS["binary_layers"](estimator=n, kl="monte_carlo", **SMALL),
            lambda n: GaussianVAE(
                estimator=n, objective="iwae", num_samples=3, learned_prior=True, **SMALL
            ),
        ):
            try:
                tried.append(make(name))
            except NotImplementedError:
                continue
        assert tried, name


def test_building_a_module_does_not_consume_random_numbers_beyond_its_weights():
    # the trial evaluation draws from a fork: two estimators start from the same weights
    first, second = (
        (torch.manual_seed(0), DiscreteVAE(estimator=n, num_samples=2, **SMALL))[1]
        for n in ("gumbel_softmax", "rloo")
    )
    a, b = (dict(m.vae.named_parameters()) for m in (first, second))
    assert all(torch.equal(a[name], b[name]) for name in a)


# Checkpoints ----------------------------------------------------------------------------------


class Payload:
    """Unpickles by running code."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('code ran')",))


@pytest.mark.parametrize(
    "content, words",
    [
        (lambda p: p.write_bytes(b""), "it is empty"),
        (lambda p: p.write_bytes(b"PK\x03\x04 truncated"), "cannot be read"),
        (lambda p: p.write_text("hello"), "cannot be read"),
        (lambda p: torch.save({"a": 1}, p), "is not a checkpoint of"),
        (lambda p: torch.save(torch.ones(3), p), "is not a checkpoint of"),
        (lambda p: torch.save(Payload(), p), "cannot be read"),
        (
            lambda p: torch.save(
                {"vae": {"module": 3}, "state_dict": {}, "hyper_parameters": {}}, p
            ),
            "names no class",
        ),
    ],
)
def test_a_file_that_is_no_checkpoint_is_named_and_runs_no_code(tmp_path, content, words):
    path = tmp_path / "x.ckpt"
    content(path)
    with pytest.raises(ValueError, match=words) as error:
        read_checkpoint(path)
    assert str(path) in str(error.value)


def test_a_checkpoint_of_other_sizes_is_named(tmp_path):
    module, path = MODULES["gaussian"](), tmp_path / "x.ckpt"
    hparams = {**dict(module.hparams), "latent_dim": 4}
    torch.save(
        {
            "vae": {"module": "GaussianVAE", "data": None},
            "state_dict": module.state_dict(),
            "hyper_parameters": hparams,
        },
        path,
    )
    with pytest.raises(ValueError, match="does not fit this version"):
        load(path)


def test_a_checkpoint_of_a_model_that_diverged_is_named(tmp_path):
    module, path = MODULES["gaussian"](), tmp_path / "x.ckpt"
    weights = module.state_dict()
    name = next(iter(dict(module.named_parameters())))
    weights[name] = weights[name].clone()
    weights[name].view(-1)[0] = float("nan")
    contents = {
        "vae": {"module": "GaussianVAE", "data": None},
        "state_dict": weights,
        "hyper_parameters": dict(module.hparams),
    }
    torch.save(contents, path)
    with pytest.raises(ValueError, match=f"holds NaN or infinity in .*{name.split('.')[-1]}"):
        load(path)


def test_checkpoints_are_found_by_file_by_run_and_by_date(tmp_path):
    for name in ("20260101-a", "20260102-b"):
        folder = runs_dir() / name / "checkpoints"
        folder.mkdir(parents=True)
        (folder / "last.ckpt").touch()
    (runs_dir() / "20260103-c").mkdir()
    assert newest_run() == runs_dir() / "20260102-b"
    assert find_checkpoint() == runs_dir() / "20260102-b" / "checkpoints" / "last.ckpt"
    best = runs_dir() / "20260101-a" / "checkpoints" / "best.ckpt"
    best.touch()
    assert find_checkpoint(runs_dir() / "20260101-a") == best == find_checkpoint(best)
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        find_checkpoint(tmp_path / "nope.ckpt")
    with pytest.raises(FileNotFoundError, match="best.ckpt"):
        find_checkpoint(runs_dir() / "20260103-c")


def test_no_run_says_so(monkeypatch, tmp_path):
    """Outside a clone, which comes with trained checkpoints."""
    monkeypatch.setattr("vae.run.shipped.PROJECT", tmp_path)
    with pytest.raises(FileNotFoundError, match="train one first"):
        find_checkpoint()


def test_hooks_are_called_where_there_are_any_and_change_nothing():
    class Counts(Callback):
        calls = 0

        def on_before_backward(self, trainer, pl_module, loss):
            self.calls += 1

    counts, ends = Counts(), []
    for callbacks in ([], [counts]):
        torch.manual_seed(0)
        module = MODULES["rloo"]()
        fit(module, new_run("t"), steps=12, callbacks=callbacks)
        ends.append(module.state_dict())
    assert counts.calls == 12
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


@pytest.mark.parametrize(
    "make, option, value, choices",
    [
        (GaussianVAE, "kl", "categorical", "analytic, monte_carlo"),
        (GaussianVAE, "objective", "vae", "elbo, iwae"),
        (GaussianVAE, "likelihood", "poisson", "bernoulli, continuous_bernoulli, gaussian"),
        (GaussianVAE, "network", "resnet", "mlp, conv"),
        (DiscreteVAE, "latent", "gaussian", "one_hot, binary"),
        (DiscreteVAE, "kl", "analytic", "categorical, monte_carlo, relaxed"),
        (ContinuousVAE, "kl", "relaxed", "analytic, monte_carlo"),
    ],
)
def test_an_unknown_name_is_refused_with_its_choices(make, option, value, choices):
    with pytest.raises(ValueError, match=f"^unknown {option} '{value}': choose from {choices}$"):
        make(**{option: value}, **SMALL)
